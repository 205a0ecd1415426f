"""Instants: whole nanoseconds since 1970 UTC inside, `datetime` with a zone at every public edge."""

from __future__ import annotations

import datetime as dt

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


def moment(time_ns: int) -> dt.datetime:
    """Return the instant as a UTC datetime, cut to whole microseconds."""
    return _EPOCH + dt.timedelta(microseconds=time_ns // 1000)


def nanoseconds(time: dt.datetime) -> int:
    """Return the instant in ns UTC, exactly.

    Raises:
        ValueError: If the datetime has no zone.
    """
    if time.tzinfo is None:
        raise ValueError(f"{time.isoformat()} has no time zone")
    return (time - _EPOCH) // _MICROSECOND * 1000
