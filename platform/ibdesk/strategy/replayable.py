"""What a strategy file may use, so that its decisions can be replayed from the recorded events alone.

It may import only what computes from them: ibdesk's public names, Polars, numpy, pydantic, and those parts of the
standard library that know no clock, no chance and no world.
"""

from __future__ import annotations

import ast
from pathlib import Path

from ibdesk.errors import StrategyError

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
_CLOCKS = frozenset({"datetime", "date", "dt"})
_CLOCK_READINGS = frozenset({"now", "utcnow", "today"})
_NUMPY, _POLARS = frozenset({"np", "numpy"}), frozenset({"pl", "polars"})
_NUMPY_FILES_AND_CHANCE = frozenset({"random", "load", "loadtxt", "genfromtxt", "fromfile", "memmap"})


def check_replayable(tree: ast.Module, path: Path) -> None:
    """Refuse imports and names that would make a replay depend on more than the recorded events.

    This guards against accidents; it is no sandbox.

    Raises:
        StrategyError: At the first such line.
    """
    own_names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    own_names |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    for node in ast.walk(tree):
        # A name that the file gives to something of its own, `open` to a price, is not the built-in one.
        if isinstance(node, ast.Name) and node.id in own_names:
            continue
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
        case ast.ImportFrom(module=str(module), names=names):
            full_names = [f"{module}.{alias.name}" for alias in names]
            return [f"import {name}" for name in full_names if not _may_import(name)]
        case ast.Attribute(value=ast.Name(id="ibdesk"), attr=name) if name not in PUBLIC_NAMES:
            return [f"ibdesk.{name}"]
        case ast.Name(id=name) if name in _UNREPLAYABLE_NAMES:
            return [f"{name}()"]
        case ast.Attribute(value=ast.Name(id=owner) | ast.Attribute(attr=owner), attr=name):
            return [f"{owner}.{name}"] if _reaches_out(owner, name) else []
    return []


def _reaches_out(owner: str, attribute: str) -> bool:
    """Return whether an attribute of a library reads the clock or a file, or draws chance."""
    return (
        (owner in _CLOCKS and attribute in _CLOCK_READINGS)
        or (owner in _NUMPY and attribute in _NUMPY_FILES_AND_CHANCE)
        or (owner in _POLARS and attribute.startswith(("read_", "scan_")))
    )


def _may_import(name: str) -> bool:
    root = name.partition(".")[0]
    if name.startswith("numpy.random"):
        return False
    return name == "ibdesk" or root in LIBRARIES or root in STANDARD_LIBRARY
