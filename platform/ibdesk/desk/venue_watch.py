"""Reports of the venue's day to the engine: the next window of absence, and the sessions of its instruments."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import msgspec

from ibdesk.clock import Clock
from ibdesk.engine.market import Market
from ibdesk.errors import InstrumentError, LinkError
from ibdesk.model import Event, Link, Notice, Severity, TradingHours, VenueWindow, moment
from ibdesk.tws import TwsService
from ibdesk.tws.calendar import TwsCalendar

_log = logging.getLogger(__name__)

# TWS reports the sessions of six days: they are requested again long before those are over.
_HOURS_ASKED_EVERY_NS = 6 * 3600 * 1_000_000_000


class VenueWatch:
    """The calendar of the venue, and the last reports of it. All methods belong to the desk's loop."""

    def __init__(self, calendar: TwsCalendar, clock: Clock, turn: Callable[[Event], None]) -> None:
        self._calendar, self._clock, self._turn = calendar, clock, turn
        # The last reported window; once it is over, `look` replaces it within a moment.
        self.window: VenueWindow | None = None
        self._overruns = False
        self._hours: dict[str, TradingHours] = {}

    def is_away(self) -> bool:
        """Return whether TWS may be away now as planned, or stays away longer after an alert said so."""
        return self._overruns or (self.window is not None and self.window.begins_ns <= self._clock.now_ns())

    def look(self, link: Link) -> None:
        """Report the next window once the current one is over, and an overrun if TWS is not back by then."""
        if not self._calendar.rules:
            return
        if self._overruns and link is Link.UP:
            self._overruns = False
        now_ns, ended = self._clock.now_ns(), self.window
        if ended is not None and now_ns < ended.ends_ns:
            return
        window = self._calendar.window(now_ns)
        self.window = None if window is None else msgspec.structs.replace(window, at_ns=now_ns)
        if self.window is not None:
            self._turn(self.window)
        if ended is not None and link is not Link.UP and not self._overruns:
            self._overruns = True
            what, due = ended.kind.value.replace("_", " "), moment(ended.ends_ns)
            text = (
                f"TWS was due back from its {what} by {due:%Y-%m-%d %H:%M} UTC and the link is {link.value}: check "
                f"whether TWS runs, and whether a login waits for a person"
            )
            self._turn(Notice(text, now_ns, Severity.ERROR))

    def take_hours(self, hours: TradingHours | None) -> None:
        """Report the sessions of an instrument if they are known and have changed."""
        if hours is None:
            return
        known = self._hours.get(hours.instrument)
        if known is None or msgspec.structs.replace(known, at_ns=hours.at_ns) != hours:
            self._hours[hours.instrument] = hours
            self._turn(hours)

    async def keep_hours(self, service: TwsService, markets: Mapping[str, Market]) -> None:
        """Request the sessions of all instruments every six hours, until cancelled."""
        while True:
            await self._clock.wait_until(self._clock.now_ns() + _HOURS_ASKED_EVERY_NS)
            for instrument in [market.instrument for market in markets.values()]:
                try:
                    await service.qualify(instrument)
                except (InstrumentError, LinkError) as error:
                    _log.warning("the sessions of %s could not be updated: %s", instrument.id, error)
                self.take_hours(service.trading_hours(instrument.id))
