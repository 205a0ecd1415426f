"""History for one session: bars, ticks, histograms, and how far back they go.

The gateway's market has no closing hours, so `useRTH` makes no difference. As at TWS, the last bar of an answer that
reaches up to now is the one still being made.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping

import numpy as np

from ibdesk.clock import SECOND
from ibdesk.gateway.contracts.book import ContractBook, ContractData
from ibdesk.gateway.market.bars import DAY, Bars, bar_size, duration
from ibdesk.gateway.market.source import MarketSource, Prints, quotes_around
from ibdesk.gateway.market.tape import Candle, Tape
from ibdesk.gateway.protocol.codec import Fields, Value, historical_data, texts_of
from ibdesk.gateway.protocol.fields import Kind
from ibdesk.gateway.refusal import RefusedError, invalid, no_history
from ibdesk.gateway.rooms.reference import the_contract
from ibdesk.gateway.session import Handler, Session
from ibdesk.gateway.times import read_time, stamp, utc_stamp
from ibdesk.model import Quote, Tick

SHOWN = ("TRADES", "MIDPOINT", "BID", "ASK", "ADJUSTED_LAST")
MAX_TICKS = 1000
# MAX_BARS: longer answers are refused with the words TWS has for a span that is too long (reported).
MAX_BARS = 100_000


class _Question:
    """What a request for bars asks for."""

    def __init__(self, query: Fields, contract: ContractData, now_ns: int) -> None:
        self.contract = contract
        self.interval_ns = bar_size(query.text("barSizeSetting"))
        self.span_ns = duration(query.text("durationStr"))
        self.asked_end_ns = read_time(query.text("endDateTime")) if query.text("endDateTime") else None
        self.end_ns = now_ns if self.asked_end_ns is None else self.asked_end_ns
        self.what = query.text("whatToShow").upper()
        self.epoch = query.whole("formatDate") == 2
        if self.what not in SHOWN:
            raise invalid(f"Invalid what-to-show {self.what!r}: history shows {', '.join(SHOWN)}")
        if self.is_trades and not contract.has_trades:
            raise no_history(f"No historical market data for {contract.id}@{contract.exchange} Last")

    @property
    def is_trades(self) -> bool:
        return self.what in ("TRADES", "ADJUSTED_LAST")

    def date(self, opened_ns: int, version: int) -> str:
        """Return a bar's time as the request wants it; bars of a day carry the date alone."""
        if self.interval_ns >= DAY:
            return f"{dt.datetime.fromtimestamp(opened_ns // SECOND, dt.UTC):%Y%m%d}"
        return str(opened_ns // SECOND) if self.epoch else stamp(opened_ns, version)


class LiveBars:
    """A history that is kept up to date: after every five seconds the bar in the making is sent again."""

    def __init__(self, send: Callable[[int], None]) -> None:
        self._send = send

    def on_quote(self, quote: Quote) -> None:
        """Pass over: the bar is sent every five seconds."""

    def on_tick(self, tick: Tick) -> None:
        """Pass over: the bar is sent every five seconds."""

    def on_bar(self, instrument: str, opened_ns: int, candles: dict[str, Candle]) -> None:  # noqa: ARG002
        """Send the bar that the last five seconds belong to."""
        self._send(opened_ns)


class History:
    """The history requests of one session."""

    def __init__(
        self,
        session: Session,
        source: MarketSource,
        tape: Tape,
        contracts: ContractBook,
        now_ns: Callable[[], int],
    ) -> None:
        self._session = session
        self._source = source
        self._tape = tape
        self._contracts = contracts
        self._now_ns = now_ns
        self._live: dict[int, tuple[str, LiveBars]] = {}

    def handlers(self) -> Mapping[str, Handler]:
        """Return what it answers."""
        return {
            "reqHistoricalData": self.bars,
            "cancelHistoricalData": self.cancel,
            "reqHeadTimeStamp": self.head,
            "reqHistogramData": self.histogram,
            "reqHistoricalTicks": self.ticks,
            # A question that is answered at once leaves nothing to cancel; clients cancel it all the same.
            "cancelHeadTimeStamp": _silence,
            "cancelHistogramData": _silence,
        }

    def close(self) -> None:
        """End all subscriptions."""
        for instrument, live in self._live.values():
            self._tape.unwatch(instrument, live)
        self._live.clear()

    def bars(self, query: Fields) -> None:
        """Send the bars of a span of time up to its end; error 162 when there are none."""
        request_id, keep = query.required("reqId"), query.flag("keepUpToDate")
        question = _Question(query, the_contract(self._contracts, query), self._now_ns())
        if keep and query.text("endDateTime"):
            raise invalid("A history that is kept up to date has no end time")
        if keep and question.interval_ns < 5 * SECOND:
            raise invalid("A history that is kept up to date has bars of 5 seconds or more")
        if request_id in self._live:
            raise RefusedError(102, "Duplicate ticker ID.")
        bars = self._find(question)
        if not len(bars):
            contract = question.contract
            raise no_history(f"HMDS query returned no data: {contract.at_venue()} {_shown_name(question.what)}")
        if len(bars) > MAX_BARS:
            raise no_history("Time length exceed max.")
        self._send(request_id, question, bars)
        if keep:
            live = LiveBars(lambda opened_ns: self._update(request_id, question, opened_ns))
            self._live[request_id] = (question.contract.id, live)
            self._tape.watch(question.contract.id, live)

    def _find(self, question: _Question) -> Bars:
        name = question.contract.id
        if name not in self._source.symbols:
            return Bars(_nothing(), question.interval_ns)
        now_ns = self._now_ns()
        prints = self._source.recorded(
            name,
            end_ns=question.asked_end_ns,
            now_ns=now_ns,
            span_ns=question.span_ns,
            interval_ns=question.interval_ns,
        )
        if prints is None:
            # Without an end time, what happened in this very instant belongs to the answer.
            end_ns = now_ns + 1 if question.end_ns >= now_ns else question.end_ns
            start_ns = (question.end_ns - question.span_ns) // question.interval_ns * question.interval_ns
            prints = self._source.prints(name, start_ns, max(start_ns, end_ns))
        return Bars(_shown(prints, question), question.interval_ns)

    def _send(self, request_id: int, question: _Question, bars: Bars) -> None:
        version = self._session.version
        dates = [question.date(opened_ns, version) for opened_ns in bars.opened.tolist()]
        prices = [texts_of(each.tolist(), Kind.NUMBER) for each in (bars.open, bars.high, bars.low, bars.close)]
        if question.is_trades:
            sizes = [texts_of(each.tolist(), Kind.SIZE) for each in (bars.volume, bars.average)]
            counts = list(map(str, bars.count.tolist()))
        else:
            counts = ["-1"] * len(bars)
            sizes = [counts, counts]
        start, end = (stamp(time_ns, version) for time_ns in (question.end_ns - question.span_ns, question.end_ns))
        self._session.send_frame(historical_data(request_id, start, end, [dates, *prices, *sizes, counts]))

    def _update(self, request_id: int, question: _Question, opened_ns: int) -> None:
        start_ns = opened_ns // question.interval_ns * question.interval_ns
        prints = self._source.prints(question.contract.id, start_ns, opened_ns + 5 * SECOND)
        bars = Bars(_shown(prints, question), question.interval_ns)
        if not len(bars):
            return
        trades = question.is_trades
        self._session.send(
            "historicalDataUpdate",
            reqId=request_id,
            barCount=int(bars.count[-1]) if trades else -1,
            date=question.date(int(bars.opened[-1]), self._session.version),
            open=float(bars.open[-1]),
            close=float(bars.close[-1]),
            high=float(bars.high[-1]),
            low=float(bars.low[-1]),
            wap=float(bars.average[-1]) if trades else -1,
            volume=float(bars.volume[-1]) if trades else -1,
        )

    def cancel(self, query: Fields) -> None:
        """End a history that is kept up to date; TWS confirms with error 162 (reported)."""
        request_id = query.required("reqId")
        if request_id not in self._live:
            raise RefusedError(366, f"No historical data query found for ticker id:{request_id}")
        instrument, live = self._live.pop(request_id)
        self._tape.unwatch(instrument, live)
        raise no_history(f"API historical data query cancelled: {request_id}")

    def head(self, query: Fields) -> None:
        """Send when the history of a contract begins."""
        contract = the_contract(self._contracts, query)
        first_ns = self._source.first_ns(contract.id)
        if first_ns is None:
            raise no_history(f"No head time stamp for {contract.at_venue()}")
        text = str(first_ns // SECOND) if query.whole("formatDate") == 2 else utc_stamp(first_ns)
        self._session.send("headTimestamp", reqId=query.required("reqId"), timestamp=text)

    def histogram(self, query: Fields) -> None:
        """Send how much traded at each price in the last span of time."""
        contract = the_contract(self._contracts, query)
        span_ns = duration(_spoken(query.text("timePeriod")))
        prints = self._prints(contract, self._now_ns() - span_ns, self._now_ns() + 1)
        prices, places = np.unique(prints.prices, return_inverse=True)
        sizes = np.bincount(places, weights=prints.sizes, minlength=len(prices))
        items = [{"price": price, "size": size} for price, size in zip(prices.tolist(), sizes.tolist(), strict=True)]
        self._session.send("histogramData", reqId=query.required("reqId"), items=items)

    def ticks(self, query: Fields) -> None:
        """Send trades, quotes or middles from a start on, or up to an end."""
        request_id, what = query.required("reqId"), query.text("whatToShow").upper()
        contract = the_contract(self._contracts, query)
        start, end = query.text("startDateTime"), query.text("endDateTime")
        if bool(start) == bool(end):
            raise invalid("Give either a start or an end time for historical ticks")
        count = min(max(1, query.whole("numberOfTicks") or MAX_TICKS), MAX_TICKS)
        if start:
            prints = self._prints(contract, read_time(start), self._now_ns() + 1)
            chosen = slice(0, count)
        else:
            end_ns = min(read_time(end), self._now_ns() + 1)
            prints = self._prints(contract, end_ns - DAY, end_ns)
            chosen = slice(-count, None)
        times, prices, sizes = (
            column[chosen].tolist() for column in (prints.times // SECOND, prints.prices, prints.sizes)
        )
        if what == "TRADES":
            trades: list[dict[str, Value]] = [
                {"time": time, "mask": 0, "price": price, "size": size, "exchange": "IEX"}
                for time, price, size in zip(times, prices, sizes, strict=True)
            ]
            self._session.send("historicalTicksLast", reqId=request_id, ticks=trades, done=1)
        elif what == "MIDPOINT":
            middles: list[dict[str, Value]] = [
                {"time": time, "unused": 0, "price": price, "size": 0}
                for time, price in zip(times, prices, strict=True)
            ]
            self._session.send("historicalTicks", reqId=request_id, ticks=middles, done=1)
        elif what == "BID_ASK":
            bids, asks = quotes_around(prints.prices[chosen], contract.instrument.tick_size)
            quotes: list[dict[str, Value]] = [
                {"time": time, "mask": 0, "priceBid": bid, "priceAsk": ask, "sizeBid": 100, "sizeAsk": 100}
                for time, bid, ask in zip(times, bids.tolist(), asks.tolist(), strict=True)
            ]
            self._session.send("historicalTicksBidAsk", reqId=request_id, ticks=quotes, done=1)
        else:
            raise invalid(f"Invalid what-to-show {what!r}: historical ticks show TRADES, MIDPOINT or BID_ASK")

    def _prints(self, contract: ContractData, start_ns: int, end_ns: int) -> Prints:
        if contract.id not in self._source.symbols:
            return _nothing()
        return self._source.prints(contract.id, start_ns, max(start_ns, end_ns))


def _spoken(text: str) -> str:
    """Return ``3 days`` as ``3 D``."""
    words = text.split()
    return f"{words[0]} {words[1][:1].upper()}" if len(words) == 2 else text


def _shown(prints: Prints, question: _Question) -> Prints:
    if question.is_trades or (question.what == "MIDPOINT" and not question.contract.has_trades):
        return prints
    bids, asks = quotes_around(prints.prices, question.contract.instrument.tick_size)
    prices = {"BID": bids, "ASK": asks, "MIDPOINT": (bids + asks) / 2}[question.what]
    return Prints(prints.times, prices, prints.sizes)


def _shown_name(what: str) -> str:
    return {"TRADES": "Trades", "ADJUSTED_LAST": "Trades", "MIDPOINT": "Midpoint"}.get(what, what.title())


def _nothing() -> Prints:
    return Prints(np.empty(0, np.int64), np.empty(0), np.empty(0))


def _silence(_query: Fields) -> None:
    """Take the request and answer nothing."""
