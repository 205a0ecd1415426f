"""The modules and names that a strategy file may use, so that its decisions can be replayed from recorded events.

It may import ibdesk's public names, Polars, numpy, pydantic, and the parts of the standard library without clock,
random numbers and input or output. Some names in these still reach outside. The static check finds them under any
alias, and they are missing from the modules that a strategy imports (see `guard`).
"""

from __future__ import annotations

import datetime
import sys
from importlib import import_module
from types import ModuleType

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
"""The libraries that a strategy may import."""

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
"""The modules of the standard library that give the same result at every replay."""

UNREPLAYABLE_BUILTINS = frozenset(
    {"__import__", "breakpoint", "compile", "eval", "exec", "globals", "input", "open", "id", "hash"}
)
"""Built-in functions that make a decision depend on more than the events: files, other code, memory."""

CLOCK_READINGS = frozenset({"now", "utcnow", "today"})
"""The methods of dates and times that read the clock."""

_CLOCK_WORDS = "the time of the event is self.now"
_CHANCE_WORDS = "random numbers differ at each replay"
_WORLD_WORDS = "files change"
_ORDER_WORDS = "its order differs in each process: use set[...], list[...] or dict[...]"

# By module: names that read a clock or a file, draw random numbers, or have no stable order.
_NAMES = {
    "numpy": dict.fromkeys(("load", "loadtxt", "genfromtxt", "fromfile", "memmap", "fromregex"), _WORLD_WORDS),
    "polars": {"set_random_seed": _CHANCE_WORDS},
    "pydantic": dict.fromkeys(("PastDate", "FutureDate", "PastDatetime", "FutureDatetime"), _CLOCK_WORDS)
    | dict.fromkeys(("FilePath", "DirectoryPath", "NewPath", "ImportString"), _WORLD_WORDS),
    "zoneinfo": {"available_timezones": _ORDER_WORDS},
    "typing": dict.fromkeys(("Set", "FrozenSet", "AbstractSet", "MutableSet"), _ORDER_WORDS),
    "collections.abc": dict.fromkeys(("Set", "MutableSet"), _ORDER_WORDS),
}


def may_import(name: str) -> bool:
    """Return whether a strategy may import a module, or a name in one, by its full name."""
    root = name.partition(".")[0]
    if name == "numpy.random" or name.startswith("numpy.random."):
        return False
    return name == "ibdesk" or root in LIBRARIES or root in STANDARD_LIBRARY


def module_of(name: str) -> ModuleType | None:
    """Return a module that strategies may import, or None if it does not exist."""
    try:
        return sys.modules.get(name) or import_module(name)
    except ImportError:
        return None


def refusal(owner: object, name: str) -> str | None:
    """Return why a strategy may not use an attribute of a module or class, or None if it may."""
    if isinstance(owner, ModuleType):
        return _refusal_of_module(owner, name)
    if isinstance(owner, datetime.date) and name in CLOCK_READINGS:
        return _CLOCK_WORDS
    if isinstance(owner, type):
        if issubclass(owner, datetime.date) and name in CLOCK_READINGS:
            return _CLOCK_WORDS
        if owner.__module__ == "statistics" and (owner.__name__, name) == ("NormalDist", "samples"):
            return _CHANCE_WORDS
    return None


def _refusal_of_module(module: ModuleType, name: str) -> str | None:
    if module.__name__ == "ibdesk":
        return None if name in PUBLIC_NAMES or name.startswith("__") else "it is not for strategies"
    words = _NAMES.get(module.__name__, {}).get(name)
    if words is None and module.__name__.partition(".")[0] == "polars" and name.startswith(("read_", "scan_")):
        words = _WORLD_WORDS
    if words is None and name in ("__dict__", "__loader__", "__spec__", "__builtins__"):
        words = "it gives access to everything else"
    if words is not None:
        return words
    # Modules that a library imports for itself, such as `statistics.random`.
    found = vars(module).get(name)
    if isinstance(found, ModuleType) and not may_import(found.__name__):
        return _CHANCE_WORDS if "random" in found.__name__ else "it leads to code that cannot be replayed"
    return None
