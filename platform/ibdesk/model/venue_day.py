"""What the venue says of its day: windows in which it is away, its clock, the sessions of its instruments."""

from __future__ import annotations

import enum

import msgspec


class WindowKind(enum.Enum):
    """What happens in a window; the value is also the rule that denies an order for it."""

    # DAILY_RESTART: TWS or IB Gateway restarts by itself and logs in again without a person.
    DAILY_RESTART = "daily_restart"
    # LOG_OFF: TWS or IB Gateway closes; somebody or something has to start it again.
    LOG_OFF = "log_off"
    # WEEKLY_LOGIN: IB ends the week's login; a person has to confirm the next one with a second factor.
    WEEKLY_LOGIN = "weekly_login"
    # SERVER_RESET: IB's servers are reset, region by region, each night.
    SERVER_RESET = "server_reset"
    # WEEKEND_RESET: all of IB's services are unavailable, in all regions, from Friday to Saturday.
    WEEKEND_RESET = "weekend_reset"


class VenueWindow(msgspec.Struct, frozen=True, kw_only=True, tag="venue_window"):
    """The window that runs or comes next, as an event: no order that opens a position leaves in it.

    `guard_ns` is when opening orders end, `begins_ns` when the venue may go away, `ends_ns` when it is to be back. An
    engine keeps the last one it was told of.
    """

    kind: WindowKind
    guard_ns: int
    begins_ns: int
    ends_ns: int
    at_ns: int = 0

    def bars(self, at_ns: int) -> bool:
        """Return whether opening orders may not leave at this instant."""
        return self.guard_ns <= at_ns < self.ends_ns


class ClockChecked(msgspec.Struct, frozen=True, tag="clock_checked"):
    """How far our clock is ahead of the venue's (negative: behind), and how far it may be; told when that changes.

    `drift_seconds` is zero while the measurement, with all that it leaves open, allows for a drift within the limit.
    """

    drift_seconds: float
    limit_seconds: float
    at_ns: int

    @property
    def is_beyond(self) -> bool:
        """Return whether times may not be compared."""
        return abs(self.drift_seconds) > self.limit_seconds


class TradingHours(msgspec.Struct, frozen=True, tag="trading_hours"):
    """The sessions of an instrument in the coming days, as the venue tells them: pairs of open and close (ns UTC).

    `extended` are those in which it trades at all, `regular` those in which an order trades that does not ask for
    more. Both are in order of time; after `known_until_ns` nothing is known.
    """

    instrument: str
    regular: list[tuple[int, int]]
    extended: list[tuple[int, int]]
    known_until_ns: int
    at_ns: int
