"""Which symbols and owners a client wants to hear of, by pattern: ``AAPL``, ``ES-*``, ``EmaCross-*``."""

from __future__ import annotations

import fnmatch
import re
import weakref
from collections.abc import Iterable

from ibdesk.store.feed import Row
from ibdesk.store.layout import Layout

MAX_NAMES = 1_000
"""How many names and patterns together a client may ask for."""

MAX_PATTERNS = 32
"""How many of them may be patterns, which cost more than names."""

_WILDCARD = re.compile(r"[*?\[]")
# How many answers are kept; names beyond that are looked at anew.
_KEPT_ANSWERS = 20_000


class Patterns:
    """Names and patterns, ``*`` for any characters and ``?`` for one; compiled once, each name looked at once."""

    def __init__(self, words: Iterable[str]) -> None:
        words = frozenset(words)
        globs = sorted(word for word in words if _WILDCARD.search(word))
        self._names = words.difference(globs)
        self._globs = re.compile("|".join(map(fnmatch.translate, globs))) if globs else None
        self._answers: dict[str, bool] = {}

    def match(self, name: str) -> bool:
        """Return whether one of them fits."""
        if name in self._names:
            return True
        if self._globs is None:
            return False
        answer = self._answers.get(name)
        if answer is None:
            if len(self._answers) >= _KEPT_ANSWERS:
                self._answers.clear()
            answer = self._answers[name] = self._globs.match(name) is not None
        return answer


class Filter:
    """What one client wants of rows that have a symbol or an owner; rows without pass.

    All clients that ask for the same share one object, so that what was encoded for one of them serves all.
    """

    def __init__(self, symbols: tuple[str, ...] | None, owners: tuple[str, ...] | None) -> None:
        self.symbols, self.owners = symbols, owners
        self._symbols = None if symbols is None else Patterns(symbols)
        self._owners = None if owners is None else Patterns(owners)

    def chosen(self, rows: list[Row], layout: Layout) -> list[Row]:
        """Return the rows that pass, in order."""
        for column, patterns in ((layout.symbol, self._symbols), (layout.owner, self._owners)):
            if column and patterns is not None:
                match = patterns.match
                rows = [row for row in rows if match(row[column])]
        return rows


class Filters:
    """Hands out filters, the same one for the same words as long as somebody uses it."""

    def __init__(self) -> None:
        self._filters: weakref.WeakValueDictionary[tuple[object, object], Filter] = weakref.WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._filters)

    def get(self, symbols: Iterable[str] | None, owners: Iterable[str] | None, layout: Layout) -> Filter | None:
        """Return the filter of these words as far as a topic has the columns, None when everything passes."""
        key = (
            tuple(sorted(set(symbols))) if symbols is not None and layout.symbol else None,
            tuple(sorted(set(owners))) if owners is not None and layout.owner else None,
        )
        if key == (None, None):
            return None
        found = self._filters.get(key)
        if found is None:
            found = self._filters[key] = Filter(*key)
        return found


def excess(words: Iterable[str] | None) -> str | None:
    """Return what is too much about the words of a filter, in a sentence, if anything."""
    words = list(words or ())
    if len(words) > MAX_NAMES:
        return f"a filter may have {MAX_NAMES:,} names at most, this one has {len(words):,}"
    patterns = sum(1 for word in words if _WILDCARD.search(word))
    if patterns > MAX_PATTERNS:
        return f"a filter may have {MAX_PATTERNS} patterns at most, this one has {patterns:,}"
    return None
