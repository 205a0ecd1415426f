"""The history of one session: bars, ticks, histograms, sessions, and head timestamps.

As in TWS, the last bar of an answer that reaches up to now is unfinished. A long answer is computed over several turns
of the loop, so answers may arrive in another order than their requests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from ibdesk.clock import SECOND
from ibdesk.gateway.contracts.book import ContractBook
from ibdesk.gateway.contracts.contract import ContractData
from ibdesk.gateway.handlers.chart import BarsRequest, Charts
from ibdesk.gateway.handlers.past_ticks import MAX_TICKS, PastTicks, TicksRequest
from ibdesk.gateway.handlers.reference import the_contract
from ibdesk.gateway.market.bars import duration
from ibdesk.gateway.market.control import MarketControl
from ibdesk.gateway.market.instrument_state import InstrumentState, PartialBar
from ibdesk.gateway.market.source import Prints, no_prints
from ibdesk.gateway.market.tape import Tape
from ibdesk.gateway.market.time_slicer import SlicedJob, TimeSlicer
from ibdesk.gateway.market.trading_time import TradingTime
from ibdesk.gateway.protocol.codec import Fields, historical_frame
from ibdesk.gateway.refusal import RefusedError, invalid, no_history
from ibdesk.gateway.session import RequestMethod, Session
from ibdesk.gateway.times import read_time, utc_stamp
from ibdesk.model import Quote, Tick


class LiveBars:
    """A history that is kept up to date: the unfinished bar is sent again every five seconds."""

    def __init__(self, send: Callable[[int], None]) -> None:
        self._send = send

    def on_quote(self, quote: Quote) -> None:
        """Ignore it: the bar is sent every five seconds."""

    def on_tick(self, tick: Tick) -> None:
        """Ignore it: the bar is sent every five seconds."""

    def on_bar(self, instrument: str, opened_ns: int, bars: dict[str, PartialBar]) -> None:  # noqa: ARG002
        """Send the bar that contains the last five seconds."""
        self._send(opened_ns)

    def on_state(self, state: InstrumentState) -> None:
        """Ignore it: bars end and begin by themselves."""


class HistoryService:
    """The market's past, and the work on long answers, shared by all sessions."""

    def __init__(self, tape: Tape, market: MarketControl, trading_time: TradingTime, past_ticks: PastTicks) -> None:
        self.tape = tape
        self.market = market
        self.time = trading_time
        self.past_ticks = past_ticks
        self.charts = Charts(tape.source, market, trading_time)
        self.time_slicer = TimeSlicer()


class HistoryRequests:
    """The history requests of one session."""

    def __init__(
        self, session: Session, history_service: HistoryService, contracts: ContractBook, now_ns: Callable[[], int]
    ) -> None:
        self._session = session
        self._history_service = history_service
        self._contracts = contracts
        self._now_ns = now_ns
        self._jobs: dict[int, SlicedJob] = {}
        self._live: dict[int, tuple[str, LiveBars]] = {}

    def methods(self) -> Mapping[str, RequestMethod]:
        """Return the method of each request, by message name."""
        return {
            "reqHistoricalData": self.bars,
            "cancelHistoricalData": self.cancel,
            "reqHeadTimeStamp": self.head,
            "reqHistogramData": self.histogram,
            "reqHistoricalTicks": self.ticks,
            # These requests are answered immediately, so there is nothing to cancel; clients cancel them nevertheless.
            "cancelHeadTimeStamp": _silence,
            "cancelHistogramData": _silence,
        }

    def end_subscriptions(self) -> None:
        """End all subscriptions and all work."""
        for job in self._jobs.values():
            job.cancel()
        self._jobs.clear()
        for instrument, live in self._live.values():
            self._history_service.tape.unwatch(instrument, live)
        self._live.clear()

    # ---- bars -------------------------------------------------------------------------------------------------

    def bars(self, query: Fields) -> None:
        """Send the bars of a span; error 162 if there are none."""
        request_id, keep = query.required("reqId"), query.flag("keepUpToDate")
        request = BarsRequest(query, self._contract(query), self._now_ns())
        if keep and query.text("endDateTime"):
            raise invalid("A history that is kept up to date has no end time")
        if keep and (request.interval_ns < 5 * SECOND or request.what in ("SCHEDULE", "BID_ASK")):
            raise invalid("A history that is kept up to date has bars of 5 seconds or more, of one kind of price")
        if request_id in self._live or request_id in self._jobs:
            raise RefusedError(102, "Duplicate ticker ID.")
        pacing = self._session.allowance.history
        pacing.ask(query, request.contract.id, interval_ns=request.interval_ns)
        if request.what == "SCHEDULE":
            self._send_schedule(request_id, request)
            return
        job = self._jobs[request_id] = SlicedJob(self._answer(request_id, request, keep=keep))
        self._history_service.time_slicer.begin(job)

    def _answer(self, request_id: int, request: BarsRequest, *, keep: bool) -> Iterator[None]:
        """Compute the answer in pieces and send it in one message."""
        version = self._session.version
        try:
            answer = yield from self._history_service.charts.answer(request, version)
        except RefusedError as refusal:
            self._jobs.pop(request_id, None)
            self._session.error(request_id, refusal.code, refusal.text)
            return
        self._jobs.pop(request_id, None)
        if not answer.count:
            text = f"HMDS query returned no data: {request.contract.at_venue()} {request.shown_name()}"
            nothing = no_history(text)
            self._session.error(request_id, nothing.code, nothing.text)
            return
        self._session.send_frame(historical_frame(request_id, *request.limits(version), answer.count, answer.pieces))
        if keep:
            live = LiveBars(lambda opened_ns: self._update(request_id, request, opened_ns))
            self._live[request_id] = (request.contract.id, live)
            self._history_service.tape.watch(request.contract.id, live)

    def _update(self, request_id: int, request: BarsRequest, opened_ns: int) -> None:
        start_ns = opened_ns // request.interval_ns * request.interval_ns
        bars = self._history_service.charts.between(request, start_ns, opened_ns + 5 * SECOND)
        if not len(bars):
            return
        trades = request.is_trades
        self._session.send(
            "historicalDataUpdate",
            reqId=request_id,
            barCount=int(bars.count[-1]) if trades else -1,
            date=request.date(int(bars.opened[-1]), self._session.version),
            open=float(bars.open[-1]),
            close=float(bars.close[-1]),
            high=float(bars.high[-1]),
            low=float(bars.low[-1]),
            wap=float(bars.average[-1]) if trades else -1,
            volume=float(bars.volume[-1]) if trades else -1,
        )

    def _send_schedule(self, request_id: int, request: BarsRequest) -> None:
        """Send the sessions of the span by the exchange's calendar, whether or not the market keeps hours."""
        hours, end_ns = request.contract.hours, min(request.end_ns, request.now_ns)
        rows = hours.schedule(end_ns - request.span_ns, end_ns, outside_rth=request.outside_rth)
        if not rows:
            raise no_history(f"HMDS query returned no data: {request.contract.at_venue()} Schedule")
        self._session.send(
            "historicalSchedule",
            reqId=request_id,
            start=rows[0]["sessionStart"],
            end=rows[-1]["sessionEnd"],
            timeZone=hours.zone_name,
            sessions=rows,
        )

    def cancel(self, query: Fields) -> None:
        """End an unfinished answer, or a history that is kept up to date; TWS confirms with error 162 (reported)."""
        request_id = query.required("reqId")
        if request_id in self._jobs:
            self._jobs.pop(request_id).cancel()
        elif request_id in self._live:
            instrument, live = self._live.pop(request_id)
            self._history_service.tape.unwatch(instrument, live)
        else:
            raise RefusedError(366, f"No historical data query found for ticker id:{request_id}")
        raise no_history(f"API historical data query cancelled: {request_id}")

    # ---- smaller requests -------------------------------------------------------------------------------------

    def head(self, query: Fields) -> None:
        """Send the time at which the history of a contract begins."""
        contract = self._contract(query)
        first_ns = self._history_service.market.first_ns(contract.id)
        if first_ns is None:
            raise no_history(f"No head time stamp for {contract.at_venue()}")
        text = str(first_ns // SECOND) if query.whole("formatDate") == 2 else utc_stamp(first_ns)
        self._session.send("headTimestamp", reqId=query.required("reqId"), timestamp=text)

    def histogram(self, query: Fields) -> None:
        """Send the volume at each price over the last span of time."""
        contract = self._contract(query)
        span_ns = duration(_spoken(query.text("timePeriod")))
        prints = self._prints(contract, self._now_ns() - span_ns, self._now_ns() + 1)
        kept = self._history_service.time.within(contract, prints.times, outside_rth=not query.flag("useRTH"))
        prices, places = np.unique(prints.prices[kept], return_inverse=True)
        sizes = np.bincount(places, weights=prints.sizes[kept], minlength=len(prices))
        items = [{"price": price, "size": size} for price, size in zip(prices.tolist(), sizes.tolist(), strict=True)]
        self._session.send("histogramData", reqId=query.required("reqId"), items=items)

    def ticks(self, query: Fields) -> None:
        """Send trades, quotes or midpoints from a start time on, or up to an end time."""
        contract = self._contract(query)
        start, end = query.text("startDateTime"), query.text("endDateTime")
        if bool(start) == bool(end):
            raise invalid("Give either a start or an end time for historical ticks")
        now_ns = self._now_ns() + 1
        request = TicksRequest(
            contract,
            query.text("whatToShow").upper(),
            count=query.whole("numberOfTicks") or MAX_TICKS,
            start_ns=read_time(start) if start else None,
            end_ns=now_ns if start else min(read_time(end), now_ns),
            outside_rth=not query.flag("useRth"),
            ignore_size=query.flag("ignoreSize"),
        )
        self._session.allowance.history.ask(query, contract.id, interval_ns=0)
        self._history_service.past_ticks.send(self._session, query.required("reqId"), request)

    def _contract(self, query: Fields) -> ContractData:
        contract = the_contract(self._contracts, query)
        self._history_service.tape.play(contract.instrument)
        return contract

    def _prints(self, contract: ContractData, start_ns: int, end_ns: int) -> Prints:
        if not self._history_service.market.knows(contract.id):
            return no_prints()
        return self._history_service.market.prints(contract.instrument, start_ns, max(start_ns, end_ns))


def _spoken(text: str) -> str:
    """Return ``3 days`` as ``3 D``."""
    words = text.split()
    return f"{words[0]} {words[1][:1].upper()}" if len(words) == 2 else text


def _silence(_query: Fields) -> None:
    """Accept the request and send no answer."""
