"""The page of the public Python API: every public name of the packages that a program imports from."""

from __future__ import annotations

import enum
import importlib
import inspect
from typing import Any, get_args, get_type_hints

import msgspec
from pydantic import BaseModel

import ibdesk.testing
from ibdesk.testing import plugin
from ibdesk_reference.markdown import code, first_sentence, heading, line, prose, table
from ibdesk_reference.structs import fields, notes_of
from ibdesk_server.client.call import ApiCall

PACKAGES = {
    "ibdesk": "Strategies, backtests and desks.",
    "ibdesk.desk": "Desks in other processes, awaitable desks, and what the methods of a desk return.",
    "ibdesk.backtest": "Backtests and their statistics.",
    "ibdesk.testing": "The pytest plug-in.",
    "ibdesk.testing.gateway": "The fixture `gateway` of a test, and the prices of its market.",
    "ibdesk.testing.market": "The fixture `market` of a test.",
    "ibdesk.testing.seen": "Orders and executions as a test sees them.",
    "ibdesk.gateway": "The embedded gateway for programs and tests of TWS clients.",
    "ibdesk.data": "Bars of files, frames and samples.",
    "ibdesk_server.client": "Clients of the REST interface and of the feed.",
}
# What comes from another library is described there.
_FOREIGN = {"Field": "pydantic's `Field`; see [pydantic](https://docs.pydantic.dev/latest/concepts/fields/)."}
# Functions by which our own modules serve each other.
_INTERNAL = {"blaming", "seen_execution", "seen_order"}
# Where the members of a class end that are ours.
_ROOTS = "object, Struct, BaseModel, Enum, Exception, tuple"


def public_names(package: str) -> list[str]:
    """Return the public names of a package: its `__all__`, or what a module without one defines."""
    module = importlib.import_module(package)
    if hasattr(module, "__all__"):
        return sorted(set(module.__all__) - _INTERNAL)
    kinds = (inspect.isclass, inspect.isfunction)
    own = {
        name
        for name, value in vars(module).items()
        if any(is_kind(value) for is_kind in kinds) and value.__module__ == package
    }
    return sorted(name for name in own - _INTERNAL if not name.startswith("_"))


def as_markdown() -> str:
    """Return a section for each package, with a list of its names and an entry for each."""
    return "\n".join(_package(name, about) for name, about in PACKAGES.items())


def _package(package: str, about: str) -> str:
    names = public_names(package)
    if not names:
        return _plugin()
    rows = [[_link(package, name), _summary(package, name)] for name in names]
    entries = [_entry(package, name) for name in names if name not in _FOREIGN and _home(package, name) == package]
    head = heading(2, code(package), target=f"python-package-{package}")
    return "\n".join([head, f"{about}\n", table(["name", "what it is"], rows), *entries])


def fixtures() -> dict[str, str]:
    """Return the fixtures of the pytest plug-in with their docstrings."""
    found = {name: value for name, value in vars(plugin).items() if type(value).__name__ == "FixtureFunctionDefinition"}
    return {name: inspect.getdoc(value) or "" for name, value in found.items()}


def sign_client_method(thing: Any) -> None:
    """Give a method of an API client the signature that its callers see.

    Such a method wraps the function that makes a call. It takes what the function takes, behind the client itself, and
    returns what the call reads.
    """
    made = getattr(thing, "__wrapped__", None)
    if made is None or not made.__module__.startswith("ibdesk_server."):
        return
    hints = get_type_hints(made)
    if getattr(hints.get("return"), "__origin__", None) is not ApiCall:
        return
    (answer,) = get_args(hints["return"])
    client = inspect.Parameter("client", inspect.Parameter.POSITIONAL_ONLY)
    signature = inspect.signature(made)
    parameters = [
        each.replace(annotation=hints.get(name, each.annotation)) for name, each in signature.parameters.items()
    ]
    thing.__signature__ = signature.replace(parameters=[client, *parameters], return_annotation=answer)
    thing.__annotations__ = hints | {"return": answer}


def _plugin() -> str:
    """Return the section of the pytest plug-in, which has fixtures in the place of names."""
    first, about = (inspect.getdoc(ibdesk.testing) or "").split("\n\n", 1)
    rows = [[code(name), line(prose(text))] for name, text in fixtures().items()]
    return "\n".join(
        [
            heading(2, code("ibdesk.testing"), target="python-package-ibdesk.testing"),
            f"{first}\n",
            prose(about) + "\n",
            table(["fixture", "what it is"], rows),
            f"The marker: {code(plugin._MARKER)}.\n",
        ]
    )


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
    return "\n".join([*parts, "```\n", _members(value)])


def _members(value: Any) -> str:
    """Return the values of an enumeration, or the fields of a value: their types stand in no signature."""
    if not inspect.isclass(value):
        return ""
    if issubclass(value, enum.Enum):
        notes = notes_of(value)
        return table(["member", "value", "meaning"], [_member(each, notes.get(each.name, "")) for each in value])
    return fields(value) if issubclass(value, msgspec.Struct) else ""


def _member(member: enum.Enum, note: str) -> list[str]:
    return [code(f"{type(member).__name__}.{member.name}"), code(repr(member.value)), note]
