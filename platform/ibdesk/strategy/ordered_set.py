"""Sets in insertion order, which replace Python's sets in strategy files.

The order of Python's sets follows hashes, which differ between processes: a strategy that iterates over a set of
symbols would place orders in another order at its replay.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, MutableSet, Set
from typing import Any, Generic, Self, TypeVar, get_args

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

T = TypeVar("T")


class _Ordered(Set[T], Generic[T]):
    """The read-only methods that both ordered sets share."""

    __slots__ = ("_members",)

    def __init__(self, members: Iterable[T] = (), /) -> None:
        self._members = dict.fromkeys(members)

    def __contains__(self, member: object) -> bool:
        return member in self._members

    def __iter__(self) -> Iterator[T]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __repr__(self) -> str:
        return f"{{{', '.join(map(repr, self._members))}}}" if self._members else "set()"

    def __and__(self, other: Set[Any]) -> Self:
        return self.intersection(other)

    def copy(self) -> Self:
        """Return a copy."""
        return type(self)(self)

    def union(self, *others: Iterable[T]) -> Self:
        """Return a set of all members, its own first."""
        return type(self)(itertools.chain(self, *others))

    def intersection(self, *others: Iterable[object]) -> Self:
        """Return a set of its members that are in all others."""
        kept = [_as_set(other) for other in others]
        return type(self)(member for member in self if all(member in other for other in kept))

    def difference(self, *others: Iterable[object]) -> Self:
        """Return a set of its members that are in none of the others."""
        gone = [_as_set(other) for other in others]
        return type(self)(member for member in self if not any(member in other for other in gone))

    def symmetric_difference(self, other: Iterable[T]) -> Self:
        """Return a set of the members that are in exactly one of the two."""
        return self.difference(other).union(type(self)(other).difference(self))

    def issubset(self, other: Iterable[object]) -> bool:
        """Return whether `other` contains all its members."""
        return all(member in _as_set(other) for member in self)

    def issuperset(self, other: Iterable[object]) -> bool:
        """Return whether it contains all members of `other`."""
        return all(member in self for member in other)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate a field from any collection, in its order, and serialize it as a list."""
        members = get_args(source)
        return core_schema.no_info_after_validator_function(
            cls,
            core_schema.union_schema(
                [
                    core_schema.chain_schema([core_schema.is_instance_schema(_Ordered), _to(list)]),
                    core_schema.list_schema(handler.generate_schema(members[0]) if members else None),
                    core_schema.chain_schema([core_schema.is_instance_schema((set, frozenset)), _to(_by_text)]),
                ]
            ),
            serialization=core_schema.plain_serializer_function_ser_schema(list),
        )


class OrderedSet(_Ordered[T], MutableSet[T]):
    """A `set` in insertion order."""

    __slots__ = ()

    def add(self, member: T) -> None:
        """Add a member at the end; an existing member keeps its place."""
        self._members.setdefault(member)

    def discard(self, member: T) -> None:
        """Remove a member if it exists."""
        self._members.pop(member, None)

    def remove(self, member: T) -> None:
        """Remove a member.

        Raises:
            KeyError: If it does not exist.
        """
        del self._members[member]

    def pop(self) -> T:
        """Remove and return the oldest member.

        Raises:
            KeyError: If the set is empty.
        """
        if not self._members:
            raise KeyError("pop from an empty set")
        member = next(iter(self._members))
        del self._members[member]
        return member

    def clear(self) -> None:
        """Remove all members."""
        self._members.clear()

    def update(self, *others: Iterable[T]) -> None:
        """Add all members of the others."""
        for other in others:
            self._members.update(dict.fromkeys(other))

    def intersection_update(self, *others: Iterable[object]) -> None:
        """Keep the members that are in all others."""
        self._members = self.intersection(*others)._members

    def difference_update(self, *others: Iterable[object]) -> None:
        """Remove the members that are in any of the others."""
        self._members = self.difference(*others)._members

    def symmetric_difference_update(self, other: Iterable[T]) -> None:
        """Keep the members that are in exactly one of the two."""
        self._members = self.symmetric_difference(other)._members


class FrozenOrderedSet(_Ordered[T]):
    """A `frozenset` in insertion order."""

    __slots__ = ()

    def __hash__(self) -> int:
        return self._hash()

    def __repr__(self) -> str:
        return f"frozenset({super().__repr__() if self else ''})"


_EMPTY: dict[str, str] = {}
_VIEWS = (type(_EMPTY.keys()), type(_EMPTY.items()))


def ordered_view(view: Any) -> Any:
    """Return the keys or items of a dict as a set whose ``&``, ``|``, ``-`` and ``^`` keep the order."""
    return FrozenOrderedSet(view) if isinstance(view, _VIEWS) else view


def _as_set(members: Iterable[object]) -> Set[object]:
    return members if isinstance(members, Set) else OrderedSet(members)


def _to(function: Callable[[Any], Any]) -> CoreSchema:
    return core_schema.no_info_plain_validator_function(function)


def _by_text(members: Iterable[object]) -> list[object]:
    """Return the members of a Python set in an order that does not depend on hashes."""
    return sorted(members, key=repr)
