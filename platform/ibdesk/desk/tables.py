"""Long tables of values that never change, made again quickly when a few of them were replaced."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import polars as pl

T = TypeVar("T")

# So many rows are made again when one of them is another than before: 0.3 ms.
_BLOCK_ROWS = 128


class BlockTable(Generic[T]):
    """Makes a table out of a list that grows and of which few entries are replaced, in blocks that it keeps."""

    def __init__(self, make: Callable[[list[T]], pl.DataFrame]) -> None:
        """Make one; `make` puts some entries into a table, and the same entries always into the same."""
        self._make = make
        self._blocks: list[tuple[list[T], pl.DataFrame]] = []
        self._lock = threading.Lock()

    def of(self, entries: list[T]) -> pl.DataFrame:
        """Return the table of all entries, a row each; may be asked for in any thread."""
        with self._lock:
            frames = [
                self._block(number, entries[begin : begin + _BLOCK_ROWS])
                for number, begin in enumerate(range(0, len(entries), _BLOCK_ROWS))
            ]
            del self._blocks[len(frames) :]
        return pl.concat(frames, rechunk=True) if frames else self._make([])

    def _block(self, number: int, entries: list[T]) -> pl.DataFrame:
        # Lists compare their entries by identity first.
        if number < len(self._blocks) and self._blocks[number][0] == entries:
            return self._blocks[number][1]
        block = entries, self._make(entries)
        self._blocks[number : number + 1] = [block]
        return block[1]
