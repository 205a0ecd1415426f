"""Bar lengths in words: ``5 secs``, ``1 min``, ``4 hours``, ``1 day``."""

from __future__ import annotations

import re

from ibdesk.errors import ConfigError

_UNITS = {
    "s": 1,
    "sec": 1,
    "second": 1,
    "m": 60,
    "min": 60,
    "minute": 60,
    "h": 3600,
    "hour": 3600,
    "d": 86400,
    "day": 86400,
}
_SECOND = 1_000_000_000
_WORDS = ((86400, "day"), (3600, "hour"), (60, "min"), (1, "sec"))


def interval_ns(text: str) -> int:
    """Return the length of `text` in ns.

    Raises:
        ConfigError: If it is not a whole positive number and a unit (seconds, minutes, hours, days).
    """
    match = re.fullmatch(r"\s*([1-9]\d{0,5})\s*([a-z]+?)s?\s*", text.lower())
    unit = _UNITS.get(match[2]) if match else None
    if match is None or unit is None:
        raise ConfigError(f"bar {text!r} is not a bar length: write 5 secs, 1 min, 4 hours or 1 day")
    return int(match[1]) * unit * _SECOND


def interval_words(nanoseconds: int) -> str:
    """Return a length in words, in the largest unit that fits (``5 secs``, ``1 min``)."""
    for seconds, word in _WORDS:
        count, rest = divmod(nanoseconds, seconds * _SECOND)
        if count and not rest:
            return f"{count} {word}{'s' if count > 1 else ''}"
    return f"{nanoseconds} ns"
