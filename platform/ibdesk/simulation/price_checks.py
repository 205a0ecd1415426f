"""What clients were last told of prices, and what that says of an order that opens a position."""

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
# How long a desk may take over what it has read.
_SLACK_NS = SECOND // 5
# How many prices are kept: more than come while bytes travel.
_KEPT = 64
_DUST = 1e-9


class SentPrice(msgspec.Struct, frozen=True):
    """A bid or an ask that left for a client."""

    at_ns: int
    price: float


class PriceChecks:
    """Follows what the gateway tells each client of each instrument's market."""

    def __init__(self, latency_ns: tuple[int, int]) -> None:
        # _travel_ns: how long bytes take, in two parts at most.
        self._travel_ns = 2 * latency_ns[1] + _SLACK_NS
        # _symbols: what a request of a client is for; _told_ns: when something of its market was told last.
        self._symbols: dict[tuple[int, str], str] = {}
        self._told_ns: dict[tuple[int, str], int] = {}
        self._sides: dict[tuple[int, str, str], collections.deque[SentPrice]] = {}
        # Since when nothing was read, and until when.
        self._held_from_ns = self._held_until_ns = 0

    def hold(self, from_ns: int, until_ns: int) -> None:
        """Take note that nothing arrives, or is read, between these times."""
        if from_ns > self._held_until_ns:
            self._held_from_ns = from_ns
        self._held_until_ns = max(self._held_until_ns, until_ns)

    def client_sent(self, peer: Peer, payload: bytes) -> None:
        """Take note for which instrument a client asks."""
        for start, number in ((_ASK_QUOTES, 1), (_ASK_BARS, 50)):
            if payload.startswith(start):
                fields = decode(INCOMING[number], split(payload), peer.version)
                self._symbols[peer.client_id, str(fields["reqId"])] = str(fields["symbol"])

    def gateway_sent(self, peer: Peer, frames: bytes, now_ns: int) -> None:
        """Take note of what a client is told."""
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
        """Return whether a client was told anything of an instrument since then."""
        return self._told_ns.get((client_id, symbol), 0) >= since_ns

    def is_older_than(self, seconds: float, client_id: int, symbol: str, now_ns: int) -> bool:
        """Return whether all that a client was told of an instrument is older than that, when it was read at last."""
        told_ns = self._told_ns.get((client_id, symbol), 0)
        if told_ns + self._travel_ns >= self._held_from_ns:
            # What was on its way then, or was told since, was read at the end.
            told_ns = max(told_ns, self._held_until_ns)
        return now_ns - told_ns - self._travel_ns > seconds * SECOND

    def is_known(self, at_ns: int, now_ns: int) -> bool:
        """Return whether a client has read what left for it at that time."""
        return max(at_ns, self._held_until_ns) + self._travel_ns < now_ns

    def best(self, client_id: int, symbol: str, quantity: float, now_ns: int) -> float:
        """Return the price at which a position is worth most, of those that the client may go by now.

        These are all that it may not have read yet, and the last two before: infinite where nothing was told.
        """
        sent = self._sides.get((client_id, symbol, _ASK if quantity > 0 else _BID), ())
        unread = [each.price for each in sent if not self.is_known(each.at_ns, now_ns)]
        read = [each.price for each in itertools.islice(reversed(sent), len(unread), len(unread) + 2)]
        if not read:
            return math.inf if quantity > 0 else -math.inf
        return max(unread + read) if quantity > 0 else min(unread + read)

    def _worst(self, client_id: int, symbol: str, quantity: float) -> float:
        """Return the price at which a position is worth least, of all that are kept."""
        sent = self._sides.get((client_id, symbol, _BID if quantity > 0 else _ASK), ())
        prices = [each.price for each in sent] or [0.0 if quantity > 0 else math.inf]
        return min(prices) if quantity > 0 else max(prices)

    def least_loss(self, client_id: int, executions: Iterable[Executed], now_ns: int) -> float:
        """Return what these executions have lost at least, by the prices the client may go by."""
        return _loss(executions, lambda symbol, quantity: self.best(client_id, symbol, quantity, now_ns))

    def most_loss(self, client_id: int, executions: Iterable[Executed]) -> float:
        """Return what these executions may have lost, by the worst price the client was told lately."""
        return _loss(executions, lambda symbol, quantity: self._worst(client_id, symbol, quantity))


def _loss(executions: Iterable[Executed], price: Callable[[str, float], float]) -> float:
    """Return what executions have lost, positions taken at the price for an instrument and a signed quantity."""
    cash, held = 0.0, collections.Counter[str]()
    for each in executions:
        cash -= each.quantity * each.price + each.commission
        held[each.symbol] += each.quantity  # type: ignore[assignment]  # a Counter of floats
    worth = [quantity * price(symbol, quantity) for symbol, quantity in held.items() if abs(quantity) > _DUST]
    return -cash - sum(worth)
