"""Listening to what clients and a TWS say to each other: who may listen, and several listeners as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol


class Party(Protocol):
    """The client's end of a connection; every connection is another one."""

    @property
    def client_id(self) -> int:
        """Return the client id; -1 before it is known."""
        ...

    @property
    def version(self) -> int:
        """Return the server version agreed on; 0 before it is."""
        ...


class Listener(Protocol):
    """Whoever listens to what a client and the gateway say to each other."""

    def heard(self, party: Party, payload: bytes) -> None:
        """Hear one message of the client, without its length; its greeting and versions too."""
        ...

    def said(self, party: Party, frames: bytes) -> None:
        """Hear what leaves for the client: one or several complete frames, each with its length."""
        ...

    def left(self, party: Party, *, by_client: bool) -> None:
        """Hear that the client, or else the gateway, has hung up."""
        ...


class Listeners:
    """Several listeners as one."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._all = tuple(listeners)

    def heard(self, party: Party, payload: bytes) -> None:
        """Let each hear it."""
        for listener in self._all:
            listener.heard(party, payload)

    def said(self, party: Party, frames: bytes) -> None:
        """Let each hear it."""
        for listener in self._all:
            listener.said(party, frames)

    def left(self, party: Party, *, by_client: bool) -> None:
        """Let each hear it."""
        for listener in self._all:
            listener.left(party, by_client=by_client)


def payloads(frames: bytes) -> Iterator[bytes]:
    """Yield what complete frames hold."""
    start = 0
    while start < len(frames):
        end = start + 4 + int.from_bytes(frames[start : start + 4], "big")
        yield frames[start + 4 : end]
        start = end
