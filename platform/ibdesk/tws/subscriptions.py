"""Live market data: the subscriptions, and TWS's ticks as bars, quotes and trade prints."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable

from ibdesk.model import Bar, Event, Forex, MarketHalted, Notice, Quote, Severity, Tick
from ibdesk.tws import codes
from ibdesk.tws.contracts import Contracts
from ibdesk.tws.ids import Ids
from ibdesk.tws.wire import Wire

BAR_SECONDS = 5
_INTERVAL_NS = BAR_SECONDS * 1_000_000_000
_NAN = float("nan")

# IB's tick types, and the types of the same meaning in delayed data.
_BID_SIZE, _BID, _ASK, _ASK_SIZE, _LAST, _LAST_SIZE = range(6)
# Whether trading is halted: 0 no, 1 and 2 yes, -1 unknown; 90 is the type in delayed data.
_HALTED = frozenset({49, 90})
_DELAYED = {66: _BID, 67: _ASK, 68: _LAST, 69: _BID_SIZE, 70: _ASK_SIZE, 71: _LAST_SIZE}


class Kind(enum.Enum):
    """The kinds of market data."""

    BARS = "5-second bars"
    QUOTES = "quotes"


class QuoteFeed:
    """The best bid and ask of one instrument, assembled from single ticks."""

    __slots__ = ("_ask", "_ask_size", "_bid", "_bid_size", "_last", "_last_size", "_told", "instrument")

    def __init__(self, instrument: str) -> None:
        self.instrument = instrument
        self._bid = self._ask = self._last = _NAN
        self._bid_size = self._ask_size = self._last_size = 0.0
        self._told: Quote | None = None

    def price(self, kind: int, price: float, size: float, at_ns: int) -> Tick | None:
        """Process a price with its size; return the trade print if it is one."""
        kind = _DELAYED.get(kind, kind)
        size = 0.0 if math.isnan(size) else size
        # IB writes "no quote" as price -1 (or 0) with size 0.
        if size == 0 and price <= 0:
            price = _NAN
        if kind == _BID:
            self._bid, self._bid_size = price, size
        elif kind == _ASK:
            self._ask, self._ask_size = price, size
        elif kind == _LAST:
            self._last, self._last_size = price, size
            if size > 0 and not math.isnan(price):
                return Tick(self.instrument, at_ns, price, size)
        return None

    def size(self, kind: int, size: float, at_ns: int) -> Tick | None:
        """Process a size that changed alone; return the trade print if it is one.

        IB repeats the size after each price that carried it: such an echo is not a second trade.
        """
        kind, size = _DELAYED.get(kind, kind), 0.0 if math.isnan(size) else size
        if kind == _BID_SIZE:
            self._bid_size = size
        elif kind == _ASK_SIZE:
            self._ask_size = size
        elif kind == _LAST_SIZE and size != self._last_size:
            self._last_size = size
            if size > 0 and not math.isnan(self._last):
                return Tick(self.instrument, at_ns, self._last, size)
        return None

    def changed(self, at_ns: int) -> Quote | None:
        """Return the quote if it differs from the last one returned."""
        bid_size = 0.0 if math.isnan(self._bid) else self._bid_size
        ask_size = 0.0 if math.isnan(self._ask) else self._ask_size
        told = self._told
        if (
            told is not None
            and bid_size == told.bid_size
            and ask_size == told.ask_size
            and _same(self._bid, told.bid)
            and _same(self._ask, told.ask)
        ):
            return None
        self._told = Quote(self.instrument, at_ns, self._bid, self._ask, bid_size, ask_size)
        return self._told


class Subscriptions:
    """The subscribed feeds, one per contract and kind, and their current request ids at TWS.

    All ticks of one socket read are reported as one quote, so that a new bid is not paired with an old ask, and a
    program that fell behind receives only the newest state.
    """

    def __init__(self, contracts: Contracts, ids: Ids, tell: Callable[[Event], None]) -> None:
        self._contracts = contracts
        self._ids = ids
        self._tell = tell
        self._wire: Wire | None = None
        self._regular_hours_only = True
        self._wanted: dict[tuple[Kind, str], int] = {}
        self._quotes: dict[int, QuoteFeed] = {}
        self._bars: dict[int, str] = {}
        self._ticked: dict[int, QuoteFeed] = {}
        # The instruments that were reported halted; a new connection reports them again.
        self._halted: set[str] = set()

    def attach(self, wire: Wire | None, *, regular_hours_only: bool = True) -> None:
        """Use another connection, or none; all subscriptions are requested again over the new one."""
        self._wire = wire
        self._regular_hours_only = regular_hours_only
        self._quotes.clear()
        self._bars.clear()
        self._ticked.clear()
        for kind, instrument in list(self._wanted):
            self._ask(kind, instrument)

    def want(self, kind: Kind, instrument: str) -> None:
        """Subscribe; a second call changes nothing.

        Raises:
            InstrumentError: If the instrument is not qualified.
        """
        self._contracts.of(instrument)
        if (kind, instrument) not in self._wanted:
            self._ask(kind, instrument)

    def drop(self, kind: Kind, instrument: str) -> None:
        """Unsubscribe; without a subscription this changes nothing."""
        number = self._wanted.pop((kind, instrument), 0)
        self._forget(kind, number)

    def __contains__(self, number: int) -> bool:
        return number in self._quotes or number in self._bars

    def error(self, number: int, code: int, text: str, at_ns: int) -> None:
        """Report an error that names a feed, and request bars again if they have ended."""
        instrument = self._bars.get(number) or self._quotes[number].instrument
        kind = Kind.BARS if number in self._bars else Kind.QUOTES
        self._tell(Notice(f"{kind.value} of {instrument}: {text} (TWS error {code})", at_ns, Severity.WARNING))
        if code in codes.BARS_DEACTIVATED:
            self._forget(kind, number)
            self._ask(kind, instrument)

    def bar(self, number: int, opened: int, prices: tuple[float, float, float, float], volume: float) -> None:
        """Process one 5-second bar that opened at `opened`, seconds since 1970."""
        instrument = self._bars.get(number)
        if instrument is not None:
            # A bar of midpoints has volume -1; an unset volume also counts as 0.
            traded = volume if volume > 0 else 0.0
            self._tell(Bar(instrument, opened * 1_000_000_000, _INTERVAL_NS, *prices, traded))

    def price(self, number: int, kind: int, price: float, size: float, at_ns: int) -> None:
        """Process a price tick."""
        feed = self._quotes.get(number)
        if feed is not None:
            self._ticked[number] = feed
            tick = feed.price(kind, price, size, at_ns)
            if tick is not None:
                self._tell(tick)

    def size(self, number: int, kind: int, size: float, at_ns: int) -> None:
        """Process a size tick."""
        feed = self._quotes.get(number)
        if feed is not None:
            self._ticked[number] = feed
            tick = feed.size(kind, size, at_ns)
            if tick is not None:
                self._tell(tick)

    def generic(self, number: int, kind: int, value: float, at_ns: int) -> None:
        """Process a tick without a size, and report when an instrument is halted or trades again."""
        feed = self._quotes.get(number)
        if feed is None or kind not in _HALTED or not value >= 0:
            return
        is_halted = value > 0
        if is_halted != (feed.instrument in self._halted):
            (self._halted.add if is_halted else self._halted.discard)(feed.instrument)
            self._tell(MarketHalted(feed.instrument, at_ns, is_halted))

    def tell_quotes(self, at_ns: int) -> None:
        """Report the quotes that ticks have changed since the last call."""
        if not self._ticked:
            return
        ticked, self._ticked = self._ticked, {}
        for feed in ticked.values():
            quote = feed.changed(at_ns)
            if quote is not None:
                self._tell(quote)

    def _ask(self, kind: Kind, instrument: str) -> None:
        number = self._wanted[kind, instrument] = self._ids.take()
        if self._wire is None:
            return
        known, contract = self._contracts.of(instrument)
        if kind is Kind.QUOTES:
            self._quotes[number] = QuoteFeed(instrument)
            self._wire.reqMktData(number, contract, "", False, False, [])
        else:
            self._bars[number] = instrument
            self._wire.reqRealTimeBars(number, contract, BAR_SECONDS, what_to_show(known), self._regular_hours_only, [])

    def _forget(self, kind: Kind, number: int) -> None:
        known = self._quotes.pop(number, None) if kind is Kind.QUOTES else self._bars.pop(number, None)
        self._ticked.pop(number, None)
        if known is None or self._wire is None:
            return
        if kind is Kind.QUOTES:
            self._wire.cancelMktData(number)
        else:
            self._wire.cancelRealTimeBars(number)


def what_to_show(instrument: object) -> str:
    """Return the prices that bars are made of: midpoints for currencies, which have no central trade prints."""
    return "MIDPOINT" if isinstance(instrument, Forex) else "TRADES"


def _same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))
