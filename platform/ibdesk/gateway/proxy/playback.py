"""A TCP server that answers a client from a recording, and reports where the client's requests differ."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable

from ibdesk.errors import IbdeskError
from ibdesk.gateway.bursts import Bursts
from ibdesk.gateway.protocol.codec import encode
from ibdesk.gateway.protocol.framing import FrameReader, ProtocolError, join, split
from ibdesk.gateway.protocol.greeting import GREETING
from ibdesk.gateway.protocol.outgoing import OUTGOING_BY_NAME
from ibdesk.gateway.protocol.words import describe_fields, describe_payload
from ibdesk.gateway.proxy.conversation import By, Conversation, ConversationEntry, RecordedConnection
from ibdesk.gateway.proxy.matching import IdTranslation
from ibdesk.gateway.proxy.stream_server import StreamServer

_log = logging.getLogger(__name__)

_CHUNK = 1 << 16
_VERSIONS = re.compile(rb"v(\d{1,6})(?:\.\.(\d{1,6}))?(?: .*)?")
# A program that makes several requests at once may send them in another order in each run. A request may come at most
# this many requests early.
_AHEAD = 20
# After this time without the next recorded request, the playback reports what it waits for.
_PATIENCE_SECONDS = 5.0
# With the recorded times, answers closer together than this are sent together.
_TOGETHER_SECONDS = 0.001


class DifferenceError(IbdeskError):
    """A client deviates from the recording; the message names both requests."""


class Playback(StreamServer):
    """Plays `conversation` to the clients that connect to `host:port` (port 0 takes a free one).

    Each connection gets the recorded one of its client id, or else the first that was not played yet. Further
    connections get recorded ones again. Requests must equal the recorded ones, except for their ids and for the order
    of those made at once. Answers are sent directly after the requests before them, or with `timed` after the recorded
    delay. At the first difference the client is disconnected; `differences` keeps the message, and `report` is called
    with it and with other events of the playback.
    """

    def __init__(
        self,
        conversation: Conversation,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        timed: bool = False,
        report: Callable[[str], None] = _log.info,
    ) -> None:
        super().__init__(host, port)
        self.differences: list[str] = []
        self.completed = 0
        self._conversation = conversation
        self._timed = timed
        self._report = report
        self._played: dict[int, int] = dict.fromkeys((link.number for link in conversation.links), 0)
        self._busy: set[int] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Play one recorded connection."""
        client = _Client(reader)
        link: RecordedConnection | None = None
        try:
            link = await self._begin(client, writer)
            if link is not None:
                await _PlaybackSession(link, client, writer, timed=self._timed, report=self._report).run()
                self.completed += 1
                self._report(f"client {client.id}: played to its end")
        except (DifferenceError, ProtocolError) as error:
            self.differences.append(f"client {client.id} {error}")
            self._report(self.differences[-1])
        except ConnectionError:
            self._report(f"client {client.id} has hung up")
        finally:
            if link is not None:
                self._busy.discard(link.number)

    async def _begin(self, client: _Client, writer: asyncio.StreamWriter) -> RecordedConnection | None:
        """Greet a client and return the connection to play to it; None if it leaves before startApi."""
        line = await client.greeting()
        if line is None:
            return None
        first = self._choose(None)
        version = first.version
        match = _VERSIONS.fullmatch(line)
        lowest, highest = (0, 0) if match is None else (int(match[1]), int(match[2] or match[1]))
        if not lowest <= version <= highest:
            raise DifferenceError(f"{describe_payload(line, 0, by_client=True)}, the recording is of version {version}")
        reply = next(entry.fields for entry in first.entries if entry.by is By.TWS and entry.fields)
        writer.write(join(reply))
        payload = await client.next()
        if payload is None:
            return None
        texts = split(payload)
        if texts[0] != "71" or len(texts) < 3:
            raise DifferenceError(f"sent {describe_payload(payload, version, by_client=True)} before startApi")
        client.id = texts[2]
        link = self._choose(client.id, version)
        self._busy.add(link.number)
        self._played[link.number] += 1
        # startApi itself is the first message that is compared, so that the client ids are bound.
        client.unread(payload)
        return link

    def _choose(self, client_id: str | None, version: int | None = None) -> RecordedConnection:
        """Return the connection to play next.

        Raises:
            DifferenceError: If all connections are being played.
        """
        free = [
            link
            for link in self._conversation.links
            if link.number not in self._busy and version in (None, link.version)
        ]
        if not free:
            raise DifferenceError(f"connects beside {len(self._busy)} others, one more than were recorded")
        return min(free, key=lambda link: (self._played[link.number], str(link.client_id) != client_id))


class _Client:
    """The messages of a client, one after another."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self.id = "?"
        self._reader = reader
        self._frames = FrameReader()
        self._waiting: list[bytes] = []

    async def greeting(self) -> bytes | None:
        """Return the version line; None if the client hangs up first."""
        try:
            begins = await self._reader.readexactly(len(GREETING))
        except asyncio.IncompleteReadError:
            return None
        if begins != GREETING:
            raise DifferenceError(f"greets with {begins!r}; a TWS client sends {GREETING!r}")
        return await self.next()

    async def next(self) -> bytes | None:
        """Return the next message; None if the client has hung up. The call may be cancelled and repeated."""
        while not self._waiting:
            data = await self._reader.read(_CHUNK)
            if not data:
                return None
            self._waiting += self._frames.feed(data)
        return self._waiting.pop(0)

    def unread(self, payload: bytes) -> None:
        """Put a message back, so that it is the next one."""
        self._waiting.insert(0, payload)


class _PlaybackSession:
    """One recorded connection that is being played to a client."""

    def __init__(
        self,
        link: RecordedConnection,
        client: _Client,
        writer: asyncio.StreamWriter,
        *,
        timed: bool,
        report: Callable[[str], None],
    ) -> None:
        begins = next(place for place, entry in enumerate(link.entries) if entry.by is By.CLIENT and entry.fields)
        self._entries = link.entries[begins:]
        self._version = link.version
        self._clock = next(entry.fields[-1] for entry in link.entries if entry.by is By.TWS and entry.fields)[9:14]
        self._client = client
        self._writer = writer
        self._timed = timed
        self._report = report
        self._ids = IdTranslation()
        self._early: set[int] = set()
        self._bursts = Bursts()
        self._unsent: list[bytes] = []

    async def run(self) -> None:
        """Play the connection to its end, then wait until the client hangs up, unless TWS did.

        Raises:
            DifferenceError: If the client's requests differ, or it leaves too early.
        """
        before = self._entries[0].at
        for place, entry in enumerate(self._entries):
            if self._timed and entry.by is By.TWS and entry.at - before > _TOGETHER_SECONDS:
                await self._send()
                await asyncio.sleep(entry.at - before)
            before = entry.at
            if entry.ended:
                if entry.by is By.TWS:
                    await self._send()
                    return
            elif entry.by is By.TWS:
                self._unsent.append(self._ids.carried_over(entry.fields or [""], self._version))
            else:
                await self._send()
                await self._received(place)
        await self._send()
        if (payload := await self._client.next()) is not None:
            raise DifferenceError(f"sent {self._in_words(payload)}, but the recording has ended")

    async def _received(self, place: int) -> None:
        """Wait until the client has sent the message at `place`.

        Raises:
            DifferenceError: If it sends something else, or hangs up.
        """
        while place not in self._early:
            payload = await self._next(place)
            if payload is None:
                raise DifferenceError(f"left although the recording continues with its {self._recorded(place)}")
            found = self._find(payload, place)
            if found is None:
                raise DifferenceError(f"sent {self._in_words(payload)}, but the recording has {self._recorded(place)}")
            self._early.add(found)

    async def _next(self, place: int) -> bytes | None:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return await self._client.next()
        except TimeoutError:
            self._report(f"client {self._client.id}: waiting for the next recorded message: {self._recorded(place)}")
        return await self._client.next()

    def _find(self, payload: bytes, place: int) -> int | None:
        """Return the index of the recorded request, among the next ones, that this is; None if it is none of them."""
        live = split(payload)
        awaited = 0
        for candidate in range(place, len(self._entries)):
            entry = self._entries[candidate]
            if entry.by is By.TWS or entry.ended or candidate in self._early:
                continue
            if self._ids.agree(entry.fields or [entry.text or ""], live, self._version):
                return candidate
            awaited += 1
            if awaited == _AHEAD:
                break
        return None

    async def _send(self) -> None:
        if not self._unsent:
            return
        burst = b"".join(self._unsent)
        self._unsent.clear()
        while self._bursts.is_lost(len(burst)):
            burst += encode(OUTGOING_BY_NAME["accountUpdateTime"], {"time": self._clock}, self._version)
        self._bursts.note_sent(len(burst))
        self._writer.write(burst)
        await self._writer.drain()

    def _recorded(self, place: int) -> str:
        entry: ConversationEntry = self._entries[place]
        return describe_fields(entry.fields or [entry.text or ""], self._version, by_client=True)

    def _in_words(self, payload: bytes) -> str:
        return describe_payload(payload, self._version, by_client=True)
