"""Streaming market data of one session: quotes, 5-second bars, tick by tick."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ibdesk.clock import SECOND
from ibdesk.gateway.contracts.book import ContractBook
from ibdesk.gateway.contracts.contract import ContractData
from ibdesk.gateway.handlers.option_data import Computations
from ibdesk.gateway.handlers.past_ticks import TRADE_VENUE, PastTicks, TicksRequest
from ibdesk.gateway.handlers.quotes import DELAYED, LIVE, QuoteFeeds, QuoteSubscriber, TickTypes
from ibdesk.gateway.handlers.reference import the_contract
from ibdesk.gateway.market.instrument_state import InstrumentState, PartialBar
from ibdesk.gateway.market.tape import Tape, Watcher
from ibdesk.gateway.protocol.codec import Fields, encode
from ibdesk.gateway.protocol.outgoing import OUTGOING_BY_NAME
from ibdesk.gateway.refusal import RefusedError, invalid, unknown_ticker
from ibdesk.gateway.session import RequestMethod, Session
from ibdesk.model import Quote, Tick

SHOWN = ("TRADES", "MIDPOINT", "BID", "ASK")
TICK_BY_TICK_TYPES = {"Last": 1, "AllLast": 2, "BidAsk": 3, "MidPoint": 4}
PAST_OF_TICKS = {"Last": "TRADES", "AllLast": "TRADES", "BidAsk": "BID_ASK", "MidPoint": "MIDPOINT"}
GENERIC_TICKS = frozenset(
    {
        *("100", "101", "104", "105", "106", "162", "165", "221", "225", "232", "233", "236", "256", "258", "292"),
        *("293", "294", "295", "318", "375", "411", "456", "460", "576", "577", "578", "586", "587", "588", "595"),
        *("614", "619", "623", "645", "mdoff"),
    }
)
"""Every generic tick that a client may request (documented); most of them have no data here."""
# The data types of reqMarketDataType (documented); a higher one includes the lower ones.
FROZEN, DELAYED_FROZEN = 2, 4
NOT_SUBSCRIBED = (
    "Requested market data is not subscribed. Check API status by selecting the Account menu then under Management "
    "choose Market Data Subscription Manager and/or availability of delayed data."
)


class BarStream:
    """One subscription to 5-second bars."""

    def __init__(self, session: Session, request_id: int, what: str) -> None:
        self._session = session
        self._id = request_id
        self._what = what

    def on_quote(self, quote: Quote) -> None:
        """Ignore it: bars are sent when they close."""

    def on_tick(self, tick: Tick) -> None:
        """Ignore it: bars are sent when they close."""

    def on_bar(self, instrument: str, opened_ns: int, bars: dict[str, PartialBar]) -> None:  # noqa: ARG002
        """Send the closed bar. Only trades have volume; the other prices carry -1."""
        bar = bars.get(self._what)
        if bar is None:
            return
        trades = self._what == "TRADES"
        self._session.send(
            "realTimeBar",
            reqId=self._id,
            time=opened_ns // SECOND,
            open=bar.open,
            high=bar.high,
            low=bar.low,
            close=bar.close,
            volume=bar.volume if trades else -1,
            wap=bar.average if trades else -1,
            count=bar.count if trades else -1,
        )

    def on_state(self, state: InstrumentState) -> None:
        """Ignore it: bars end and begin by themselves."""


class TickStream:
    """One tick-by-tick subscription; with `ignore_size` quotes that differ only in size are skipped."""

    def __init__(self, session: Session, request_id: int, tick_type: int, *, ignore_size: bool) -> None:
        self._session = session
        self._id = request_id
        self._type = tick_type
        self._ignore_size = ignore_size
        self._prices: tuple[float, float] | None = None

    def on_quote(self, quote: Quote) -> None:
        """Send the quote, or its midpoint; a missing side has the price -1."""
        if self._type == TICK_BY_TICK_TYPES["BidAsk"]:
            bid, ask = (-1.0 if price != price else price for price in (quote.bid, quote.ask))  # noqa: PLR0124 - NaN
            if self._ignore_size and self._prices == (bid, ask):
                return
            self._prices = (bid, ask)
            self._send(quote.at_ns, bidPrice=bid, askPrice=ask, bidSize=quote.bid_size, askSize=quote.ask_size, mask=0)
        elif self._type == TICK_BY_TICK_TYPES["MidPoint"]:
            middle = quote.mid
            if middle == middle:  # noqa: PLR0124 - NaN, where a side is missing
                self._send(quote.at_ns, midPoint=middle)

    def on_tick(self, tick: Tick) -> None:
        """Send the trade."""
        if self._type <= TICK_BY_TICK_TYPES["AllLast"]:
            self._send(tick.at_ns, price=tick.price, size=tick.size, mask=0, exchange=TRADE_VENUE, specialConditions="")

    def on_bar(self, instrument: str, opened_ns: int, bars: dict[str, PartialBar]) -> None:
        """Ignore it: ticks are sent as they come."""

    def on_state(self, state: InstrumentState) -> None:
        """Ignore it: only trades and quotes are ticks."""

    def _send(self, at_ns: int, **values: float | str) -> None:
        message = OUTGOING_BY_NAME["tickByTick"]
        head = {"reqId": self._id, "tickType": self._type, "time": at_ns // SECOND}
        self._session.send_frame(encode(message, {**head, **values}, self._session.version))


class MarketDataRequests:
    """The market-data requests of one session; with `is_delayed` it has permission for delayed data only."""

    def __init__(
        self,
        session: Session,
        tape: Tape,
        contracts: ContractBook,
        *,
        feeds: QuoteFeeds,
        past: PastTicks,
        now_ns: Callable[[], int],
        is_delayed: bool,
    ) -> None:
        self._session = session
        self._tape = tape
        self._contracts = contracts
        self._feeds = feeds
        self._past = past
        self._now_ns = now_ns
        self._is_delayed = is_delayed
        self._wish = 1
        # The function that ends each subscription, by kind and request id.
        self._ends: dict[tuple[str, int], Callable[[], None]] = {}

    def methods(self) -> Mapping[str, RequestMethod]:
        """Return the method of each request, by message name."""
        return {
            "reqMktData": self.quotes,
            "cancelMktData": self.cancel_quotes,
            "reqRealTimeBars": self.bars,
            "cancelRealTimeBars": lambda query: self._cancel("bars", query.required("reqId")),
            "reqTickByTickData": self.tick_by_tick,
            "cancelTickByTickData": lambda query: self._cancel("ticks", query.required("reqId")),
            "reqMarketDataType": self.data_type,
        }

    def end_subscriptions(self) -> None:
        """End all subscriptions without a message; error 1101 does this too."""
        for end in self._ends.values():
            end()
        self._ends.clear()

    # ---- quotes -----------------------------------------------------------------------------------------------

    def quotes(self, query: Fields) -> None:
        """Begin a quote subscription, or send a snapshot and its end."""
        request_id = query.required("reqId")
        contract = self._contract(query)
        self._check_free("quotes", request_id)
        generics = _generics(query, contract)
        is_snapshot = query.flag("snapshot") or query.flag("regulatorySnapshot")
        if is_snapshot and generics:
            raise invalid("Snapshot market data subscription is not applicable to generic ticks")
        self._session.allowance.lines.quotes(self._count("quotes"))
        types = self._types(request_id)
        subscriber = QuoteSubscriber(self._session, request_id, generics, self._wish in (FROZEN, DELAYED_FROZEN))
        computations = Computations(self._session, request_id, contract, self._tape) if contract.right else None
        if is_snapshot:
            self._feeds.of(contract, types).show(subscriber)
            if computations is not None:
                computations.show()
            self._session.send("tickSnapshotEnd", reqId=request_id)
            return
        self._feeds.subscribe(contract, types, subscriber)
        self._ends["quotes", request_id] = lambda: self._feeds.unsubscribe(contract, types, subscriber)
        if computations is not None:
            self._ends["computations", request_id] = computations.begin()

    def cancel_quotes(self, query: Fields) -> None:
        """End a quote subscription."""
        request_id = query.required("reqId")
        self._cancel("quotes", request_id)
        if end := self._ends.pop(("computations", request_id), None):
            end()

    def _types(self, request_id: int) -> TickTypes:
        """Return the tick types for the client: live ones, or delayed ones after error 10167 (captured).

        A client with live data gets it whatever it requested. One without gets delayed data if it requested that, else
        error 354 (documented).
        """
        if not self._is_delayed:
            return LIVE
        if self._wish <= FROZEN:
            raise RefusedError(354, NOT_SUBSCRIBED)
        self._session.error(
            request_id, 10167, "Requested market data is not subscribed. Displaying delayed market data."
        )
        return DELAYED

    def data_type(self, query: Fields) -> None:
        """Set frozen or delayed data for later requests; TWS sends no answer (captured)."""
        wish = query.required("marketDataType")
        if wish not in (1, 2, 3, 4):
            raise invalid("Invalid market data type", request_id=-1)
        self._wish = wish

    # ---- bars and ticks ---------------------------------------------------------------------------------------

    def bars(self, query: Fields) -> None:
        """Begin to send 5-second bars."""
        request_id, what = query.required("reqId"), query.text("whatToShow").upper()
        contract = self._contract(query)
        self._check_free("bars", request_id)
        if what not in SHOWN:
            raise invalid(f"Invalid what-to-show {what!r}: real-time bars show {', '.join(SHOWN)}")
        if self._is_delayed:
            raise RefusedError(420, f"Invalid Real-time Query:No market data permissions for {contract.at_venue()}")
        if what == "TRADES" and not contract.has_trades:
            raise RefusedError(420, f"Invalid Real-time Query:No trades of {contract.id}, ask for MIDPOINT, BID or ASK")
        self._begin("bars", request_id, contract, BarStream(self._session, request_id, what))

    def tick_by_tick(self, query: Fields) -> None:
        """Begin to send each trade, quote or midpoint, after the last `numberOfTicks` past ones (documented)."""
        request_id, kind = query.required("reqId"), query.text("tickType")
        contract = self._contract(query)
        self._check_free("ticks", request_id)
        if kind not in TICK_BY_TICK_TYPES:
            raise invalid(f"Invalid tick type {kind!r}: ask for {', '.join(TICK_BY_TICK_TYPES)}")
        if self._is_delayed:
            raise RefusedError(10189, f"Failed to request tick-by-tick data:No market data permissions: {contract.id}")
        self._session.allowance.lines.ticks(contract.id, self._count("ticks"))
        ignore_size = query.flag("ignoreSize")
        if count := query.whole("numberOfTicks"):
            request = TicksRequest(
                contract,
                PAST_OF_TICKS[kind],
                count=count,
                start_ns=None,
                end_ns=self._now_ns() + 1,
                ignore_size=ignore_size,
            )
            self._past.send(self._session, request_id, request)
        stream = TickStream(self._session, request_id, TICK_BY_TICK_TYPES[kind], ignore_size=ignore_size)
        self._begin("ticks", request_id, contract, stream)

    # ---- helpers ----------------------------------------------------------------------------------------------

    def _contract(self, query: Fields) -> ContractData:
        return the_contract(self._contracts, query)

    def _count(self, kind: str) -> int:
        return sum(its == kind for its, _ in self._ends)

    def _check_free(self, kind: str, request_id: int) -> None:
        if (kind, request_id) in self._ends:
            raise RefusedError(102, "Duplicate ticker ID.")

    def _begin(self, kind: str, request_id: int, contract: ContractData, watcher: Watcher) -> None:
        self._ends[kind, request_id] = lambda: self._tape.unwatch(contract.id, watcher)
        self._tape.watch(contract.id, watcher)

    def _cancel(self, kind: str, request_id: int) -> None:
        end = self._ends.pop((kind, request_id), None)
        if end is None:
            raise unknown_ticker(request_id)
        end()


def _generics(query: Fields, contract: ContractData) -> frozenset[str]:
    """Return the generic ticks of a request; ``292:BRFG`` is 292 of one provider."""
    text = query.text("genericTickList").replace(" ", "")
    asked = frozenset(entry.partition(":")[0] for entry in text.split(",") if entry)
    if not asked <= GENERIC_TICKS:
        legal = ",".join(sorted(GENERIC_TICKS))
        raise invalid(f"Incorrect generic tick list of {text}. Legal ones for ({contract.sec_type}) are: {legal}")
    return asked
