"""The page of the public Python API: every public name of the packages that a program imports from."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import msgspec
from pydantic import BaseModel

from ibdesk_reference.markdown import code, first_sentence, heading, table

PACKAGES = {
    "ibdesk": "Strategies, backtests and desks.",
    "ibdesk.testing.gateway": "The fixture `gateway` of a test, and the prices of its market.",
    "ibdesk.testing.market": "The fixture `market` of a test.",
    "ibdesk.testing.seen": "What a test sees of orders and executions at the gateway.",
    "ibdesk.gateway": "The embedded gateway for programs and tests of TWS clients.",
    "ibdesk.data": "Bars of files, frames and samples.",
    "ibdesk_server.client": "Clients of the REST interface and of the feed.",
}
# What comes from another library is described there.
_FOREIGN = {"Field": "pydantic's `Field`; see [pydantic](https://docs.pydantic.dev/latest/concepts/fields/)."}
# Where the members of a class end that are ours.
_ROOTS = "object, Struct, BaseModel, Enum, Exception, tuple"


def public_names(package: str) -> list[str]:
    """Return the public names of a package: its `__all__`, or what a module without one defines."""
    module = importlib.import_module(package)
    if hasattr(module, "__all__"):
        return sorted(module.__all__)
    own = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == package and callable(value)
    }
    return sorted(own)


def as_markdown() -> str:
    """Return a section for each package, with a list of its names and an entry for each."""
    return "\n".join(_package(name, about) for name, about in PACKAGES.items())


def _package(package: str, about: str) -> str:
    names = public_names(package)
    rows = [[_link(package, name), _summary(package, name)] for name in names]
    entries = [_entry(package, name) for name in names if name not in _FOREIGN and _home(package, name) == package]
    head = heading(2, code(package), target=f"python-{package}")
    return "\n".join([head, f"{about}\n", table(["name", "what it is"], rows), *entries])


def _value(package: str, name: str) -> Any:
    return getattr(importlib.import_module(package), name)


def _home(package: str, name: str) -> str:
    """Return the first package that has the same thing under the same name: its entry stands there."""
    value = _value(package, name)
    return next(home for home in PACKAGES if name in public_names(home) and _value(home, name) is value)


def _link(package: str, name: str) -> str:
    return code(name) if name in _FOREIGN else f"[{code(name)}](#{_target(package, name)})"


def _summary(package: str, name: str) -> str:
    value = _value(package, name)
    if name in _FOREIGN:
        return _FOREIGN[name]
    return first_sentence(value) if callable(value) else ""


def _target(package: str, name: str) -> str:
    # Targets know no capitals: `Ema` and `ema` would be the same one.
    kind = "" if inspect.isclass(_value(package, name)) else "-function"
    return f"python-{_home(package, name)}.{name.lower()}{kind}"


def _entry(package: str, name: str) -> str:
    value = _value(package, name)
    parts = [heading(3, code(name), target=_target(package, name)), "```{eval-rst}"]
    if inspect.isclass(value):
        parts += [f".. autoclass:: {package}.{name}", "   :members:", f"   :inherited-members: {_ROOTS}"]
        if issubclass(value, msgspec.Struct | BaseModel):
            parts.append("   :exclude-members: model_config, model_post_init")
    else:
        directive = "autofunction" if callable(value) else "autodata"
        parts.append(f".. {directive}:: {package}.{name}")
    return "\n".join([*parts, "```\n"])
