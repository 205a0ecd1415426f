"""Listeners to the messages between clients and a TWS, and several listeners as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol


class Peer(Protocol):
    """The client's end of a connection; each connection has its own."""

    @property
    def client_id(self) -> int:
        """Return the client id; -1 before it is known."""
        ...

    @property
    def version(self) -> int:
        """Return the agreed server version; 0 before the agreement."""
        ...


class MessageListener(Protocol):
    """Receives the messages between a client and the gateway."""

    def client_sent(self, peer: Peer, payload: bytes) -> None:
        """Receive a message of the client, without its length; also its greeting and versions."""
        ...

    def gateway_sent(self, peer: Peer, frames: bytes) -> None:
        """Receive bytes for the client: one or several complete frames, each with its length."""
        ...

    def disconnected(self, peer: Peer, *, by_client: bool) -> None:
        """Note that the client, or else the gateway, has hung up."""
        ...


class Listeners:
    """Several listeners as one."""

    def __init__(self, listeners: Sequence[MessageListener]) -> None:
        self._all = tuple(listeners)

    def client_sent(self, peer: Peer, payload: bytes) -> None:
        """Forward it to each listener."""
        for listener in self._all:
            listener.client_sent(peer, payload)

    def gateway_sent(self, peer: Peer, frames: bytes) -> None:
        """Forward it to each listener."""
        for listener in self._all:
            listener.gateway_sent(peer, frames)

    def disconnected(self, peer: Peer, *, by_client: bool) -> None:
        """Forward it to each listener."""
        for listener in self._all:
            listener.disconnected(peer, by_client=by_client)


def payloads(frames: bytes) -> Iterator[bytes]:
    """Yield the payloads of complete frames."""
    start = 0
    while start < len(frames):
        end = start + 4 + int.from_bytes(frames[start : start + 4], "big")
        yield frames[start + 4 : end]
        start = end
