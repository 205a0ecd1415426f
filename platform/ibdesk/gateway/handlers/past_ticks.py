"""Past trades, quotes and midpoints in TWS's format: at most a thousand, from a start time on or up to an end time."""

from __future__ import annotations

import numpy as np

from ibdesk.clock import SECOND
from ibdesk.gateway.contracts.contract import ContractData
from ibdesk.gateway.market.control import MarketControl
from ibdesk.gateway.market.source import Quotes
from ibdesk.gateway.market.trading_time import TradingTime
from ibdesk.gateway.protocol.codec import Value
from ibdesk.gateway.refusal import invalid
from ibdesk.gateway.session import Session

MAX_TICKS = 1000
TRADE_VENUE = "IEX"
# Ticks before an end are searched in spans that double, at most this often.
_FIRST_SPAN_NS = 600 * SECOND
_SPANS = 12
TickRows = list[dict[str, Value]]


class TicksRequest:
    """A request for ticks of a contract: `count` after `start_ns`, or the last `count` before `end_ns`; ns UTC."""

    def __init__(
        self,
        contract: ContractData,
        what: str,
        *,
        count: int,
        start_ns: int | None,
        end_ns: int,
        outside_rth: bool = True,
        ignore_size: bool = False,
    ) -> None:
        if what not in ("TRADES", "BID_ASK", "MIDPOINT"):
            raise invalid(f"Invalid what-to-show {what!r}: historical ticks show TRADES, MIDPOINT or BID_ASK")
        self.contract = contract
        self.what = what
        self.count = min(max(1, count), MAX_TICKS)
        self.start_ns = start_ns
        self.end_ns = end_ns
        self.outside_rth = outside_rth
        self.ignore_size = ignore_size


class PastTicks:
    """Answers requests for ticks from the market's history."""

    def __init__(self, market: MarketControl, trading_time: TradingTime) -> None:
        self._market = market
        self._time = trading_time

    def send(self, session: Session, request_id: int, request: TicksRequest) -> None:
        """Send the ticks in one message, oldest first; it is empty if there are none."""
        name, rows = {
            "TRADES": ("historicalTicksLast", self._trades),
            "BID_ASK": ("historicalTicksBidAsk", self._quotes),
            "MIDPOINT": ("historicalTicks", self._middles),
        }[request.what]
        session.send(name, reqId=request_id, ticks=rows(request), done=1)

    def _trades(self, request: TicksRequest) -> TickRows:
        contract = request.contract
        if not contract.has_trades:
            return []
        for start_ns in self._starts(request):
            prints = self._market.prints(contract.instrument, start_ns, request.end_ns)
            chosen = self._chosen(prints.times, request)
            if request.start_ns is not None or len(chosen) >= request.count:
                break
        columns = (column[chosen].tolist() for column in (prints.times // SECOND, prints.prices, prints.sizes))
        return [
            {"time": time, "mask": 0, "price": price, "size": size, "exchange": TRADE_VENUE}
            for time, price, size in zip(*columns, strict=True)
        ]

    def _quotes(self, request: TicksRequest) -> TickRows:
        quotes, chosen = self._quoted(request)
        times = (quotes.times // SECOND)[chosen].tolist()
        columns = (each[chosen].tolist() for each in (quotes.bids, quotes.asks, quotes.bid_sizes, quotes.ask_sizes))
        return [
            {"time": time, "mask": 0, "priceBid": bid, "priceAsk": ask, "sizeBid": bid_size, "sizeAsk": ask_size}
            for time, bid, ask, bid_size, ask_size in zip(times, *columns, strict=True)
        ]

    def _middles(self, request: TicksRequest) -> TickRows:
        quotes, chosen = self._quoted(request)
        times, prices = (quotes.times // SECOND)[chosen].tolist(), quotes.middles[chosen].tolist()
        return [
            {"time": time, "unused": 0, "price": price, "size": 0} for time, price in zip(times, prices, strict=True)
        ]

    def _quoted(self, request: TicksRequest) -> tuple[Quotes, np.ndarray[tuple[int], np.dtype[np.int64]]]:
        for start_ns in self._starts(request):
            quotes = self._market.quotes(request.contract.instrument, start_ns, request.end_ns)
            kept = ~np.isnan(quotes.middles)
            if request.ignore_size and len(kept):
                moved = (np.diff(quotes.bids) != 0) | (np.diff(quotes.asks) != 0)
                kept &= np.concatenate(([True], moved))
            chosen = self._chosen(quotes.times, request, kept)
            if request.start_ns is not None or len(chosen) >= request.count:
                break
        return quotes, chosen

    def _starts(self, request: TicksRequest) -> list[int]:
        """Return the start times to try: the requested one, or spans before the end that double."""
        if request.start_ns is not None:
            return [request.start_ns]
        return [request.end_ns - (_FIRST_SPAN_NS << doubled) for doubled in range(_SPANS)]

    def _chosen(
        self,
        times: np.ndarray[tuple[int], np.dtype[np.int64]],
        request: TicksRequest,
        kept: np.ndarray[tuple[int], np.dtype[np.bool_]] | None = None,
    ) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Return the indices of the ticks to send."""
        open_hours = self._time.within(request.contract, times, outside_rth=request.outside_rth)
        places = np.flatnonzero(open_hours if kept is None else open_hours & kept)
        return places[: request.count] if request.start_ns is not None else places[-request.count :]
