"""Single requests to TWS: the terms of an instrument, a search by text, and past bars."""

from __future__ import annotations

import asyncio
import functools
import logging
import math
import weakref
from collections.abc import Callable, Hashable

import polars as pl
from ib_async.contract import Contract, ContractDetails
from ib_async.objects import BarData

from ibdesk.clock import Clock
from ibdesk.errors import HistoryError, InstrumentError
from ibdesk.model import AnyInstrument, PriceIncrements
from ibdesk.tws.contracts import (
    Contracts,
    ambiguous,
    contract_of,
    increments_of,
    instrument_from,
    market_rule_of,
    the_one,
    unlisted_future,
)
from ibdesk.tws.history import bar_size, duration, end_before, frame_of, longest_span, no_bars, seconds_for
from ibdesk.tws.ids import Ids
from ibdesk.tws.matches import Match, match_from
from ibdesk.tws.recent_history import RecentHistory
from ibdesk.tws.requests import NoAnswerError, RequestError, Requests, market_rule
from ibdesk.tws.settings import TwsSettings
from ibdesk.tws.subscriptions import what_to_show
from ibdesk.tws.times import utc_text
from ibdesk.tws.wire import Wire

_log = logging.getLogger(__name__)

_SECOND = 1_000_000_000
# TWS's history server (HMDS) uses one code for "no data" and for all its refusals.
_HISTORY_REFUSED = 162
# More pages than this of bars up to 30 seconds would reach TWS's limit of 60 history requests in ten minutes.
_MOST_SMALL_PAGES, _SMALL_BAR_NS = 50, 30 * _SECOND
# For longer bars TWS limits only the span of one answer; this limit ends the loop.
_MOST_PAGES = 1_000
_PAGES_BETWEEN_WORDS = 10
# After this many pages in a row without bars, not counting nights and holidays, there are no earlier bars.
_MOST_EMPTY_PAGES = 3
# TWS's pause between two searches, and how long and how many of their answers are kept.
_SEARCH_SECONDS, _SEARCH_KEPT_SECONDS, _SEARCHES_KEPT = 1.0, 3600.0, 256


# Pauses before a history request that TWS refused as too soon is repeated. TWS allows five requests for bars up to 30
# seconds in two seconds, and one of equal requests in 15 seconds. Half a second is added because clocks differ.
_PAUSES_NS = (5 * _SECOND // 2, 31 * _SECOND // 2)


class Queries:
    """Requests over the current connection, with caches of their answers."""

    def __init__(
        self,
        settings: TwsSettings,
        *,
        clock: Clock,
        contracts: Contracts,
        ids: Ids,
        connected: Callable[[], tuple[Wire, Requests]],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._contracts = contracts
        self._ids = ids
        self._connected = connected
        self._search_turn = asyncio.Lock()
        self._searched_at = -math.inf
        # Answers to searches, with the times of their arrival.
        self._found: dict[str, tuple[float, list[Match]]] = {}
        # The price increments of the market rules requested so far, by number.
        self._rules: dict[int, PriceIncrements] = {}
        self._recent_history = RecentHistory()
        self._history_turns: weakref.WeakValueDictionary[Hashable, asyncio.Lock] = weakref.WeakValueDictionary()

    async def qualify(self, instrument: AnyInstrument) -> AnyInstrument:
        """Return the instrument completed with its terms at TWS, and remember its contract.

        Raises:
            InstrumentError: If TWS finds no instrument, or several.
            LinkError: If there is no connection, or no answer.
        """
        contract = contract_of(instrument)
        # The multiplier comes from TWS; ours only decides between several matches.
        contract.multiplier = ""
        what = f"{type(instrument).__name__.lower()} {instrument.id} in {instrument.currency} on {instrument.exchange}"
        details = the_one(instrument, await self._details(contract, instrument.id, what))
        return self._contracts.add(instrument, details, await self._increments(details, instrument.exchange))

    async def qualify_unlisted(self, symbol: str, expiry: str) -> AnyInstrument:
        """Return a future that is not in the shipped table, with exchange and terms from TWS.

        Raises:
            InstrumentError: If TWS finds no future, or several.
            LinkError: If there is no connection, or no answer.
        """
        name = f"{symbol}-{expiry}"
        found = await self._details(unlisted_future(symbol, expiry), name, f"future {name}")
        if len(found) != 1 or found[0].contract is None:
            raise InstrumentError(ambiguous(name, found))
        instrument = instrument_from(found[0].contract, found[0].priceMagnifier or 1)
        return self._contracts.add(instrument, found[0], await self._increments(found[0], instrument.exchange))

    async def _details(self, contract: Contract, name: str, what: str) -> list[ContractDetails]:
        wire, requests = self._connected()
        number = self._ids.take()
        try:
            return await requests.ask(number, lambda: wire.reqContractDetails(number, contract), f"the terms of {name}")
        except RequestError as error:
            raise InstrumentError(f"TWS knows no {what}: {error}") from error

    async def _increments(self, details: ContractDetails, exchange: str) -> PriceIncrements:
        """Return the price increments at an exchange; each market rule is requested once and kept."""
        rule = market_rule_of(details, exchange)
        if rule is None:
            return ()
        if rule not in self._rules:
            wire, requests = self._connected()
            try:
                told = await requests.ask(
                    market_rule(rule), lambda: wire.reqMarketRule(rule), f"the price increments of market rule {rule}"
                )
            except NoAnswerError:
                # TWS refuses an unknown rule with an error that names no request: the tick size is used.
                return ()
            self._rules[rule] = increments_of(told)
        return self._rules[rule]

    async def search(self, text: str) -> list[Match]:
        """Return TWS's instruments whose symbol or name resembles the text; answers are kept for an hour.

        Raises:
            InstrumentError: If TWS refuses the text.
            LinkError: If there is no connection, or no answer.
        """
        now = asyncio.get_running_loop().time()
        known = self._found.get(text)
        if known is not None and now - known[0] < _SEARCH_KEPT_SECONDS:
            return known[1]
        async with self._search_turn:
            # TWS allows one search a second.
            await asyncio.sleep(max(0.0, self._searched_at + _SEARCH_SECONDS - asyncio.get_running_loop().time()))
            wire, requests = self._connected()
            number = self._ids.take()
            try:
                found = await requests.ask(
                    number, lambda: wire.reqMatchingSymbols(number, text), f"the instruments named like {text!r}"
                )
            except RequestError as error:
                raise InstrumentError(f"TWS does not search for {text!r}: {error}") from error
            finally:
                self._searched_at = asyncio.get_running_loop().time()
        matches = [match_from(each) for each in found]
        if len(self._found) >= _SEARCHES_KEPT:
            del self._found[next(iter(self._found))]
        self._found[text] = self._searched_at, matches
        return matches

    async def history(
        self,
        instrument: AnyInstrument,
        *,
        interval_ns: int,
        count: int | None,
        seconds: float | None,
        end_ns: int | None,
    ) -> pl.DataFrame:
        """Return past bars, requested in as many pages as TWS's limits need.

        Raises:
            HistoryError: If TWS has none; the message contains its reason.
            InstrumentError: If the instrument is not qualified.
            LinkError: If there is no connection, or no answer.
        """
        if (count is None) == (seconds is None):
            raise HistoryError(f"history of {instrument.id}: give either count or seconds, and not both")
        known, _ = self._contracts.of(instrument.id)
        now = self._clock.now_ns()
        until = now if end_ns is None else min(end_ns, now)
        since = 0 if seconds is None else until - int(seconds * _SECOND)
        wanted = seconds_for(count, interval_ns, known.session) if count is not None else seconds or 0.0
        span = min(wanted, longest_span(interval_ns))
        most = _MOST_SMALL_PAGES if interval_ns <= _SMALL_BAR_NS else _MOST_PAGES
        if wanted > most * span:
            raise HistoryError(_too_much_words(instrument.id, interval_ns, most, span))
        frame, page_end, empty = no_bars(), None if until == now else until, 0
        for number in range(most):
            if number and number % _PAGES_BETWEEN_WORDS == 0:
                _log.info("history of %s: %d bars after %d requests", instrument.id, frame.height, number)
            page = await self._page(
                known, interval_ns=interval_ns, span=span, end_ns=page_end, until=until, is_first=frame.is_empty()
            )
            older = page if frame.is_empty() else page.filter(pl.col("opened_at") < frame["opened_at"][0])
            frame = pl.concat([older, frame])
            empty = empty + 1 if older.is_empty() else 0
            if frame.is_empty() or empty > _MOST_EMPTY_PAGES or frame.height >= (count or frame.height + 1):
                break
            if empty and page_end is not None:
                regular = self._settings.regular_hours_only
                page_end = end_before(known, page_end, span, regular_hours_only=regular)
            else:
                page_end = _first_ns(frame)
            if page_end <= since:
                break
        else:
            if count is not None:
                raise HistoryError(_too_much_words(instrument.id, interval_ns, most, span))
        frame = frame.filter(pl.col("opened_at").dt.epoch("ns") >= since)
        return frame if count is None else frame.tail(count)

    async def _page(
        self,
        instrument: AnyInstrument,
        *,
        interval_ns: int,
        span: float,
        end_ns: int | None,
        until: int,
        is_first: bool,
    ) -> pl.DataFrame:
        size, bars = bar_size(interval_ns), list[BarData]()
        try:
            bars = await self._bars(instrument, interval_ns=interval_ns, span=span, end_ns=end_ns)
        except RequestError as error:
            # This is the page before the first bar: the end, not an error.
            if is_first or error.code != _HISTORY_REFUSED or _is_too_soon(error):
                raise HistoryError(f"TWS sent no history of {instrument.id} in bars of {size}: {error}") from error
        return frame_of(bars, instrument, interval_ns=interval_ns, end_ns=until, zone=self._settings.time_zone)

    async def _bars(
        self, instrument: AnyInstrument, *, interval_ns: int, span: float, end_ns: int | None
    ) -> list[BarData]:
        """Return the bars of a span up to its end (None is now), from memory if TWS has just sent them.

        A request that TWS refuses as too soon is repeated after a pause. Now is written as a time, so that the same
        request a second later is a different one for TWS.

        Raises:
            RequestError: If TWS refuses.
            LinkError: If there is no connection, or no answer.
        """
        _, contract = self._contracts.of(instrument.id)
        shown, regular = what_to_show(instrument), self._settings.regular_hours_only
        question = instrument.id, duration(span), bar_size(interval_ns), shown, regular, end_ns
        # Of several equal requests at once, only one goes to TWS.
        async with self._history_turns.setdefault(question, asyncio.Lock()):
            pauses = iter(_PAUSES_NS)
            while True:
                now_ns = self._clock.now_ns()
                if end_ns is None:
                    recent = self._recent_history.up_to_now(question, now_ns, interval_ns)
                else:
                    recent = self._recent_history.up_to_an_end(question, now_ns)
                if recent is not None:
                    return recent
                wire, requests = self._connected()
                number, end = self._ids.take(), utc_text(now_ns if end_ns is None else end_ns)
                ask = functools.partial(
                    wire.reqHistoricalData,
                    *(number, contract, end, duration(span), bar_size(interval_ns), shown, regular, 2, False, []),
                )
                try:
                    bars: list[BarData] = await requests.ask(number, ask, f"the history of {instrument.id}")
                except RequestError as error:
                    pause_ns = next(pauses, 0)
                    if not (pause_ns and _is_too_soon(error)):
                        raise
                    _log.info("history of %s: asked again in %g s, %s", instrument.id, pause_ns / _SECOND, error)
                    await self._clock.wait_until(self._clock.now_ns() + pause_ns)
                    continue
                self._recent_history.put(question, bars, now_ns)
                return bars


def _is_too_soon(error: RequestError) -> bool:
    """Return whether TWS refuses a history because of its limits on requests."""
    return error.code == _HISTORY_REFUSED and "pacing violation" in error.text.lower()


def _too_much_words(name: str, interval_ns: int, pages: int, span: float) -> str:
    most = int(pages * span * _SECOND / interval_ns)
    return (
        f"that many bars of {name} take more than {pages} requests to TWS, which limits them: ask for at most {most:,} "
        f"bars of {bar_size(interval_ns)}, or for longer bars"
    )


def _first_ns(frame: pl.DataFrame) -> int:
    return int(frame["opened_at"].dt.epoch("ns")[0])
