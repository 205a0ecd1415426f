"""The times in IBC's ``config.ini`` at which TWS restarts and closes.

IBC starts TWS or IB Gateway without a person. The file also holds the login: only the four keys below are read, and
nothing else is kept. Times are in the zone of the machine that runs IBC.
"""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import msgspec

from ibdesk.errors import ConfigError

# The template that IBC ships has 20 kB.
_LONGEST_FILE = 1024 * 1024
_LINE = re.compile(r"\s*([A-Za-z]+)\s*[=:]\s*(.*?)\s*")
# AutoRestartTime and AutoLogoffTime are written like ``08:35 PM``.
_HALF_DAY_TIME = re.compile(r"(0?[1-9]|1[0-2]):([0-5]\d) ?([AaPp])[Mm]")
# ColdRestartTime and ClosedownAt are written like ``22:00``, the latter perhaps with a day in the machine's language.
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class IbcTimes(msgspec.Struct, frozen=True, kw_only=True):
    """The times at which TWS restarts, logs off and closes, in the machine's zone; None where IBC leaves it to TWS.

    `cold_restart` is on Sunday. `closedown_weekday` (Monday is 0) is None for a closedown on every day. A day whose
    name is not English also counts as every day: a window too many is the safer error.
    """

    auto_restart: dt.time | None = None
    auto_logoff: dt.time | None = None
    cold_restart: dt.time | None = None
    closedown: dt.time | None = None
    closedown_weekday: int | None = None


def read_ibc(path: Path) -> IbcTimes:
    """Return the times in IBC's file.

    Raises:
        ConfigError: If the file cannot be read, or one of the times is invalid; other lines are ignored.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST_FILE + 1)
    except OSError as error:
        raise ConfigError(
            f"tws.calendar.ibc_config: {path} cannot be read ({error.strerror or error}): name IBC's config.ini"
        ) from error
    if len(data) > _LONGEST_FILE:
        raise ConfigError(f"tws.calendar.ibc_config: {path} is longer than {_LONGEST_FILE:,} bytes: is it IBC's file?")
    # Java reads the file as Latin-1, in which every byte is a character.
    return parse_ibc(data.decode("latin-1"))


def parse_ibc(text: str) -> IbcTimes:
    """Return the times in the text of IBC's file; the last of repeated keys counts, as in Java.

    Raises:
        ConfigError: If a time is invalid; the message names the key.
    """
    values = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match is not None and not line.lstrip().startswith(("#", "!")):
            values[match[1]] = match[2]
    day, _, time = values.get("ClosedownAt", "").rpartition(" ")
    return IbcTimes(
        auto_restart=_half_day_time("AutoRestartTime", values.get("AutoRestartTime", "")),
        auto_logoff=_half_day_time("AutoLogoffTime", values.get("AutoLogoffTime", "")),
        cold_restart=_time("ColdRestartTime", values.get("ColdRestartTime", "")),
        closedown=_time("ClosedownAt", time),
        closedown_weekday=_DAYS.index(day.strip().lower()) if day.strip().lower() in _DAYS else None,
    )


def _half_day_time(key: str, value: str) -> dt.time | None:
    if not value:
        return None
    match = _HALF_DAY_TIME.fullmatch(value)
    if match is None:
        raise ConfigError(f"{key} of IBC's config.ini is {_shown(value)}, not a time such as 11:55 PM")
    hour = int(match[1]) % 12 + (12 if match[3] in "Pp" else 0)
    return dt.time(hour, int(match[2]))


def _time(key: str, value: str) -> dt.time | None:
    if not value:
        return None
    match = _TIME.fullmatch(value)
    if match is None:
        raise ConfigError(f"{key} of IBC's config.ini is {_shown(value)}, not a time such as 22:00")
    return dt.time(int(match[1]), int(match[2]))


def _shown(value: str) -> str:
    return repr(value if len(value) <= 40 else value[:40] + "...")
