"""Streaming market data of one session: quotes, 5-second bars, tick by tick."""

from __future__ import annotations

from collections.abc import Mapping

from ibdesk.clock import SECOND
from ibdesk.gateway.contracts.book import ContractBook, ContractData
from ibdesk.gateway.market.tape import Candle, Line, Tape, Watcher
from ibdesk.gateway.protocol.codec import Fields, encode, text_of, tick_price, tick_size
from ibdesk.gateway.protocol.outgoing import OUTGOING_BY_NAME
from ibdesk.gateway.refusal import RefusedError, invalid, unknown_ticker
from ibdesk.gateway.rooms.reference import the_contract
from ibdesk.gateway.session import Handler, Session
from ibdesk.model import Quote, Tick

BID_SIZE, BID, ASK, ASK_SIZE, LAST, LAST_SIZE = 0, 1, 2, 3, 4, 5
HIGH, LOW, VOLUME, CLOSE, OPEN, LAST_TIME, RT_VOLUME, HALTED = 6, 7, 8, 9, 14, 45, 48, 49
LIVE_DATA = 1
SHOWN = ("TRADES", "MIDPOINT", "BID", "ASK")
TICK_BY_TICK_TYPES = {"Last": 1, "AllLast": 2, "BidAsk": 3, "MidPoint": 4}
# GENERIC_RT_VOLUME: the generic tick that asks for the string of trade, volume and average price.
GENERIC_RT_VOLUME = "233"


class QuoteStream:
    """One market-data line: sends what changed in quote, last trade and day."""

    def __init__(
        self, session: Session, request_id: int, contract: ContractData, line: Line, *, wants_rt_volume: bool
    ) -> None:
        self._session = session
        self._id = request_id
        self._contract = contract
        self._line = line
        self._wants_rt_volume = wants_rt_volume
        self._quote: Quote | None = None
        self._extremes = (0.0, 0.0)

    def begin(self) -> None:
        """Send the line's head, and what is known already."""
        line = self._line
        self._session.send(
            "tickReqParams",
            reqId=self._id,
            minTick=self._contract.instrument.tick_size,
            bboExchange="9c0001",
            snapshotPermissions=3,
        )
        self._session.send("marketDataType", reqId=self._id, marketDataType=LIVE_DATA)
        if line.quote is not None:
            self.on_quote(line.quote)
        if line.previous_close is not None:
            self._price(CLOSE, line.previous_close)
        if line.day is not None:
            self._price(OPEN, line.day.open)
        if line.last is not None:
            self.on_tick(line.last)
        if line.quote is not None:
            self._session.send("tickGeneric", reqId=self._id, tickType=HALTED, value=0.0)

    def on_quote(self, quote: Quote) -> None:
        """Send prices that changed with their sizes, and sizes that changed alone."""
        old, self._quote = self._quote, quote
        if old is None or old.bid != quote.bid:
            self._price(BID, quote.bid, quote.bid_size)
        if old is None or old.ask != quote.ask:
            self._price(ASK, quote.ask, quote.ask_size)
        if old is None or old.bid_size != quote.bid_size:
            self._session.send_frame(tick_size(self._id, BID_SIZE, quote.bid_size))
        if old is None or old.ask_size != quote.ask_size:
            self._session.send_frame(tick_size(self._id, ASK_SIZE, quote.ask_size))

    def on_tick(self, tick: Tick) -> None:
        """Send a trade, and what it did to the day."""
        self._session.send("tickString", reqId=self._id, tickType=LAST_TIME, value=str(tick.at_ns // SECOND))
        self._price(LAST, tick.price, tick.size)
        self._session.send_frame(tick_size(self._id, LAST_SIZE, tick.size))
        day = self._line.day
        if day is None:
            return
        self._session.send_frame(tick_size(self._id, VOLUME, day.volume))
        if self._extremes != (day.high, day.low):
            self._extremes = (day.high, day.low)
            self._price(HIGH, day.high)
            self._price(LOW, day.low)
        if self._wants_rt_volume:
            value = (
                f"{text_of(tick.price)};{text_of(tick.size)};{tick.at_ns // 1_000_000};{text_of(day.volume)};"
                f"{day.average:.8g};true"
            )
            self._session.send("tickString", reqId=self._id, tickType=RT_VOLUME, value=value)

    def on_bar(self, instrument: str, opened_ns: int, candles: dict[str, Candle]) -> None:
        """Pass over: quotes are sent as they come."""

    def _price(self, tick_type: int, price: float, size: float = 0.0) -> None:
        self._session.send_frame(tick_price(self._id, tick_type, price, size, 1 if tick_type in (BID, ASK) else 0))


class BarStream:
    """One subscription to 5-second bars."""

    def __init__(self, session: Session, request_id: int, what: str) -> None:
        self._session = session
        self._id = request_id
        self._what = what

    def on_quote(self, quote: Quote) -> None:
        """Pass over: bars are sent when they close."""

    def on_tick(self, tick: Tick) -> None:
        """Pass over: bars are sent when they close."""

    def on_bar(self, instrument: str, opened_ns: int, candles: dict[str, Candle]) -> None:  # noqa: ARG002
        """Send the bar that closed; only trades have volume, the others carry -1."""
        candle = candles.get(self._what)
        if candle is None:
            return
        trades = self._what == "TRADES"
        self._session.send(
            "realTimeBar",
            reqId=self._id,
            time=opened_ns // SECOND,
            open=candle.open,
            high=candle.high,
            low=candle.low,
            close=candle.close,
            volume=candle.volume if trades else -1,
            wap=candle.average if trades else -1,
            count=candle.count if trades else -1,
        )


class TickStream:
    """One tick-by-tick subscription."""

    def __init__(self, session: Session, request_id: int, tick_type: int) -> None:
        self._session = session
        self._id = request_id
        self._type = tick_type

    def on_quote(self, quote: Quote) -> None:
        """Send the quote, or its middle."""
        if self._type == TICK_BY_TICK_TYPES["BidAsk"]:
            self._send(
                quote.at_ns,
                bidPrice=quote.bid,
                askPrice=quote.ask,
                bidSize=quote.bid_size,
                askSize=quote.ask_size,
                mask=0,
            )
        elif self._type == TICK_BY_TICK_TYPES["MidPoint"]:
            self._send(quote.at_ns, midPoint=quote.mid)

    def on_tick(self, tick: Tick) -> None:
        """Send the trade."""
        if self._type <= TICK_BY_TICK_TYPES["AllLast"]:
            self._send(tick.at_ns, price=tick.price, size=tick.size, mask=0, exchange="IEX", specialConditions="")

    def on_bar(self, instrument: str, opened_ns: int, candles: dict[str, Candle]) -> None:
        """Pass over: ticks are sent as they come."""

    def _send(self, at_ns: int, **values: float | str) -> None:
        message = OUTGOING_BY_NAME["tickByTick"]
        head = {"reqId": self._id, "tickType": self._type, "time": at_ns // SECOND}
        self._session.send_frame(encode(message, {**head, **values}, self._session.version))


class MarketData:
    """The market-data requests of one session."""

    def __init__(self, session: Session, tape: Tape, contracts: ContractBook) -> None:
        self._session = session
        self._tape = tape
        self._contracts = contracts
        self._streams: dict[tuple[str, int], tuple[str, Watcher]] = {}

    def handlers(self) -> Mapping[str, Handler]:
        """Return what it answers."""
        return {
            "reqMktData": self.quotes,
            "cancelMktData": lambda query: self._cancel("quotes", query.required("reqId")),
            "reqRealTimeBars": self.bars,
            "cancelRealTimeBars": lambda query: self._cancel("bars", query.required("reqId")),
            "reqTickByTickData": self.tick_by_tick,
            "cancelTickByTickData": lambda query: self._cancel("ticks", query.required("reqId")),
            "reqMarketDataType": self.data_type,
        }

    def close(self) -> None:
        """End all subscriptions, without a word: as on error 1101, too."""
        for instrument, watcher in self._streams.values():
            self._tape.unwatch(instrument, watcher)
        self._streams.clear()

    def quotes(self, query: Fields) -> None:
        """Begin a line of quotes, or send a snapshot and its end."""
        request_id = query.required("reqId")
        contract = the_contract(self._contracts, query)
        self._check_free("quotes", request_id)
        generic = query.text("genericTickList").replace(" ", "").split(",")
        stream = QuoteStream(
            self._session,
            request_id,
            contract,
            self._tape.line(contract.id),
            wants_rt_volume=GENERIC_RT_VOLUME in generic,
        )
        stream.begin()
        if query.flag("snapshot") or query.flag("regulatorySnapshot"):
            self._session.send("tickSnapshotEnd", reqId=request_id)
            return
        self._begin("quotes", request_id, contract, stream)

    def bars(self, query: Fields) -> None:
        """Begin to send 5-second bars."""
        request_id, what = query.required("reqId"), query.text("whatToShow").upper()
        contract = the_contract(self._contracts, query)
        self._check_free("bars", request_id)
        if what not in SHOWN:
            raise invalid(f"Invalid what-to-show {what!r}: real-time bars show {', '.join(SHOWN)}")
        if what == "TRADES" and not contract.has_trades:
            raise RefusedError(420, f"Invalid Real-time Query:No trades of {contract.id}, ask for MIDPOINT, BID or ASK")
        self._begin("bars", request_id, contract, BarStream(self._session, request_id, what))

    def tick_by_tick(self, query: Fields) -> None:
        """Begin to send every trade, quote or middle."""
        request_id, kind = query.required("reqId"), query.text("tickType")
        contract = the_contract(self._contracts, query)
        self._check_free("ticks", request_id)
        if kind not in TICK_BY_TICK_TYPES:
            raise invalid(f"Invalid tick type {kind!r}: ask for {', '.join(TICK_BY_TICK_TYPES)}")
        self._begin("ticks", request_id, contract, TickStream(self._session, request_id, TICK_BY_TICK_TYPES[kind]))

    def data_type(self, query: Fields) -> None:
        """Take the wish for frozen or delayed data; live data is there, so live data is sent (documented)."""
        if query.required("marketDataType") not in (1, 2, 3, 4):
            raise invalid("Invalid market data type", request_id=-1)

    def _check_free(self, kind: str, request_id: int) -> None:
        if (kind, request_id) in self._streams:
            raise RefusedError(102, "Duplicate ticker ID.")

    def _begin(self, kind: str, request_id: int, contract: ContractData, watcher: Watcher) -> None:
        self._streams[kind, request_id] = (contract.id, watcher)
        self._tape.watch(contract.id, watcher)

    def _cancel(self, kind: str, request_id: int) -> None:
        if (kind, request_id) not in self._streams:
            raise unknown_ticker(request_id)
        instrument, watcher = self._streams.pop((kind, request_id))
        self._tape.unwatch(instrument, watcher)
