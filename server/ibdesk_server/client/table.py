"""A topic as a client keeps it: the newest row of each key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

Row = dict[str, Any]


class Table:
    """Rows by key, in the order in which the keys first came; past `limit` rows the oldest leave."""

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
        """Return the rows."""
        return list(self._rows.values())

    def get(self, *key: Any) -> Row | None:
        """Return the row with these values in the key columns."""
        return self._rows.get(key)

    def clear(self) -> None:
        """Forget all rows."""
        self._rows.clear()

    def update(self, rows: Iterable[Row]) -> None:
        """Take rows in; one with the key of an earlier row replaces it."""
        for row in rows:
            self._rows[tuple(row[name] for name in self.key)] = row
        while len(self._rows) > self._limit:
            del self._rows[next(iter(self._rows))]
