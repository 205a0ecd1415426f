"""Lengths of time as people write them: ``90d``, ``12h``, ``1d12h``, or ISO 8601, such as ``P90D``."""

from __future__ import annotations

import re

_NUMBER = r"(\d+(?:\.\d+)?)"
_SHORT = re.compile(rf"\s*{_NUMBER}\s*([wdhms])", re.IGNORECASE)
_ISO = re.compile(rf"P(?:{_NUMBER}W)?(?:{_NUMBER}D)?(?:T(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:{_NUMBER}S)?)?", re.IGNORECASE)
_SECONDS = {"w": 604_800.0, "d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}


def parse_duration(text: str) -> float:
    """Return the seconds of a length of time.

    Raises:
        ValueError: If the text is not a length of time, or not above 0; the message shows how to write one.
    """
    text = text.strip()
    seconds = _iso(text) if text[:1] in {"P", "p"} else _short(text)
    if seconds is None or not 0 < seconds < float("inf"):
        raise ValueError("Use days or hours, e.g. 90d or 12h.")
    return seconds


def _short(text: str) -> float | None:
    parts = [found.groups() for found in _SHORT.finditer(text)]
    # All of the text, with nothing in between.
    if not parts or _SHORT.sub("", text).strip():
        return None
    return sum(float(number) * _SECONDS[unit.lower()] for number, unit in parts)


def _iso(text: str) -> float | None:
    found = _ISO.fullmatch(text)
    if found is None or text[-1:] in {"T", "t"}:
        return None
    return sum(float(number) * unit for number, unit in zip(found.groups(), _SECONDS.values(), strict=True) if number)
