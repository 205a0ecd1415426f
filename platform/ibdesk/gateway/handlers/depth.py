"""The market depth of one session: levels behind the best bid and ask, as inserts, updates and deletes by position.

The levels are invented: each is one tick behind the one before it, and its size depends on its price alone. So the
same quotes always give the same book.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping

import msgspec

from ibdesk.gateway.contracts.book import ContractBook
from ibdesk.gateway.contracts.contract import ContractData
from ibdesk.gateway.handlers.reference import the_contract
from ibdesk.gateway.market.instrument_state import InstrumentState, PartialBar
from ibdesk.gateway.market.tape import Tape
from ibdesk.gateway.protocol.codec import Fields, Value
from ibdesk.gateway.refusal import RefusedError, invalid
from ibdesk.gateway.session import RequestMethod, Session
from ibdesk.model import Quote, Tick

INSERT, UPDATE, DELETE = 0, 1, 2
ASK_SIDE, BID_SIDE = 0, 1
# Subscriptions of one client (documented), and rows of one book.
MOST_SUBSCRIPTIONS, MOST_ROWS = 3, 50
VENUES = ("ISLAND", "ARCA", "IEX", "BATS", "BYX")
"""The venues whose orders are in the book; with smart depth each level names one of them."""
SMART_DEPTH = "Exchanges - Depth: ISLAND; ARCA; IEX; BATS; BYX;"
RESET = "Market depth data has been RESET. Please empty deep book contents before applying any new entries."
HALTED = "Market depth data has been HALTED. Please re-subscribe."
_LOT = 100.0


class DepthLevel(msgspec.Struct, frozen=True):
    """One price level of one side."""

    price: float
    size: float
    venue: str


class DepthChange(msgspec.Struct, frozen=True):
    """A change at a position of one side; a deletion carries the deleted level."""

    position: int
    operation: int
    level: DepthLevel


def levels_of(quote: Quote, side: int, rows: int, tick: float) -> list[DepthLevel]:
    """Return the levels of one side, best first: the quote's own, then each one tick further.

    A side without a price is empty, and no level has a price of zero or less.
    """
    best, size = (quote.bid, quote.bid_size) if side == BID_SIDE else (quote.ask, quote.ask_size)
    if math.isnan(best):
        return []
    step = -tick if side == BID_SIDE else tick
    prices = [round(best + step * place, 10) for place in range(rows)]
    return [
        DepthLevel(price, size if place == 0 else _size_at(quote.instrument, price), _venue_at(quote.instrument, price))
        for place, price in enumerate(prices)
        if price > 0
    ]


def moves_between(old: list[DepthLevel], new: list[DepthLevel]) -> list[DepthChange]:
    """Return the moves from one side to another: updates in place, inserts and deletions only at the end.

    So a client has the same book whether it inserts a level and moves the ones behind it (documented), or replaces the
    level at that position, as ib_async does.
    """
    pairs = enumerate(zip(old, new, strict=False))
    moves = [DepthChange(place, UPDATE, after) for place, (before, after) in pairs if before != after]
    moves += [DepthChange(place, INSERT, new[place]) for place in range(len(old), len(new))]
    moves += [DepthChange(place, DELETE, old[place]) for place in range(len(old) - 1, len(new) - 1, -1)]
    return moves


def _size_at(instrument: str, price: float) -> float:
    return _LOT * (1 + zlib.crc32(f"{instrument} {price:.10g}".encode()) % 20)


def _venue_at(instrument: str, price: float) -> str:
    return VENUES[zlib.crc32(f"{price:.10g} {instrument}".encode()) % len(VENUES)]


class DepthStream:
    """One subscription to the book of an instrument."""

    def __init__(self, session: Session, request_id: int, contract: ContractData, *, rows: int, is_smart: bool) -> None:
        self._session = session
        self._id = request_id
        self._rows = rows
        self._is_smart = is_smart
        self._tick = contract.instrument.tick_size
        self._sides: dict[int, list[DepthLevel]] = {BID_SIDE: [], ASK_SIDE: []}

    def reset(self, quote: Quote | None) -> None:
        """Tell the client to empty its book (error 317, documented), and send the book again."""
        self._session.error(self._id, 317, RESET)
        self._sides = {BID_SIDE: [], ASK_SIDE: []}
        if quote is not None:
            self.on_quote(quote)

    def on_quote(self, quote: Quote) -> None:
        """Send the changes that the quote causes in the book."""
        for side, old in self._sides.items():
            new = levels_of(quote, side, self._rows, self._tick)
            self._sides[side] = new
            for move in moves_between(old, new):
                self._send(side, move)

    def on_tick(self, tick: Tick) -> None:
        """Ignore it: the quote that follows shows the effect of a trade."""

    def on_bar(self, instrument: str, opened_ns: int, bars: dict[str, PartialBar]) -> None:
        """Ignore it: a book has no bars."""

    def on_state(self, state: InstrumentState) -> None:
        """Report a trading halt (error 316, documented); the book empties with the quote."""
        if state.is_halted:
            self._session.error(self._id, 316, HALTED)

    def _send(self, side: int, move: DepthChange) -> None:
        gone = move.operation == DELETE
        values: dict[str, Value] = {
            "reqId": self._id,
            "position": move.position,
            "operation": move.operation,
            "side": side,
            "price": 0.0 if gone else move.level.price,
            "size": 0.0 if gone else move.level.size,
        }
        if self._is_smart:
            self._session.send("marketDepthL2", **values, marketMaker=move.level.venue, isSmartDepth=True)
        else:
            self._session.send("marketDepth", **values)


class DepthRequests:
    """The depth requests of one session; `most` is the maximum number of books, `None` is no limit."""

    def __init__(
        self, session: Session, tape: Tape, contracts: ContractBook, *, most: int | None = MOST_SUBSCRIPTIONS
    ) -> None:
        self._session = session
        self._tape = tape
        self._contracts = contracts
        self._most = most
        self._streams: dict[int, tuple[str, DepthStream]] = {}

    def methods(self) -> Mapping[str, RequestMethod]:
        """Return the method of each request, by message name."""
        return {"reqMktDepth": self.begin, "cancelMktDepth": self.cancel}

    def end_subscriptions(self) -> None:
        """End all subscriptions without a message."""
        for instrument, stream in self._streams.values():
            self._tape.unwatch(instrument, stream)
        self._streams.clear()

    def reset(self) -> None:
        """Tell the client to empty its books, and send them again, as after a lost link."""
        for instrument, stream in self._streams.values():
            stream.reset(self._tape.quote(instrument))

    def begin(self, query: Fields) -> None:
        """Send the book, then its changes; smart depth first names its venues (2152, captured)."""
        request_id, rows, is_smart = query.required("reqId"), query.whole("numRows") or 0, query.flag("isSmartDepth")
        if query.text("secType") == "BAG":
            raise RefusedError(
                10092, "Deep market data is not supported for this combination of security type/exchange"
            )
        contract = the_contract(self._contracts, query)
        if request_id in self._streams:
            raise RefusedError(102, "Duplicate ticker ID.")
        if not 0 < rows <= MOST_ROWS:
            raise invalid(f"Invalid number of rows {rows}: must be from 1 to {MOST_ROWS}")
        if self._most is not None and len(self._streams) >= self._most:
            raise RefusedError(309, f"Max number ({self._most}) of market depth requests has been reached")
        self._tape.play(contract.instrument)
        if is_smart:
            self._session.error(request_id, 2152, SMART_DEPTH)
        stream = DepthStream(self._session, request_id, contract, rows=rows, is_smart=is_smart)
        quote = self._tape.quote(contract.id)
        if quote is not None:
            stream.on_quote(quote)
        self._streams[request_id] = (contract.id, stream)
        self._tape.watch(contract.id, stream)

    def cancel(self, query: Fields) -> None:
        """End a subscription; error 310 if there is none (documented)."""
        request_id = query.required("reqId")
        if request_id not in self._streams:
            raise RefusedError(310, f"Can't find the subscribed market depth with tickerId:{request_id}")
        instrument, stream = self._streams.pop(request_id)
        self._tape.unwatch(instrument, stream)
