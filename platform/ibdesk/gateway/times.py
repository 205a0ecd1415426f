"""Times in TWS's formats, and reading of clients' times."""

from __future__ import annotations

import datetime as dt
import functools
from zoneinfo import ZoneInfo

from ibdesk.clock import SECOND
from ibdesk.gateway.refusal import invalid

ZONE_NAME = "US/Eastern"
ZONE = ZoneInfo(ZONE_NAME)
# From this server version on, times have a zone.
ZONES_SINCE = 174
_FORMS = ("%Y%m%d %H:%M:%S", "%Y%m%d-%H:%M:%S", "%Y%m%d")


def local(time_ns: int) -> dt.datetime:
    """Return a time (ns UTC) in the gateway's zone."""
    return dt.datetime.fromtimestamp(time_ns // SECOND, ZONE)


def stamp(time_ns: int, version: int) -> str:
    """Return a date and time: ``20260413 15:27:04 US/Eastern``, without the zone (and two blanks) below 174."""
    hours, rest = divmod(time_ns // SECOND, 3600)
    day, hour = _local_hour(hours)
    minute, second = divmod(rest, 60)
    if version >= ZONES_SINCE:
        return f"{day} {hour}:{minute:02d}:{second:02d} {ZONE_NAME}"
    return f"{day}  {hour}:{minute:02d}:{second:02d}"


@functools.lru_cache(maxsize=4096)
def _local_hour(hours: int) -> tuple[str, str]:
    """Return day and hour of `hours` since 1970 UTC; the gateway's zone is whole hours from UTC."""
    time = local(hours * 3600 * SECOND)
    return f"{time:%Y%m%d}", f"{time:%H}"


def utc_stamp(time_ns: int) -> str:
    """Return a date and time in UTC in the format of head timestamps: ``19801212-14:30:00``."""
    return f"{dt.datetime.fromtimestamp(time_ns // SECOND, dt.UTC):%Y%m%d-%H:%M:%S}"


def midnight(at_ns: int, *, days: int = 0) -> int:
    """Return the beginning of the day in the gateway's zone, or of the day `days` later, ns UTC."""
    begun = local(at_ns).replace(hour=0, minute=0, second=0) + dt.timedelta(days=days)
    return int(begun.timestamp()) * SECOND


def greeting(time_ns: int) -> str:
    """Return the time in the format of the handshake: ``20261122 10:56:57 EST``."""
    return f"{local(time_ns):%Y%m%d %H:%M:%S %Z}"


def read_time(text: str, *, now_ns: int | None = None) -> int:
    """Return the time (ns UTC) in a client's text; without a zone it is the gateway's.

    ``yyyymmdd-hh:mm:ss`` is UTC; ``yyyymmdd hh:mm:ss [zone]`` and ``yyyymmdd`` are local. With `now_ns` so is
    ``hh:mm:ss [zone]``, a time of the zone's present day.

    Raises:
        RefusedError: If it has none of these forms (error 321).
    """
    words = text.split()
    zone = ZONE
    if len(words) > 1 and ":" not in words[-1]:
        zone_name = words.pop()
        try:
            zone = ZoneInfo(zone_name)
        except (KeyError, ValueError, OSError):
            raise invalid(f"Invalid time zone {zone_name!r} in {text!r}") from None
    if now_ns is not None and len(words) == 1 and len(words[0]) == len("hh:mm:ss") and ":" in words[0]:
        words.insert(0, f"{dt.datetime.fromtimestamp(now_ns // SECOND, zone):%Y%m%d}")
    for form in _FORMS:
        try:
            time = dt.datetime.strptime(" ".join(words), form)  # noqa: DTZ007 - the zone follows in the next line
        except ValueError:
            continue
        if not 1900 <= time.year <= 2200:
            break
        aware = time.replace(tzinfo=dt.UTC if form == _FORMS[1] else zone)
        return int(aware.timestamp()) * SECOND
    raise invalid(f"Invalid date/time {text!r}: write yyyymmdd hh:mm:ss with a zone, or yyyymmdd-hh:mm:ss in UTC")
