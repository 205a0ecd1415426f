"""A request for historical bars, and its answer, computed in pieces."""

from __future__ import annotations

import datetime as dt
from collections.abc import Generator, Iterator

import msgspec
import numpy as np

from ibdesk.clock import SECOND
from ibdesk.gateway.contracts.contract import ContractData
from ibdesk.gateway.market.bars import DAY, BarColumns, bar_size, bid_ask_bars, duration, opened_of
from ibdesk.gateway.market.control import MarketControl
from ibdesk.gateway.market.source import Integers, MarketSource, Prints, Quotes, quotes_of
from ibdesk.gateway.market.trading_time import TradingTime
from ibdesk.gateway.protocol.codec import Fields, historical_rows, texts_of
from ibdesk.gateway.protocol.fields import FieldKind
from ibdesk.gateway.refusal import invalid, no_history
from ibdesk.gateway.times import read_time, stamp

TRADES = frozenset({"TRADES", "ADJUSTED_LAST"})
SHOWN = ("TRADES", "ADJUSTED_LAST", "MIDPOINT", "BID", "ASK", "BID_ASK", "SCHEDULE")
NOT_HERE = frozenset(
    {
        "HISTORICAL_VOLATILITY",
        "OPTION_IMPLIED_VOLATILITY",
        "FEE_RATE",
        "REBATE_RATE",
        "AGGTRADES",
        "YIELD_BID",
        "YIELD_ASK",
        "YIELD_BID_ASK",
        "YIELD_LAST",
    }
)
"""Other data that TWS shows (documented) and the gateway's market does not have."""
MAX_BARS = 100_000
"""Longer answers are refused with TWS's text for a span that is too long (reported)."""
# The size of one piece of work: bars of at most 1000 intervals or two hours cut from the market, or 250 bars written.
_INTERVALS, _SPAN_NS = 1000, 2 * 3600 * SECOND
_WRITTEN = 250


class BarsRequest:
    """A request for historical bars.

    Raises:
        RefusedError: If the request is not valid (error 321), or there are no such bars (162).
    """

    def __init__(self, query: Fields, contract: ContractData, now_ns: int) -> None:
        self.contract = contract
        self.interval_ns = bar_size(query.text("barSizeSetting"))
        self.span_ns = duration(query.text("durationStr"))
        self.what = query.text("whatToShow").upper()
        self.epoch = query.whole("formatDate") == 2
        self.outside_rth = not query.flag("useRTH")
        end = query.text("endDateTime")
        self.asked_end_ns = read_time(end) if end else None
        self.now_ns = now_ns
        self.end_ns = now_ns if self.asked_end_ns is None else self.asked_end_ns
        if self.what in NOT_HERE:
            raise no_history(f"HMDS query returned no data: {contract.at_venue()} {self.what.title()}")
        if self.what not in SHOWN:
            raise invalid(f"Invalid what-to-show {self.what!r}: history shows {', '.join(SHOWN)}")
        if self.what == "ADJUSTED_LAST" and end:
            raise invalid("End Date not supported with adjusted last")
        if self.what == "SCHEDULE" and self.interval_ns != DAY:
            raise invalid("A schedule has bars of 1 day")
        if self.is_trades and not contract.has_trades:
            raise no_history(f"No historical market data for {contract.id}@{contract.exchange} Last")

    @property
    def is_trades(self) -> bool:
        """Return whether the bars are made of trades; only those have volume."""
        return self.what in TRADES

    def date(self, opened_ns: int, version: int) -> str:
        """Return a bar's time in the requested format; bars of a day carry only the date."""
        if self.interval_ns >= DAY:
            return f"{dt.datetime.fromtimestamp(opened_ns // SECOND, dt.UTC):%Y%m%d}"
        return str(opened_ns // SECOND) if self.epoch else stamp(opened_ns, version)

    def limits(self, version: int) -> tuple[str, str]:
        """Return start and end of the span in the format of the answer."""
        return stamp(self.end_ns - self.span_ns, version), stamp(self.end_ns, version)

    def shown_name(self) -> str:
        """Return TWS's name in its messages for the data that is shown."""
        return {"TRADES": "Trades", "ADJUSTED_LAST": "Trades", "MIDPOINT": "Midpoint"}.get(self.what, self.what.title())


class EncodedBars(msgspec.Struct, frozen=True):
    """Bars in wire format: their count, and their bytes in pieces, in order of time."""

    count: int
    pieces: list[bytes]


class Charts:
    """Builds bars from the market of a gateway."""

    def __init__(self, source: MarketSource, market: MarketControl, trading_time: TradingTime) -> None:
        self._source = source
        self._market = market
        self._time = trading_time

    def answer(self, request: BarsRequest, version: int) -> Generator[None, None, EncodedBars]:
        """Return the answer, and yield after each piece of work.

        Raises:
            RefusedError: If there are too many bars (error 162).
        """
        found: list[BarColumns] = []
        count = 0
        for bars in self._pieces(request):
            count += len(bars)
            if count > MAX_BARS:
                raise no_history("Time length exceed max.")
            if len(bars):
                found.append(bars)
            yield
        written: list[bytes] = []
        for bars in reversed(found):
            for first in range(0, len(bars), _WRITTEN):
                written.append(_rows(request, bars, slice(first, first + _WRITTEN), version))
                yield
        return EncodedBars(count, written)

    def between(self, request: BarsRequest, start_ns: int, end_ns: int) -> BarColumns:
        """Return the bars of a span (ns UTC)."""
        instrument = request.contract.instrument
        if request.is_trades or (request.what == "MIDPOINT" and not request.contract.has_trades):
            return self._of_prints(request, self._market.prints(instrument, start_ns, end_ns))
        return self._of_quotes(request, self._market.quotes(instrument, start_ns, end_ns))

    def _pieces(self, request: BarsRequest) -> Iterator[BarColumns]:
        """Yield the bars of the span in pieces, latest first, so that no more of the past is computed than needed."""
        name = request.contract.id
        if not self._market.knows(name):
            return
        recorded = None
        if name in self._source.symbols:
            recorded = self._source.recorded(
                name,
                end_ns=request.asked_end_ns,
                now_ns=request.now_ns,
                span_ns=request.span_ns,
                interval_ns=request.interval_ns,
            )
        if recorded is not None:
            yield from self._recorded(request, recorded)
            return
        # Without an end time, events of this very instant belong to the answer.
        high_ns = request.now_ns + 1
        if request.asked_end_ns is not None:
            high_ns = min(request.asked_end_ns, high_ns)
        low_ns = self._start(request)
        for start_ns, end_ns in _windows(request.interval_ns, low_ns, high_ns):
            yield self.between(request, start_ns, end_ns)

    def _start(self, request: BarsRequest) -> int:
        asked_ns = request.end_ns - request.span_ns
        first_ns = self._market.first_ns(request.contract.id)
        start_ns = asked_ns if first_ns is None else max(asked_ns, first_ns)
        return int(opened_of(np.array([start_ns]), request.interval_ns)[0])

    def _recorded(self, request: BarsRequest, prints: Prints) -> Iterator[BarColumns]:
        if not len(prints.times):
            return
        first_ns, end_ns = int(prints.times[0]), int(prints.times[-1]) + 1
        low_ns = int(opened_of(np.array([first_ns]), request.interval_ns)[0])
        instrument = request.contract.instrument
        for start_ns, until_ns in _windows(request.interval_ns, low_ns, end_ns):
            piece = prints.between(start_ns, until_ns)
            if request.is_trades or (request.what == "MIDPOINT" and not request.contract.has_trades):
                yield self._of_prints(request, piece, is_dated=True)
            else:
                yield self._of_quotes(request, quotes_of(piece, instrument), is_dated=True)

    def _of_prints(self, request: BarsRequest, prints: Prints, *, is_dated: bool = False) -> BarColumns:
        kept, opened = self._opened(request, prints.times, is_dated=is_dated)
        return BarColumns(prints.at(kept), opened)

    def _of_quotes(self, request: BarsRequest, quotes: Quotes, *, is_dated: bool = False) -> BarColumns:
        kept, opened = self._opened(request, quotes.times, is_dated=is_dated)
        shown = ~np.isnan(quotes.middles[kept])
        kept, opened = kept[shown], opened[shown]
        chosen = quotes.at(kept)
        if request.what == "BID_ASK":
            return bid_ask_bars(chosen, opened, request.interval_ns)
        prices = {"BID": chosen.bids, "ASK": chosen.asks, "MIDPOINT": chosen.middles}[request.what]
        return BarColumns(Prints(chosen.times, prices, np.zeros(len(prices))), opened)

    def _opened(self, request: BarsRequest, times: Integers, *, is_dated: bool) -> tuple[Integers, Integers]:
        """Return the indices of the times to show, and the opening time of each one's bar.

        If the market keeps hours, times outside the session are dropped, and bars of a day and longer are those of
        trading days. With `is_dated` the times are a record of trading days, which are all shown.
        """
        contract, outside_rth = request.contract, request.outside_rth
        if is_dated:
            return np.arange(len(times)), opened_of(times, request.interval_ns)
        kept = np.flatnonzero(self._time.within(contract, times, outside_rth=outside_rth))
        shown = times[kept]
        if request.interval_ns >= DAY:
            shown = self._time.trading_days(contract, shown, outside_rth=outside_rth)
        return kept, opened_of(shown, request.interval_ns)


def _windows(interval_ns: int, low_ns: int, high_ns: int) -> Iterator[tuple[int, int]]:
    """Yield spans from low to high, latest first, none of which cuts a bar; bars of a day and longer have one span."""
    if interval_ns >= DAY:
        yield low_ns, max(low_ns, high_ns)
        return
    step_ns = max(interval_ns, min(_INTERVALS * interval_ns, _SPAN_NS // interval_ns * interval_ns))
    count = max(1, -((low_ns - high_ns) // step_ns))
    for place in range(count - 1, -1, -1):
        start_ns = low_ns + place * step_ns
        yield start_ns, min(start_ns + step_ns, max(low_ns, high_ns))


def _rows(request: BarsRequest, bars: BarColumns, chosen: slice, version: int) -> bytes:
    """Return some bars in the format of a historicalData message: date, prices, volume, average price and count."""
    dates = [request.date(opened_ns, version) for opened_ns in bars.opened[chosen].tolist()]
    prices = [
        texts_of(each[chosen].tolist(), FieldKind.NUMBER) for each in (bars.open, bars.high, bars.low, bars.close)
    ]
    if request.is_trades:
        sizes = [texts_of(each[chosen].tolist(), FieldKind.SIZE) for each in (bars.volume, bars.average)]
        counts = list(map(str, bars.count[chosen].tolist()))
    else:
        counts = ["-1"] * len(dates)
        sizes = [counts, counts]
    return historical_rows([dates, *prices, *sizes, counts])
