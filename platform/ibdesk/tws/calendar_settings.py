"""The settings of the calendar of IB and TWS, and the calendar that they describe."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec
from pydantic import Field, field_validator

from ibdesk.config import Section
from ibdesk.model import WindowKind
from ibdesk.tws.calendar import TwsCalendar, WindowRule
from ibdesk.tws.ibc import IbcTimes, read_ibc

_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY_TIME = re.compile(rf"({'|'.join(_DAYS)}) ((?:[01]\d|2[0-3]):[0-5]\d)")
_HOURS = re.compile(r"((?:[01]\d|2[0-3]):[0-5]\d)-((?:[01]\d|2[0-3]):[0-5]\d|24:00)")
_EVERY_DAY, _SUNDAY = frozenset(range(7)), 6
_NEW_YORK = "America/New_York"
# Where IBC's guide tells users to put the file.
_USUAL_IBC = Path("~/ibc/config.ini")


class _Reset(msgspec.Struct, frozen=True):
    begins: dt.time
    until: dt.time


class _Region(msgspec.Struct, frozen=True):
    zone: str
    resets: tuple[_Reset, ...]


# The daily resets from Sunday to Friday by region, and the weekend reset of all regions, as IB publishes them under
# "System Status" (interactivebrokers.com/software/systemStatus.php, as of 2026).
_REGIONS = {
    "us": _Region(_NEW_YORK, (_Reset(dt.time(0, 15), dt.time(1, 45)),)),
    "europe": _Region("Europe/Berlin", (_Reset(dt.time(6, 25), dt.time(7, 45)),)),
    "asia": _Region(
        "Asia/Hong_Kong",
        (_Reset(dt.time(4, 45), dt.time(6, 5)), _Reset(dt.time(20, 15), dt.time(21, 15))),
    ),
}
_SUNDAY_TO_FRIDAY = _EVERY_DAY - {5}
_FRIDAY = 4
_WEEKEND = _Reset(dt.time(23, 0), dt.time(3, 0))
# IB ends all logins of a week on Sunday at 1:00 in New York (IBKR Guides, "Auto Restart Considerations").
_WEEKLY_LOGIN = (_SUNDAY, dt.time(1, 0))
# TWS's default time of restart or log-off.
_USUAL_RESTART = dt.time(23, 45)


class CalendarSettings(Section):
    """When IB and TWS are away by plan. No order that opens a position leaves in these windows."""

    region: Literal["us", "europe", "asia", "none"] = Field(
        "us",
        description="region whose reset windows apply, as IB publishes them; none: only the windows set here",
    )
    zone: str = Field("", description="zone of the times here, that of TWS; the region's when empty")
    restart_time: str = Field(
        "", description="when TWS restarts each day, as 23:45; IBC's or TWS's usual time when empty"
    )
    restart_minutes: float = Field(10.0, gt=0, le=240, description="how long a restart may take, minutes")
    weekly_login: str = Field(
        "", description="when IB ends the week's login, as Sun 01:00; IBC's or IB's default time when empty"
    )
    two_factor_hours: str = Field(
        "00:00-24:00", description="hours of the day in which a person can confirm a login, as 08:00-22:00"
    )
    login_minutes: float = Field(30.0, gt=0, le=720, description="how long a login by a person may take, minutes")
    guard_minutes: float = Field(
        5.0, ge=0, le=240, description="how long before a window no more orders open a position, minutes"
    )
    ibc_config: Path | None = Field(None, description="IBC's config.ini; ~/ibc/config.ini if it exists")

    @field_validator("zone")
    @classmethod
    def _is_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone or "UTC")
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{zone!r} is not a time zone, try America/New_York") from None
        return zone

    @field_validator("restart_time")
    @classmethod
    def _is_time(cls, text: str) -> str:
        if text and _TIME.fullmatch(text) is None:
            raise ValueError("it must be a time of 24 hours such as 23:45")
        return text

    @field_validator("weekly_login")
    @classmethod
    def _is_day_time(cls, text: str) -> str:
        if text and _DAY_TIME.fullmatch(text) is None:
            raise ValueError("it must be a day and a time such as Sun 01:00")
        return text

    @field_validator("two_factor_hours")
    @classmethod
    def _are_hours(cls, text: str) -> str:
        match = _HOURS.fullmatch(text)
        if match is None or match[1] == match[2]:
            raise ValueError("it must be two times such as 08:00-22:00")
        return text

    def calendar(self) -> TwsCalendar:
        """Return the calendar that these settings and IBC's file describe.

        Raises:
            ConfigError: If IBC's file was named and cannot be read, or contains an invalid time.
        """
        return TwsCalendar(tuple(self._rules(self._ibc())), guard_minutes=self.guard_minutes)

    def _ibc(self) -> IbcTimes:
        if self.ibc_config is not None:
            return read_ibc(self.ibc_config.expanduser())
        usual = _USUAL_IBC.expanduser()
        return read_ibc(usual) if self.region != "none" and usual.is_file() else IbcTimes()

    def _rules(self, ibc: IbcTimes) -> list[WindowRule]:
        region = _REGIONS.get(self.region)
        zone = self.zone or (region.zone if region else "UTC")
        return [*self._of_ib(region), *self._of_tws(ibc, zone), *self._of_week(ibc, zone)]

    def _of_ib(self, region: _Region | None) -> list[WindowRule]:
        """Return the resets of IB's servers."""
        if region is None:
            return []
        resets = [
            WindowRule(
                kind=WindowKind.SERVER_RESET,
                zone=region.zone,
                weekdays=_SUNDAY_TO_FRIDAY,
                begins=reset.begins,
                until=reset.until,
            )
            for reset in region.resets
        ]
        weekend = WindowRule(
            kind=WindowKind.WEEKEND_RESET,
            zone=_NEW_YORK,
            weekdays=frozenset({_FRIDAY}),
            begins=_WEEKEND.begins,
            until=_WEEKEND.until,
        )
        return [*resets, weekend]

    def _of_tws(self, ibc: IbcTimes, zone: str) -> list[WindowRule]:
        """Return TWS's own restarts and closings."""
        usual = None if self.region == "none" else _USUAL_RESTART
        log_off = None if self.restart_time else ibc.auto_logoff
        restart = _time(self.restart_time) if self.restart_time else ibc.auto_restart
        if restart is None and log_off is None:
            restart = usual
        found = []
        if restart is not None:
            found.append(
                WindowRule(
                    kind=WindowKind.DAILY_RESTART,
                    zone=zone,
                    weekdays=_EVERY_DAY,
                    begins=restart,
                    minutes=self.restart_minutes,
                )
            )
        if log_off is not None:
            found.append(self._login(WindowKind.LOG_OFF, zone, _EVERY_DAY, log_off, zone))
        if ibc.closedown is not None:
            day = ibc.closedown_weekday
            days = _EVERY_DAY if day is None else frozenset({day})
            found.append(self._login(WindowKind.LOG_OFF, zone, days, ibc.closedown, zone))
        return found

    def _of_week(self, ibc: IbcTimes, zone: str) -> list[WindowRule]:
        """Return the end of the week's login, after which a person has to confirm the next one."""
        if match := _DAY_TIME.fullmatch(self.weekly_login):
            day, time, at = _DAYS.index(match[1]), _time(match[2]), zone
        elif ibc.cold_restart is not None:
            day, time, at = _SUNDAY, ibc.cold_restart, zone
        elif self.region != "none":
            (day, time), at = _WEEKLY_LOGIN, _NEW_YORK
        else:
            return []
        return [self._login(WindowKind.WEEKLY_LOGIN, at, frozenset({day}), time, zone)]

    def _login(
        self, kind: WindowKind, zone: str, weekdays: frozenset[int], begins: dt.time, person_zone: str
    ) -> WindowRule:
        """Return a window that ends once a person has had `login_minutes` within `two_factor_hours` to log in."""
        return WindowRule(
            kind=kind,
            zone=zone,
            weekdays=weekdays,
            begins=begins,
            minutes=self.login_minutes,
            hours=_hours(self.two_factor_hours),
            hours_zone=person_zone,
        )


def _time(text: str) -> dt.time:
    return dt.time.fromisoformat(text)


def _hours(text: str) -> tuple[dt.time, dt.time] | None:
    """Return the first and last time of the hours; None for the whole day."""
    first, last = text.split("-")
    if (first, last) == ("00:00", "24:00"):
        return None
    return _time(first), _time("00:00" if last == "24:00" else last)
