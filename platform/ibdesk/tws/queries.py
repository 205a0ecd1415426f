"""What TWS is asked once: what an instrument is, what is called like a word, and past bars."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import polars as pl
from ib_async.objects import BarData

from ibdesk.clock import Clock
from ibdesk.errors import HistoryError, InstrumentError
from ibdesk.model import AnyInstrument
from ibdesk.tws.contracts import Contracts, contract_of
from ibdesk.tws.history import bar_size, duration, frame_of, longest_span, no_bars, seconds_for
from ibdesk.tws.ids import Ids
from ibdesk.tws.matches import Match, match_from
from ibdesk.tws.requests import RequestError, Requests
from ibdesk.tws.settings import TwsSettings
from ibdesk.tws.subscriptions import what_to_show
from ibdesk.tws.times import utc_text
from ibdesk.tws.wire import Wire

_SECOND = 1_000_000_000
# HMDS answers "no data" with the code of all its refusals.
_HISTORY_REFUSED = 162
# More pages than this of small bars would run into TWS's limit of 60 history requests in ten minutes.
_MOST_PAGES = 50
# How long TWS wants between two searches, and how long and how many of their answers are kept.
_SEARCH_SECONDS, _SEARCH_KEPT_SECONDS, _SEARCHES_KEPT = 1.0, 3600.0, 256


class Queries:
    """Asks over whatever connection there is."""

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
        # _found: answers to searches, with when they came.
        self._found: dict[str, tuple[float, list[Match]]] = {}

    async def qualify(self, instrument: AnyInstrument) -> AnyInstrument:
        """Return the instrument completed with what TWS knows of it, and remember its contract.

        Raises:
            InstrumentError: If TWS knows none, or several.
            LinkError: If there is no connection, or no answer.
        """
        wire, requests = self._connected()
        number, contract = self._ids.take(), contract_of(instrument)
        # The multiplier may be a guess: TWS is to tell it, and it only decides between several that match.
        contract.multiplier = ""
        try:
            found = await requests.ask(
                number, lambda: wire.reqContractDetails(number, contract), f"what {instrument.id} is"
            )
        except RequestError as error:
            raise InstrumentError(
                f"TWS knows no {type(instrument).__name__.lower()} {instrument.id} in {instrument.currency} "
                f"on {instrument.exchange}: {error}"
            ) from error
        return self._contracts.add(instrument, found)

    async def search(self, text: str) -> list[Match]:
        """Return what TWS has whose symbol or name is like the text, from memory when that is known for an hour.

        Raises:
            InstrumentError: If TWS refuses the text.
            LinkError: If there is no connection, or no answer.
        """
        now = asyncio.get_running_loop().time()
        known = self._found.get(text)
        if known is not None and now - known[0] < _SEARCH_KEPT_SECONDS:
            return known[1]
        async with self._search_turn:
            # TWS takes one such question a second.
            await asyncio.sleep(max(0.0, self._searched_at + _SEARCH_SECONDS - asyncio.get_running_loop().time()))
            wire, requests = self._connected()
            number = self._ids.take()
            try:
                found = await requests.ask(
                    number, lambda: wire.reqMatchingSymbols(number, text), f"what is called like {text!r}"
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
        """Return past bars, asked for in as many pages as TWS's limits need.

        Raises:
            HistoryError: If TWS has none; the sentence carries its reason.
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
        frame, page_end = no_bars(), end_ns
        for _ in range(_MOST_PAGES):
            page = await self._page(
                known, interval_ns=interval_ns, span=span, end_ns=page_end, until=until, is_first=frame.is_empty()
            )
            older = page if frame.is_empty() else page.filter(pl.col("opened_at") < frame["opened_at"][0])
            frame = pl.concat([older, frame])
            if older.is_empty() or frame.height >= (count or frame.height + 1):
                break
            page_end = _first_ns(frame)
            if page_end <= since:
                break
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
        wire, requests = self._connected()
        _, contract = self._contracts.of(instrument.id)
        number, size = self._ids.take(), bar_size(interval_ns)
        end = "" if end_ns is None else utc_text(end_ns)
        bars: list[BarData] = []
        try:
            bars = await requests.ask(
                number,
                lambda: wire.reqHistoricalData(
                    number,
                    contract,
                    end,
                    duration(span),
                    size,
                    what_to_show(instrument),
                    self._settings.regular_hours_only,
                    2,
                    False,
                    [],
                ),
                f"the history of {instrument.id}",
            )
        except RequestError as error:
            # The page before the first bar there is: not an error, the end.
            if is_first or error.code != _HISTORY_REFUSED:
                raise HistoryError(f"TWS gave no history of {instrument.id} in bars of {size}: {error}") from error
        return frame_of(bars, instrument, interval_ns=interval_ns, end_ns=until, zone=self._settings.time_zone)


def _first_ns(frame: pl.DataFrame) -> int:
    return int(frame["opened_at"].dt.epoch("ns")[0])
