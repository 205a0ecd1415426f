"""A topic as a client stores it: the newest row of each key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

Row = dict[str, Any]


class Table:
    """Rows by key, in the order in which the keys first arrived; beyond `limit` rows, the oldest are dropped."""

    def __init__(self, key: Iterable[str], *, limit: int = 100_000) -> None:
        self.key = tuple(key)
        self._limit = limit
        self._rows: dict[tuple[Any, ...], Row] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(list(self._rows.values()))

    @property
    def rows(self) -> list[Row]:
        """Return all rows."""
        return list(self._rows.values())

    def get(self, *key: Any) -> Row | None:
        """Return the row with these key values, None if there is none."""
        return self._rows.get(key)

    def clear(self) -> None:
        """Remove all rows."""
        self._rows.clear()

    def update(self, rows: Iterable[Row]) -> None:
        """Add rows; a row replaces an earlier one with the same key."""
        for row in rows:
            self._rows[tuple(row[name] for name in self.key)] = row
        while len(self._rows) > self._limit:
            del self._rows[next(iter(self._rows))]
