"""The venue's day: windows in which it is away, its clock, the sessions of its instruments."""

from __future__ import annotations

import enum

import msgspec


class WindowKind(enum.Enum):
    """The kind of a window; the value is also the name of the rule that denies an order in it."""

    DAILY_RESTART = "daily_restart"
    """TWS or IB Gateway restarts by itself and logs in again without a person."""
    LOG_OFF = "log_off"
    """TWS or IB Gateway closes; a person or a program must start it again."""
    WEEKLY_LOGIN = "weekly_login"
    """IB ends the week's login; a person must confirm the next one with a second factor."""
    SERVER_RESET = "server_reset"
    """IB's servers are reset each night, region by region."""
    WEEKEND_RESET = "weekend_reset"
    """All of IB's services are unavailable, in all regions, from Friday to Saturday."""


class VenueWindow(msgspec.Struct, frozen=True, kw_only=True, tag="venue_window"):
    """The current or next window: no order that opens a position leaves in it.

    Opening orders end at `guard_ns`; the venue may go away at `begins_ns` and should be back at `ends_ns`. The engine
    keeps the last window that it received.
    """

    kind: WindowKind
    guard_ns: int
    begins_ns: int
    ends_ns: int
    at_ns: int = 0

    def bars(self, at_ns: int) -> bool:
        """Return whether opening orders are barred at this time."""
        return self.guard_ns <= at_ns < self.ends_ns


class ClockChecked(msgspec.Struct, frozen=True, tag="clock_checked"):
    """The lead of our clock over the venue's (negative: behind) and its limit; sent when they change.

    `drift_seconds` is zero while the measurement, given its uncertainty, is compatible with a drift within the limit.
    """

    drift_seconds: float
    limit_seconds: float
    at_ns: int

    @property
    def is_beyond(self) -> bool:
        """Return whether the drift is too large to compare times."""
        return abs(self.drift_seconds) > self.limit_seconds


class TradingHours(msgspec.Struct, frozen=True, tag="trading_hours"):
    """The sessions of an instrument in the coming days, as the venue reports them: pairs of open and close (ns UTC).

    It trades in the `extended` sessions; an order that does not ask for them trades in the `regular` ones only. Both
    lists are in order of time; nothing is known after `known_until_ns`.
    """

    instrument: str
    regular: list[tuple[int, int]]
    extended: list[tuple[int, int]]
    known_until_ns: int
    at_ns: int
