"""The runtime environment of a strategy file: ordered sets, and modules without clock, random numbers and files.

Uses that the static check cannot see, such as an alias created at run time, raise here.
"""

from __future__ import annotations

import ast
import builtins
import datetime as dt
import functools
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, NoReturn

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema

from ibdesk.errors import StrategyError
from ibdesk.strategy.ordered_set import FrozenOrderedSet, OrderedSet, ordered_view
from ibdesk.strategy.replayable import UNREPLAYABLE_BUILTINS, may_import, refusal

# Functions that consume a whole collection in order; a dict's keys can be passed to them unchanged.
_CONSUMERS = frozenset(
    {"all", "any", "dict", "enumerate", "filter", "iter", "len", "list", "map", "max", "min", "sorted", "sum", "tuple"}
    | {"zip", "set", "frozenset", "reversed"}
)
_SET, _VIEW = "__ordered_set__", "__ordered_view__"


def namespace() -> dict[str, Any]:
    """Return the initial names of a strategy file's namespace."""
    return {
        "__builtins__": _builtins(),
        "set": OrderedSet,
        "frozenset": FrozenOrderedSet,
        _SET: OrderedSet,
        _VIEW: ordered_view,
    }


def with_order(tree: ast.Module) -> ast.Module:
    """Return a file's code with its sets, and set operations on keys of dicts, replaced by ordered sets."""
    _Ordering(tree).visit(tree)
    return ast.fix_missing_locations(tree)


class _Ordering(ast.NodeTransformer):
    def __init__(self, tree: ast.Module) -> None:
        # Calls of keys() and items() that are iterated at once, as most are.
        self._consumed: set[int] = set()
        # Sets used only for membership tests need no order.
        self._looked_into: set[int] = set()
        for node in ast.walk(tree):
            match node:
                case ast.For(iter=given) | ast.comprehension(iter=given):
                    self._consumed.add(id(given))
                case ast.Call(func=ast.Name(id=name), args=args) if name in _CONSUMERS:
                    self._consumed.update(map(id, args))
                case ast.Compare(ops=ops, comparators=members):
                    found = {
                        id(each) for op, each in zip(ops, members, strict=True) if isinstance(op, ast.In | ast.NotIn)
                    }
                    self._consumed |= found
                    self._looked_into |= found

    def visit_Set(self, node: ast.Set) -> ast.expr:
        self.generic_visit(node)
        return node if id(node) in self._looked_into else _call(_SET, ast.List(node.elts, ast.Load()), node)

    def visit_SetComp(self, node: ast.SetComp) -> ast.expr:
        self.generic_visit(node)
        return _call(_SET, ast.ListComp(node.elt, node.generators), node)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        match node:
            case ast.Call(func=ast.Attribute(attr="keys" | "items"), args=[], keywords=[]):
                return node if id(node) in self._consumed else _call(_VIEW, node, node)
        return node


def _call(name: str, argument: ast.expr, at: ast.expr) -> ast.expr:
    return ast.copy_location(ast.Call(ast.Name(name, ast.Load()), [argument], []), at)


# --- modules


class GuardedModule(ModuleType):
    """A module without the names that are forbidden to strategies."""

    def __init__(self, module: ModuleType) -> None:
        super().__init__(module.__name__, module.__doc__)
        kept = {name: _guarded_value(value) for name, value in vars(module).items() if _is_plain(module, name, value)}
        self.__dict__.update(kept, _module=module)

    def __getattr__(self, name: str) -> Any:
        module: ModuleType = self.__dict__["_module"]
        _refuse(module, name)
        value = getattr(module, name)
        return guarded(value) if isinstance(value, ModuleType) else _guarded_value(value)


@functools.cache
def guarded(module: ModuleType) -> GuardedModule:
    """Return the guarded version of a module."""
    return GuardedModule(module)


def _is_plain(module: ModuleType, name: str, value: object) -> bool:
    if isinstance(value, ModuleType) or refusal(module, name) is not None:
        return False
    return not name.startswith("__") or name in ("__all__", "__version__")


def _guarded_value(value: Any) -> Any:
    if value is dt.datetime:
        return GuardedDatetime
    return GuardedDate if value is dt.date else value


def _refuse(owner: object, name: str) -> None:
    why = refusal(owner, name)
    if why is not None:
        kind = getattr(owner, "__name__", type(owner).__name__)
        raise StrategyError(
            f"a strategy may not use {kind}.{name}, because its decisions could then not be replayed: {why}"
        )


def _import(
    name: str,
    globals_: Mapping[str, object] | None = None,
    locals_: Mapping[str, object] | None = None,
    fromlist: Sequence[str] = (),
    level: int = 0,
) -> ModuleType:
    if level or not may_import(name):
        raise StrategyError(f"a strategy may not import {name}, because its decisions could then not be replayed")
    return guarded(__import__(name, globals_, locals_, fromlist, level))


# --- dates and times


class _GuardedType(type):
    """The metaclass of replacements for Python's date and time classes; values remain of Python's own classes."""

    _real: type

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls._real)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, cls._real)


def _no_clock(name: str) -> classmethod[Any, Any, NoReturn]:
    def refuse(cls: type, /, *_: object, **__: object) -> NoReturn:
        raise StrategyError(
            f"a strategy may not use {cls.__name__}.{name}, because its decisions could then not be replayed: "
            f"the time of the event is self.now"
        )

    return classmethod(refuse)


class GuardedDatetime(dt.datetime, metaclass=_GuardedType):
    """`datetime.datetime` without the clock and the machine's zone."""

    _real = dt.datetime
    now = _no_clock("now")
    utcnow = _no_clock("utcnow")
    today = _no_clock("today")

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Return a `datetime.datetime`."""
        return dt.datetime(*args, **kwargs)  # noqa: DTZ001 - the strategy's own choice

    @classmethod
    def fromtimestamp(cls, timestamp: float, tz: dt.tzinfo | None = None) -> Any:
        """Return the time of a timestamp in a zone, which is required."""
        if tz is None:
            raise StrategyError("datetime.fromtimestamp needs a zone: the machine's zone may differ at a replay")
        return dt.datetime.fromtimestamp(timestamp, tz)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return handler.generate_schema(dt.datetime)


class GuardedDate(dt.date, metaclass=_GuardedType):
    """`datetime.date` without the clock."""

    _real = dt.date
    today = _no_clock("today")
    fromtimestamp = _no_clock("fromtimestamp")

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Return a `datetime.date`."""
        return dt.date(*args, **kwargs)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return handler.generate_schema(dt.date)


GuardedDatetime.__name__ = GuardedDatetime.__qualname__ = "datetime"
GuardedDate.__name__ = GuardedDate.__qualname__ = "date"


# --- built-in functions


def _builtins() -> dict[str, Any]:
    names = vars(builtins) | {name: _refused(name) for name in UNREPLAYABLE_BUILTINS}
    return names | {"__import__": _import, "getattr": _getattr, "set": OrderedSet, "frozenset": FrozenOrderedSet}


def _refused(name: str) -> Callable[..., NoReturn]:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise StrategyError(f"a strategy may not use {name}(), because its decisions could then not be replayed")

    return refuse


def _getattr(owner: object, name: str, *default: object) -> Any:
    _refuse(owner, name)
    return getattr(owner, name, *default)
