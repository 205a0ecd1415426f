"""A message between a client and the gateway: its session, its name, and its order."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ibdesk.gateway.protocol.codec import decode
from ibdesk.gateway.protocol.framing import ProtocolError, integer, split
from ibdesk.gateway.protocol.incoming import INCOMING
from ibdesk.gateway.protocol.outgoing import OUTGOING
from ibdesk.gateway.session import Session
from ibdesk.gateway.venue.venue import Venue

INCOMING_NAMES = frozenset(message.name for message in INCOMING.values())
OUTGOING_NAMES = frozenset(message.name for message in OUTGOING.values())
# The messages of the market-data farm (MARKET) and of the history farm (HISTORY).
MARKET = frozenset(
    {"tickPrice", "tickSize", "tickString", "tickGeneric", "tickOptionComputation", "tickByTick", "realTimeBar"}
    | {"marketDepth", "marketDepthL2"}
)
HISTORY = frozenset(
    {"historicalData", "historicalTicks", "historicalTicksBidAsk", "historicalTicksLast", "headTimestamp"}
    | {"histogramData", "historicalSchedule"}
)
# Requests whose answers contain orders and executions, which the venue otherwise reports by itself.
_ASKING = frozenset({"reqOpenOrders", "reqAllOpenOrders", "reqAutoOpenOrders", "reqExecutions", "reqCompletedOrders"})
# The index of the field with the order id, or the request id; the message's number is field 0.
_ORDER_AT = {"openOrder": 1, "orderStatus": 1, "execDetails": 2, "errMsg": 2, "placeOrder": 1, "cancelOrder": 2}
_REQUEST_AT = {"tickPrice": 2, "tickSize": 2, "tickString": 2, "tickGeneric": 2, "realTimeBar": 2} | {
    "tickOptionComputation": 1,
    "tickByTick": 1,
    "marketDepth": 2,
    "marketDepthL2": 2,
}


class PassingMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message; `data` is the frame of an outgoing one, or the payload without its length of an incoming one."""

    session: Session
    venue: Venue
    name: str
    is_outgoing: bool
    data: bytes
    is_answer: bool = False
    """Whether it answers a request for orders or executions, and is not an unrequested report."""

    def texts(self) -> list[str]:
        """Return its fields, the number first; empty if it is malformed."""
        try:
            return split(self.data[4:] if self.is_outgoing else self.data)
        except ProtocolError:
            return []

    def order(self) -> int | None:
        """Return the order id in the message, or None."""
        if self.name == "commissionReport":
            return self._charged_order()
        return self._number_at(_ORDER_AT.get(self.name))

    def request(self) -> int | None:
        """Return the id of the market-data request that it answers, or None."""
        return self._number_at(_REQUEST_AT.get(self.name))

    def status(self) -> str:
        """Return the status in an orderStatus; empty for other messages."""
        return self.texts()[2] if self.name == "orderStatus" else ""

    def is_new_order(self) -> bool:
        """Return whether it is a placeOrder of a new order: not a change of terms, not a what-if request."""
        if self.name != "placeOrder":
            return False
        try:
            fields = decode(INCOMING[3], self.texts(), self.session.version)
        except ProtocolError:
            return False
        known = self.venue.find_order(self.session.client_id, integer(str(fields["orderId"])) or 0)
        return known is None and fields["whatIf"] not in ("1", "true")

    def _charged_order(self) -> int | None:
        execution_id = self.texts()[2]
        found = (done for done in reversed(self.venue.executions) if done.id == execution_id)
        return next((done.record.order_id for done in found), None)

    def _number_at(self, place: int | None) -> int | None:
        texts = self.texts()
        if place is None or place >= len(texts):
            return None
        return integer(texts[place])


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """A set of messages: by name (none means every outgoing one), client and order, with or without answers."""

    messages: frozenset[str] = frozenset()
    client: int | None = None
    order: int | None = None
    answers: bool = True

    def covers(self, passing: PassingMessage) -> bool:
        """Return whether a message is in scope."""
        named = passing.name in self.messages if self.messages else passing.is_outgoing
        return (
            named
            and self.client in (None, passing.session.client_id)
            and (self.answers or not passing.is_answer)
            and (self.order is None or self.order == passing.order())
        )


def outgoing(session: Session, data: bytes, request: str, venue: Venue) -> Iterator[PassingMessage]:
    """Yield the messages in one or several complete frames; `request` is the one they answer, if any."""
    start = 0
    while start < len(data):
        end = start + 4 + int.from_bytes(data[start : start + 4], "big")
        number = data[start + 4 : data.index(b"\0", start + 4)]
        message = OUTGOING.get(int(number)) if number.isdigit() else None
        yield PassingMessage(
            session=session,
            venue=venue,
            name="" if message is None else message.name,
            is_outgoing=True,
            data=data[start:end],
            is_answer=request in _ASKING,
        )
        start = end


def incoming(session: Session, payload: bytes, venue: Venue) -> PassingMessage:
    """Return a request of a client, well-formed or not."""
    number = payload.split(b"\0", 1)[0]
    message = INCOMING.get(int(number)) if number.isdigit() and len(number) < 6 else None
    name = "" if message is None else message.name
    return PassingMessage(session=session, venue=venue, name=name, is_outgoing=False, data=payload)
