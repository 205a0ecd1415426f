"""The message log of a gateway: one readable line per message, on the screen or in a file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from ibdesk.errors import ConfigError
from ibdesk.gateway.listening import Peer, payloads
from ibdesk.gateway.protocol.words import describe_payload
from ibdesk.model import moment


class MessageLog:
    """A listener that writes ``10:00:05.120 client 1 > placeOrder 12: ...``; ``<`` is a message to the client.

    `now_ns` returns the time to write, in ns UTC.
    """

    def __init__(self, write: Callable[[str], object], now_ns: Callable[[], int]) -> None:
        self._write = write
        self._now_ns = now_ns

    def client_sent(self, peer: Peer, payload: bytes) -> None:
        """Write a message from a client."""
        self._line(peer, ">", describe_payload(payload, peer.version, by_client=True))

    def gateway_sent(self, peer: Peer, frames: bytes) -> None:
        """Write the messages to a client."""
        for payload in payloads(frames):
            self._line(peer, "<", describe_payload(payload, peer.version, by_client=False))

    def disconnected(self, peer: Peer, *, by_client: bool) -> None:
        """Write which side closed the connection."""
        self._line(peer, "-", "disconnected" if by_client else "was disconnected")

    def _line(self, peer: Peer, mark: str, text: str) -> None:
        name = "client ?" if peer.client_id < 0 else f"client {peer.client_id}"
        self._write(f"{moment(self._now_ns()):%H:%M:%S.%f}"[:-3] + f" {name} {mark} {text}")


def open_log(path: Path) -> TextIO:
    """Open a file for appending; a new file is readable by its owner only.

    Raises:
        ConfigError: If it cannot be written.
    """
    try:
        return os.fdopen(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w", buffering=1, encoding="utf-8"
        )
    except OSError as error:
        raise ConfigError(f"--log-file {path} cannot be written: {error.strerror or error}") from None
