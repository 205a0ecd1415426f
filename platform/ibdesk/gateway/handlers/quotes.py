"""Quote feeds: each change in an instrument's market is encoded once and sent to all subscribers."""

from __future__ import annotations

import math

import msgspec

from ibdesk.clock import SECOND
from ibdesk.gateway.contracts.contract import ContractData
from ibdesk.gateway.market.instrument_state import InstrumentState, PartialBar, Phase
from ibdesk.gateway.market.tape import Tape
from ibdesk.gateway.protocol.codec import text_of
from ibdesk.gateway.protocol.ticks import (
    Body,
    generic_body,
    name_of,
    price_body,
    size_body,
    string_body,
    tick_frames,
    tick_gaps,
)
from ibdesk.gateway.session import Session
from ibdesk.model import Quote, Tick

LIVE_DATA, FROZEN_DATA, DELAYED_DATA = 1, 2, 3
RT_VOLUME, RT_TRADE_VOLUME, TRADE_COUNT, MARK_PRICE, SHORTABLE, SHORTABLE_SHARES = 48, 77, 54, 37, 46, 89
# The generic ticks that are served, by the number in a request (documented).
ASKS_RT_VOLUME, ASKS_RT_TRADE_VOLUME, ASKS_TRADE_COUNT, ASKS_SHORTABLE = "233", "375", "293", "236"
ASKS_MARK_PRICE = frozenset({"221", "232"})
# Above 2.5 at least a thousand shares can be borrowed (documented).
SHORTABLE_LEVEL, SHARES_TO_BORROW = 3.0, 1_000_000.0
_CAN_EXECUTE = 1


class TickTypes(msgspec.Struct, frozen=True):
    """The tick types of one kind of data; delayed data has types of its own (documented)."""

    bid_size: int
    bid: int
    ask: int
    ask_size: int
    last: int
    last_size: int
    high: int
    low: int
    volume: int
    close: int
    open: int
    last_time: int
    halted: int
    market_data_type: int


LIVE = TickTypes(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 14, 45, 49, LIVE_DATA)
DELAYED = TickTypes(69, 66, 67, 70, 68, 71, 72, 73, 74, 75, 76, 88, 90, DELAYED_DATA)


class QuoteSubscriber(msgspec.Struct, frozen=True, eq=False):
    """A subscription to a feed: its request id, its generic ticks, and whether it wants frozen data at the close."""

    session: Session
    request_id: int
    generics: frozenset[str]
    wants_frozen: bool = False


class QuoteFeed:
    """The feed of one instrument: sends its subscribers the changes of quote, last trade and day."""

    def __init__(self, contract: ContractData, state: InstrumentState, types: TickTypes) -> None:
        self._contract = contract
        self._state = state
        self._types = types
        self._quote: Quote | None = None
        self._extremes: tuple[float, float] | None = None
        self._open: float | None = None
        # Each with its request id as encoded in a tick.
        self._subscribers: list[tuple[QuoteSubscriber, bytes]] = []
        self._generics: frozenset[str] = frozenset()

    # ---- subscribers ------------------------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Return whether there are no subscribers."""
        return not self._subscribers

    def add(self, subscriber: QuoteSubscriber) -> None:
        """Send every later change to a subscriber, which has already received the present state."""
        if self.is_idle:
            self._quote, day = self._state.quote, self._state.day
            self._extremes = None if day is None else (day.high, day.low)
            self._open = None if day is None else day.open
        self._subscribers.append((subscriber, name_of(subscriber.request_id)))
        self._generics |= subscriber.generics

    def remove(self, subscriber: QuoteSubscriber) -> None:
        """Stop sending to a subscriber."""
        self._subscribers = [entry for entry in self._subscribers if entry[0] is not subscriber]
        self._generics = frozenset().union(*(entry[0].generics for entry in self._subscribers))

    def show(self, subscriber: QuoteSubscriber) -> None:
        """Send the parameters of the feed and its present state."""
        session, request_id, state = subscriber.session, subscriber.request_id, self._state
        session.send(
            "tickReqParams",
            reqId=request_id,
            minTick=self._contract.instrument.tick_size,
            bboExchange="9c0001",
            snapshotPermissions=3,
        )
        is_frozen = self._is_frozen_for(subscriber)
        self._tell_data_type(subscriber, is_frozen=is_frozen)
        quote = state.withdrawn if is_frozen else state.quote
        bodies: list[Body] = []
        if quote is not None:
            bodies += self._quote_bodies(None, quote)
        if state.previous_close is not None:
            bodies.append(price_body(self._types.close, state.previous_close, 0.0, 0))
        if state.day is not None:
            bodies.append(price_body(self._types.open, state.day.open, 0.0, 0))
        if state.last is not None:
            bodies += self._trade_bodies(state.last)
            if state.day is not None:
                bodies += self._extreme_bodies(state.day)
            bodies += self._generic_bodies(state.last, subscriber.generics)
        if ASKS_SHORTABLE in subscriber.generics and self._contract.sec_type == "STK":
            bodies += (generic_body(SHORTABLE, SHORTABLE_LEVEL), size_body(SHORTABLE_SHARES, SHARES_TO_BORROW))
        if quote is not None:
            bodies.append(generic_body(self._types.halted, float(state.is_halted)))
        if bodies:
            session.send_frame(tick_frames(request_id, bodies))

    # ---- events -----------------------------------------------------------------------------------------------

    def on_quote(self, quote: Quote) -> None:
        """Send changed prices with their sizes, and sizes that changed alone."""
        old, self._quote = self._quote, quote
        bodies = self._quote_bodies(old, quote)
        if bodies:
            self._tell(bodies)

    def on_tick(self, tick: Tick) -> None:
        """Send a trade, and its effect on the day's figures."""
        bodies = self._trade_bodies(tick)
        day = self._state.day
        if day is not None:
            if self._extremes != (day.high, day.low):
                self._extremes = (day.high, day.low)
                bodies += self._extreme_bodies(day)
            if self._open != day.open:
                self._open = day.open
                bodies.append(price_body(self._types.open, day.open, 0.0, 0))
        self._tell(bodies, tick if self._generics else None)

    def on_bar(self, instrument: str, opened_ns: int, bars: dict[str, PartialBar]) -> None:
        """Ignore it: quotes are sent as they come."""

    def on_state(self, state: InstrumentState) -> None:
        """Send tick 49. At a close, subscribers to frozen data keep the last quote; the others lose it (documented)."""
        halted = [generic_body(self._types.halted, float(state.is_halted))]
        for subscriber, _ in self._subscribers:
            if subscriber.wants_frozen:
                self._tell_data_type(subscriber, is_frozen=state.phase is Phase.CLOSED)
            subscriber.session.send_frame(tick_frames(subscriber.request_id, halted))

    # ---- sending ----------------------------------------------------------------------------------------------

    def _tell(self, bodies: list[Body], tick: Tick | None = None) -> None:
        made: dict[tuple[int, frozenset[str]], list[bytes]] = {}
        for subscriber, name in self._subscribers:
            key = (len(name), subscriber.generics)
            gaps = made.get(key)
            if gaps is None:
                more = [] if tick is None else self._generic_bodies(tick, subscriber.generics)
                gaps = made[key] = tick_gaps(len(name), bodies + more)
            if not (subscriber.wants_frozen and self._is_frozen_for(subscriber)):
                subscriber.session.send_frame(name.join(gaps))

    def _is_frozen_for(self, subscriber: QuoteSubscriber) -> bool:
        return subscriber.wants_frozen and self._state.phase is Phase.CLOSED

    def _tell_data_type(self, subscriber: QuoteSubscriber, *, is_frozen: bool) -> None:
        kind = FROZEN_DATA if is_frozen else self._types.market_data_type
        subscriber.session.send("marketDataType", reqId=subscriber.request_id, marketDataType=kind)

    # ---- bodies -----------------------------------------------------------------------------------------------

    def _quote_bodies(self, old: Quote | None, new: Quote) -> list[Body]:
        types = self._types
        bodies: list[Body] = []
        if old is None or old.bid != new.bid:
            bodies.append(_side_body(types.bid, new.bid, new.bid_size))
        if old is None or old.ask != new.ask:
            bodies.append(_side_body(types.ask, new.ask, new.ask_size))
        if old is None or old.bid_size != new.bid_size:
            bodies.append(size_body(types.bid_size, new.bid_size))
        if old is None or old.ask_size != new.ask_size:
            bodies.append(size_body(types.ask_size, new.ask_size))
        return bodies

    def _trade_bodies(self, tick: Tick) -> list[Body]:
        types, day = self._types, self._state.day
        bodies = [
            string_body(types.last_time, str(tick.at_ns // SECOND)),
            price_body(types.last, tick.price, tick.size, 0),
            size_body(types.last_size, tick.size),
        ]
        if day is not None:
            bodies.append(size_body(types.volume, day.volume))
        return bodies

    def _extreme_bodies(self, day: PartialBar) -> list[Body]:
        return [price_body(self._types.high, day.high, 0.0, 0), price_body(self._types.low, day.low, 0.0, 0)]

    def _generic_bodies(self, tick: Tick, generics: frozenset[str]) -> list[Body]:
        day = self._state.day
        if not generics or day is None:
            return []
        bodies: list[Body] = []
        for asked, tick_type in ((ASKS_RT_VOLUME, RT_VOLUME), (ASKS_RT_TRADE_VOLUME, RT_TRADE_VOLUME)):
            if asked in generics:
                text = (
                    f"{text_of(tick.price)};{text_of(tick.size)};{tick.at_ns // 1_000_000};{text_of(day.volume)};"
                    f"{day.average:.8g};true"
                )
                bodies.append(string_body(tick_type, text))
        if ASKS_TRADE_COUNT in generics:
            bodies.append(generic_body(TRADE_COUNT, float(self._state.trades)))
        if generics & ASKS_MARK_PRICE:
            bodies.append(price_body(MARK_PRICE, tick.price, 0.0, 0))
        return bodies


def _side_body(tick_type: int, price: float, size: float) -> Body:
    """Return one side of a quote; a side without a price is -1 with size 0 (documented)."""
    if math.isnan(price):
        return price_body(tick_type, -1.0, 0.0, 0)
    return price_body(tick_type, price, size, _CAN_EXECUTE)


class QuoteFeeds:
    """The quote feeds of all instruments, live and delayed."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._feeds: dict[tuple[str, TickTypes], QuoteFeed] = {}

    def of(self, contract: ContractData, types: TickTypes) -> QuoteFeed:
        """Return the feed of an instrument."""
        key = (contract.id, types)
        if key not in self._feeds:
            self._feeds[key] = QuoteFeed(contract, self._tape.state(contract.id), types)
        return self._feeds[key]

    def subscribe(self, contract: ContractData, types: TickTypes, subscriber: QuoteSubscriber) -> None:
        """Send a subscriber the present state and every later change."""
        feed = self.of(contract, types)
        feed.show(subscriber)
        if feed.is_idle:
            self._tape.watch(contract.id, feed)
        feed.add(subscriber)

    def unsubscribe(self, contract: ContractData, types: TickTypes, subscriber: QuoteSubscriber) -> None:
        """End a subscription."""
        feed = self.of(contract, types)
        feed.remove(subscriber)
        if feed.is_idle:
            self._tape.unwatch(contract.id, feed)
