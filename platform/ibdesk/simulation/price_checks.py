"""The prices last sent to clients, and their consequence for an order that opens a position."""

from __future__ import annotations

import collections
import itertools
import math
from collections.abc import Callable, Iterable

import msgspec

from ibdesk.clock import SECOND
from ibdesk.gateway.listening import Peer, payloads
from ibdesk.gateway.protocol.codec import decode
from ibdesk.gateway.protocol.framing import split
from ibdesk.gateway.protocol.incoming import INCOMING
from ibdesk.simulation.truth import Executed

_ASK_QUOTES, _ASK_BARS = b"1\0", b"50\0"
_PRICE, _SIZE, _BAR = b"1\0", b"2\0", b"50\0"
_BID, _ASK = "1", "2"
# The longest time that a desk may need to process data that it has read.
_SLACK_NS = SECOND // 5
# The number of kept prices: more than come while data travels.
_KEPT = 64
_DUST = 1e-9


class SentPrice(msgspec.Struct, frozen=True):
    """A bid or an ask that was sent to a client."""

    at_ns: int
    price: float


class PriceChecks:
    """Tracks the gateway's messages to each client about each instrument's market."""

    def __init__(self, latency_ns: tuple[int, int]) -> None:
        # _travel_ns: the travel time of data, in at most two parts.
        self._travel_ns = 2 * latency_ns[1] + _SLACK_NS
        # _symbols: the instrument of a client's request; _told_ns: when its market data was last sent.
        self._symbols: dict[tuple[int, str], str] = {}
        self._told_ns: dict[tuple[int, str], int] = {}
        self._sides: dict[tuple[int, str, str], collections.deque[SentPrice]] = {}
        # The beginning and the end of the last time without reading.
        self._held_from_ns = self._held_until_ns = 0

    def hold(self, from_ns: int, until_ns: int) -> None:
        """Record that nothing arrives, or is read, between these times."""
        if from_ns > self._held_until_ns:
            self._held_from_ns = from_ns
        self._held_until_ns = max(self._held_until_ns, until_ns)

    def client_sent(self, peer: Peer, payload: bytes) -> None:
        """Record the instrument that a client requests."""
        for start, number in ((_ASK_QUOTES, 1), (_ASK_BARS, 50)):
            if payload.startswith(start):
                fields = decode(INCOMING[number], split(payload), peer.version)
                self._symbols[peer.client_id, str(fields["reqId"])] = str(fields["symbol"])

    def gateway_sent(self, peer: Peer, frames: bytes, now_ns: int) -> None:
        """Record the prices sent to a client."""
        for payload in payloads(frames):
            if not payload.startswith((_PRICE, _SIZE, _BAR)):
                continue
            texts = split(payload)
            symbol = self._symbols.get((peer.client_id, texts[2]))
            if symbol is None:
                continue
            self._told_ns[peer.client_id, symbol] = now_ns
            if payload.startswith(_PRICE) and texts[3] in (_BID, _ASK) and float(texts[4]) > 0:
                key = peer.client_id, symbol, texts[3]
                self._sides.setdefault(key, collections.deque(maxlen=_KEPT)).append(SentPrice(now_ns, float(texts[4])))

    def was_told_since(self, since_ns: int, client_id: int, symbol: str) -> bool:
        """Return whether a client was sent anything of an instrument since then."""
        return self._told_ns.get((client_id, symbol), 0) >= since_ns

    def is_older_than(self, seconds: float, client_id: int, symbol: str, now_ns: int) -> bool:
        """Return whether all data of an instrument was older than that when the client could finally read it."""
        told_ns = self._told_ns.get((client_id, symbol), 0)
        if told_ns + self._travel_ns >= self._held_from_ns:
            # Data that was travelling then, or was sent since, was read at the end.
            told_ns = max(told_ns, self._held_until_ns)
        return now_ns - told_ns - self._travel_ns > seconds * SECOND

    def is_known(self, at_ns: int, now_ns: int) -> bool:
        """Return whether a client has read the data sent to it at that time."""
        return max(at_ns, self._held_until_ns) + self._travel_ns < now_ns

    def best(self, client_id: int, symbol: str, quantity: float, now_ns: int) -> float:
        """Return the price at which a position is worth most, of those that the client may use now.

        These are all that it may not have read yet, and the last two before: infinite if none was sent.
        """
        sent = self._sides.get((client_id, symbol, _ASK if quantity > 0 else _BID), ())
        unread = [each.price for each in sent if not self.is_known(each.at_ns, now_ns)]
        read = [each.price for each in itertools.islice(reversed(sent), len(unread), len(unread) + 2)]
        if not read:
            return math.inf if quantity > 0 else -math.inf
        return max(unread + read) if quantity > 0 else min(unread + read)

    def _worst(self, client_id: int, symbol: str, quantity: float) -> float:
        """Return the price at which a position is worth least, of all kept prices."""
        sent = self._sides.get((client_id, symbol, _BID if quantity > 0 else _ASK), ())
        prices = [each.price for each in sent] or [0.0 if quantity > 0 else math.inf]
        return min(prices) if quantity > 0 else max(prices)

    def least_loss(self, client_id: int, executions: Iterable[Executed], now_ns: int) -> float:
        """Return the smallest possible loss of these executions, by the prices that the client may use."""
        return _loss(executions, lambda symbol, quantity: self.best(client_id, symbol, quantity, now_ns))

    def most_loss(self, client_id: int, executions: Iterable[Executed]) -> float:
        """Return the largest possible loss of these executions, by the worst price recently sent."""
        return _loss(executions, lambda symbol, quantity: self._worst(client_id, symbol, quantity))


def _loss(executions: Iterable[Executed], price: Callable[[str, float], float]) -> float:
    """Return the loss of executions, with `price` for an instrument and a signed quantity."""
    cash, held = 0.0, collections.Counter[str]()
    for each in executions:
        cash -= each.quantity * each.price + each.commission
        held[each.symbol] += each.quantity  # type: ignore[assignment]  # a Counter of floats
    worth = [quantity * price(symbol, quantity) for symbol, quantity in held.items() if abs(quantity) > _DUST]
    return -cash - sum(worth)
