"""Counts of messages and subscriptions for each client of the gateway."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ibdesk.gateway.listening import Peer, payloads

# Requests that begin and end a stream: message number, and the index of the field with the request's id.
_BEGINS = {1: 2, 10: 2, 50: 2, 62: 2, 92: 1, 94: 1, 97: 1}
_ENDS = {2: (1, 2), 11: (10, 2), 51: (50, 2), 63: (62, 2), 93: (92, 1), 95: (94, 1), 98: (97, 1)}
_ERROR = "4"
# The first bytes of nextValidId.
_WELCOME = b"9\0"
# These codes are warnings: the request remains active.
_WARNINGS_FROM, _WARNINGS_BELOW = 2100, 2200
_TELLING = frozenset({"10090", "10167", "10197"})


class Tally(msgspec.Struct):
    """The counters of one connection."""

    client_id: int
    version: int
    since_ns: int
    heard: int = 0
    said: int = 0
    streams: set[tuple[int, str]] = msgspec.field(default_factory=set)
    is_welcome: bool = False
    """Whether the client received an order id, which a refused client does not."""


class Visit(msgspec.Struct, frozen=True):
    """A client connected or left."""

    client_id: int
    came: bool


class Traffic:
    """A listener that counts messages; `tallies` holds the open connections, oldest first."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._parties: dict[Peer, Tally] = {}
        self._visits: list[Visit] = []

    def visits(self) -> list[Visit]:
        """Return the connects and disconnects since the last call, in order."""
        visits, self._visits = self._visits, []
        return visits

    @property
    def tallies(self) -> list[Tally]:
        """Return the open connections."""
        return list(self._parties.values())

    def client_sent(self, peer: Peer, payload: bytes) -> None:
        """Count a message from a client, and note its subscription."""
        tally = self._of(peer)
        tally.heard += 1
        texts = payload[:80].decode("ascii", "replace").split("\0")
        number = int(texts[0]) if texts[0].isdigit() else -1
        if (place := _BEGINS.get(number)) is not None and len(texts) > place + 1:
            tally.streams.add((number, texts[place]))
        elif (end := _ENDS.get(number)) is not None and len(texts) > end[1]:
            tally.streams.discard((end[0], texts[end[1]]))

    def gateway_sent(self, peer: Peer, frames: bytes) -> None:
        """Count messages to a client, and note the subscriptions that they end."""
        tally = self._of(peer)
        for payload in payloads(frames):
            tally.said += 1
            if payload.startswith(_WELCOME) and not tally.is_welcome:
                tally.is_welcome = True
                self._visits.append(Visit(peer.client_id, came=True))
            if payload.startswith((b"4\0", b"57\0")):
                self._note_end(tally, payload[:80].decode("ascii", "replace").split("\0"))

    def disconnected(self, peer: Peer, *, by_client: bool) -> None:
        """Forget a connection."""
        del by_client
        tally = self._parties.pop(peer, None)
        if tally is not None and tally.is_welcome:
            self._visits.append(Visit(peer.client_id, came=False))

    def _note_end(self, tally: Tally, texts: list[str]) -> None:
        if len(texts) < 4 or texts[2] == "-1":
            return
        if texts[0] == _ERROR:
            code = texts[3]
            if code in _TELLING or (code.isdigit() and _WARNINGS_FROM <= int(code) < _WARNINGS_BELOW):
                return
        tally.streams = {stream for stream in tally.streams if stream[1] != texts[2]}

    def _of(self, peer: Peer) -> Tally:
        tally = self._parties.get(peer)
        if tally is None:
            tally = self._parties[peer] = Tally(peer.client_id, peer.version, self._now_ns())
        tally.client_id, tally.version = peer.client_id, peer.version
        return tally
