"""Loads a strategy from its file, and says which file it was.

A strategy must be replayable from its inputs, so its file may import only what computes from them: ibdesk's public
names, Polars, numpy, pydantic, and those parts of the standard library that know no clock, no chance and no world.
"""

from __future__ import annotations

import ast
import hashlib
import sys
import types
from pathlib import Path
from typing import Any

import msgspec
from pydantic import ValidationError

from ibdesk.errors import StrategyError
from ibdesk.model import StrategySource
from ibdesk.strategy.base import Strategy

PUBLIC_NAMES = frozenset(
    {
        "Bar",
        "Ema",
        "Field",
        "Fill",
        "Order",
        "OrderStatus",
        "Position",
        "Quote",
        "Severity",
        "Side",
        "Strategy",
        "TimeInForce",
        "ema",
    }
)
"""The names of `ibdesk` that a strategy may import."""

LIBRARIES = frozenset({"numpy", "polars", "pydantic"})
"""The libraries a strategy may import."""

STANDARD_LIBRARY = frozenset(
    {
        "__future__",
        "abc",
        "bisect",
        "collections",
        "dataclasses",
        "datetime",
        "decimal",
        "enum",
        "fractions",
        "functools",
        "heapq",
        "itertools",
        "math",
        "numbers",
        "operator",
        "re",
        "statistics",
        "string",
        "typing",
        "zoneinfo",
    }
)
"""The parts of the standard library that give the same answer at every replay."""

# Names whose use would make a decision depend on more than the events: the clock, chance, files, other code.
_UNREPLAYABLE_NAMES = frozenset(
    {"__import__", "breakpoint", "compile", "eval", "exec", "globals", "input", "open", "id", "hash"}
)
_UNREPLAYABLE_ATTRIBUTES = frozenset({"now", "utcnow", "today", "random", "read_csv", "read_parquet", "scan_csv"})
_CLOCKED = frozenset({"datetime", "date", "dt", "np", "numpy", "pl", "polars"})


class LoadedStrategy(msgspec.Struct, frozen=True):
    """A strategy class and the file it came from."""

    cls: type[Strategy]
    source: StrategySource


def load_strategy(path: str | Path) -> LoadedStrategy:
    """Return the one strategy class that a file defines, with the sha256 of the file's bytes.

    Raises:
        StrategyError: If the file is missing, does not parse, imports what a strategy may not, fails while it is
            run, or defines no strategy or more than one. The sentence names the file, and the line where there is one.
    """
    path = Path(path)
    try:
        code = path.read_bytes()
    except OSError as error:
        raise StrategyError(f"strategy file {path} cannot be read: {error.strerror or error}") from None
    return load_source(code, path)


def load_source(code: bytes, path: Path) -> LoadedStrategy:
    """Return the one strategy class that `code` defines; `path` names it in errors. Raises as `load_strategy`."""
    try:
        tree = ast.parse(code, filename=str(path))
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        reason = getattr(error, "msg", None) or str(error)
        raise StrategyError(f"{path}{f', line {line}' if line else ''}: not valid Python: {reason}") from None
    check_replayable(tree, path)
    sha256 = hashlib.sha256(code).hexdigest()
    module = types.ModuleType(f"ibdesk_strategy_{path.stem}_{sha256[:12]}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    try:
        exec(compile(tree, str(path), "exec"), module.__dict__)  # noqa: S102 - a strategy is the user's own code
    except Exception as error:
        del sys.modules[module.__name__]
        raise StrategyError(f"{path} fails while it is loaded: {type(error).__name__}: {error}") from error
    cls = _only_strategy(module, path)
    return LoadedStrategy(cls, StrategySource(cls.__name__, str(path.resolve()), sha256))


def strategy_of(cls: type[Strategy]) -> LoadedStrategy:
    """Return the class as its file defines it, so that what it decides can be replayed from that file.

    A class that was typed into a notebook or a test has no file of its own: it is returned as it is, with an
    empty source.

    Raises:
        StrategyError: If its file holds nothing else but cannot be loaded as a strategy file.
    """
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    if file is not None and Path(file).is_file() and _is_strategy_file(Path(file), cls.__name__):
        return load_strategy(file)
    return LoadedStrategy(cls, StrategySource(cls.__name__))


def make_strategy(cls: type[Strategy], parameters: dict[str, Any]) -> Strategy:
    """Return a strategy with these parameters.

    Raises:
        StrategyError: If a parameter is unknown or out of its range; the sentence names each.
    """
    try:
        return cls(**parameters)
    except ValidationError as error:
        known = ", ".join(cls.model_fields) or "none"
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc']) or cls.__name__}: {fault['msg']}"
            + (f" (its parameters: {known})" if fault["type"] == "extra_forbidden" else "")
            for fault in error.errors()
        )
        raise StrategyError(f"{cls.__name__} cannot have these parameters: {faults}") from None


def check_replayable(tree: ast.Module, path: Path) -> None:
    """Refuse imports and names that would make a replay depend on more than the recorded events.

    This guards against accidents; it is no sandbox.

    Raises:
        StrategyError: At the first such line.
    """
    for node in ast.walk(tree):
        for what in _unreplayable(node):
            raise StrategyError(
                f"{path}, line {getattr(node, 'lineno', '?')}: a strategy may not use {what}, because its decisions "
                f"could then not be replayed; allowed are ibdesk's public names, polars, numpy, pydantic and "
                f"{', '.join(sorted(STANDARD_LIBRARY - {'__future__'}))}"
            )


def _unreplayable(node: ast.AST) -> list[str]:
    match node:
        case ast.Import(names=names):
            return [f"import {alias.name}" for alias in names if not _may_import(alias.name)]
        case ast.ImportFrom(level=level) if level:
            return ["a relative import"]
        case ast.ImportFrom(module="ibdesk", names=names):
            return [f"ibdesk.{alias.name}" for alias in names if alias.name not in PUBLIC_NAMES]
        case ast.ImportFrom(module=str(module)) if not _may_import(module):
            return [f"import {module}"]
        case ast.Attribute(value=ast.Name(id="ibdesk"), attr=name) if name not in PUBLIC_NAMES:
            return [f"ibdesk.{name}"]
        case ast.Name(id=name) if name in _UNREPLAYABLE_NAMES:
            return [f"{name}()"]
        case ast.Attribute(value=ast.Name(id=owner) | ast.Attribute(attr=owner), attr=attribute) if (
            owner in _CLOCKED and attribute in _UNREPLAYABLE_ATTRIBUTES
        ):
            return [f"{owner}.{attribute}"]
    return []


def _may_import(module: str) -> bool:
    root = module.partition(".")[0]
    return module == "ibdesk" or root in LIBRARIES or root in STANDARD_LIBRARY


def _is_strategy_file(path: Path, class_name: str) -> bool:
    """Return whether a file's top level defines this one class: a test or a script defines more, or functions."""
    classes = [node.name for node in ast.parse(path.read_bytes()).body if isinstance(node, ast.ClassDef)]
    return classes == [class_name] and path.suffix == ".py" and not path.name.startswith("test_")


def _only_strategy(module: types.ModuleType, path: Path) -> type[Strategy]:
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Strategy) and value.__module__ == module.__name__
    ]
    if len(found) != 1:
        names = ", ".join(cls.__name__ for cls in found) or "none"
        raise StrategyError(f"{path} must define exactly one subclass of ibdesk.Strategy; it defines {names}")
    return found[0]
