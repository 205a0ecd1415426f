"""Recording of a conversation while it happens, with masked accounts."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from ibdesk.clock import SECOND
from ibdesk.errors import ConfigError
from ibdesk.gateway.listening import Peer, payloads
from ibdesk.gateway.protocol.framing import split
from ibdesk.gateway.protocol.words import BINARY_SINCE
from ibdesk.gateway.proxy.conversation import FORMAT, FORMAT_VERSION, By, ConversationEntry, Header
from ibdesk.gateway.proxy.mask import AccountMask

_log = logging.getLogger(__name__)

_MANAGED_ACCOUNTS = "15"


class ConversationRecorder:
    """A listener that records all messages in a new file at `path`, readable by its owner only (mode 0600).

    `now_ns` returns the time, ns; the file has seconds since the recorder was created. When the disk is full the
    recording ends with an error in the log, and the conversation continues.

    Raises:
        ConfigError: If the file exists already, or cannot be created.
    """

    def __init__(self, path: Path, now_ns: Callable[[], int]) -> None:
        self.path = path
        self.count = 0
        self._now_ns = now_ns
        self._began_ns = now_ns()
        self._mask = AccountMask()
        self._links: dict[Peer, int] = {}
        self._opened = 0
        self._encoder = msgspec.json.Encoder()
        try:
            self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        except FileExistsError:
            raise ConfigError(f"recording {path}: the file exists already; name another, or remove it") from None
        except OSError as error:
            raise ConfigError(f"recording {path}: it cannot be written: {error.strerror or error}") from None
        self._write(Header(FORMAT, FORMAT_VERSION))

    def client_sent(self, peer: Peer, payload: bytes) -> None:
        """Record a client's message and flush the file; requests are rare."""
        self._note(peer, By.CLIENT, payload)
        self.flush()

    def gateway_sent(self, peer: Peer, frames: bytes) -> None:
        """Record messages to a client."""
        for payload in payloads(frames):
            self._note(peer, By.TWS, payload)

    def disconnected(self, peer: Peer, *, by_client: bool) -> None:
        """Record the end of a connection."""
        number = self._links.pop(peer, None)
        if number is not None:
            by = By.CLIENT if by_client else By.TWS
            self._write(ConversationEntry(at=self._at(), link=number, by=by, client=peer.client_id, ended=True))
            self.flush()

    def flush(self) -> None:
        """Flush the recorded messages to the file."""
        if not self._file.closed:
            try:
                self._file.flush()
            except OSError as error:
                self._give_up(error)

    def close(self) -> None:
        """End the recording; further calls have no effect. A recording without messages leaves no file."""
        if self._file.closed:
            return
        self.flush()
        self._file.close()
        if not self.count:
            self.path.unlink(missing_ok=True)

    def _note(self, peer: Peer, by: By, payload: bytes) -> None:
        number = self._links.get(peer)
        if number is None:
            self._opened += 1
            number = self._links[peer] = self._opened
        at, client = self._at(), peer.client_id
        if peer.version >= BINARY_SINCE:
            self._write(ConversationEntry(at=at, link=number, by=by, client=client, binary=len(payload)))
        elif payload.endswith(b"\0"):
            texts = split(payload)
            if by is By.TWS and texts[0] == _MANAGED_ACCOUNTS:
                self._mask.learn(texts[-1].split(","))
            fields = [self._mask.masked(text) for text in texts]
            self._write(ConversationEntry(at=at, link=number, by=by, client=client, fields=fields))
        else:
            text = self._mask.masked(payload.decode("utf-8", "backslashreplace"))
            self._write(ConversationEntry(at=at, link=number, by=by, client=client, text=text))

    def _at(self) -> float:
        return round((self._now_ns() - self._began_ns) / SECOND, 6)

    def _write(self, line: Header | ConversationEntry) -> None:
        if self._file.closed:
            return
        try:
            self._file.write(self._encoder.encode(line) + b"\n")
        except OSError as error:
            self._give_up(error)
        else:
            self.count += isinstance(line, ConversationEntry) and not line.ended

    def _give_up(self, error: OSError) -> None:
        _log.error("the recording %s ends here: %s", self.path, error.strerror or error)
        # Closing tries to write the rest once more, and closes in any case.
        with contextlib.suppress(OSError):
            self._file.close()
