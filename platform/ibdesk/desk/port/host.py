"""The desk's side of the desk port: does what clients ask, and tells all of them the news."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import importlib.metadata
import logging
import time
from collections.abc import Callable
from typing import Any

import msgspec

from ibdesk.desk.handle import OPERATIONS, DeskHandle
from ibdesk.desk.port.addresses import Address
from ibdesk.desk.port.line import Line
from ibdesk.desk.port.messages import (
    LONGEST_CALL,
    PULSE_SECONDS,
    Answer,
    Call,
    Failure,
    News,
    Pulse,
    State,
    Watch,
    Welcome,
    decode_client_message,
    encode,
)
from ibdesk.desk.port.values import decode_arguments, encode_value, facts_of
from ibdesk.errors import ConfigError, DeskError, IbdeskError
from ibdesk.store import Feed, FeedState, Sequencer
from ibdesk.telemetry.trace import correlated

_log = logging.getLogger(__name__)

# News are collected for so many times as long as it took to send the last ones, and never longer than _LONGEST_REST.
_REST, _LONGEST_REST = 4.0, 0.05
# How many bytes of news may wait for a client before it is sent a fresh state instead.
_BUDGET = 64 * 1024 * 1024
# How many calls of one client are worked on at once; more wait in the socket.
_CALLS_AT_ONCE = 256


class PortHost:
    """Serves one desk at one address while `run` runs; cancelling it is the only stop."""

    def __init__(self, desk: DeskHandle, feed: Feed) -> None:
        """Make a host for a desk of this process, whose feed is `feed`."""
        self._desk, self._sequencer = desk, Sequencer(feed)
        self._peers: set[_Peer] = set()
        self.answering = asyncio.Event()

    @property
    def clients(self) -> int:
        """Return how many clients are connected."""
        return len(self._peers)

    async def run(self, address: Address) -> None:
        """Serve until cancelled.

        Raises:
            ConfigError: If another desk answers at the address, or it cannot be listened on.
        """
        tasks = asyncio.TaskGroup()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # A task of the group, so that a fault in it is heard.
            with contextlib.suppress(asyncio.CancelledError):
                await tasks.create_task(self._serve(Line(reader, writer, longest=LONGEST_CALL), tasks))

        await self._sequencer.open()
        try:
            server = await _listen(address, serve)
            try:
                async with tasks:
                    self.answering.set()
                    tasks.create_task(self._pulse(), name="desk port pulse")
                    await self._tell_news()
            finally:
                server.close()
                address.path.unlink(missing_ok=True)
        finally:
            await self._sequencer.close()

    async def _tell_news(self) -> None:
        while True:
            news = await self._sequencer.next()
            began = time.thread_time()
            message = State(number=0, state=news) if isinstance(news, FeedState) else News(batches=news)
            watching = [peer for peer in self._peers if peer.watches]
            if watching:
                data = encode(message)
                for peer in watching:
                    peer.tell(data)
            await asyncio.sleep(min(_REST * (time.thread_time() - began), _LONGEST_REST))

    async def _pulse(self) -> None:
        data = encode(Pulse())
        while True:
            await asyncio.sleep(PULSE_SECONDS)
            for peer in self._peers:
                peer.pulse(data)

    async def _serve(self, line: Line, host_tasks: asyncio.TaskGroup) -> None:
        peer = _Peer(line, self._sequencer.state)
        self._peers.add(peer)
        peer.say(encode(Welcome(program=_program(), epoch=self._sequencer.epoch)))
        try:
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(peer.deliver(), name="desk port sender")
                try:
                    await self._hear(line, peer, host_tasks)
                finally:
                    sending.cancel()
        except* (OSError, DeskError) as errors:
            _log.debug("a client of the desk port has gone: %s", errors.exceptions[0])
        finally:
            self._peers.discard(peer)
            line.close()

    async def _hear(self, line: Line, peer: _Peer, tasks: asyncio.TaskGroup) -> None:
        room = asyncio.Semaphore(_CALLS_AT_ONCE)
        while True:
            match decode_client_message(await line.receive()):
                case Watch(number=number):
                    peer.watch(number)
                case Call() as call:
                    await room.acquire()
                    # A task of the host's: what was asked for is done even if the client goes meanwhile.
                    doing = tasks.create_task(self._do(call, peer), name=f"call {call.operation}")
                    doing.add_done_callback(lambda _: room.release())

    async def _do(self, call: Call, peer: _Peer) -> None:
        peer.say(encode(await self._answered(call)))

    async def _answered(self, call: Call) -> Answer | Failure:
        try:
            operation = OPERATIONS.get(call.operation)
            if operation is None:
                raise DeskError(f"a desk has no operation {call.operation!r}")
            arguments = decode_arguments(operation, bytes(call.arguments))
            with correlated(call.correlation_id):
                value = await getattr(self._desk.aio, call.operation)(**arguments)
            return Answer(number=call.number, value=msgspec.Raw(encode_value(value)))
        except IbdeskError as error:
            return Failure(number=call.number, error=type(error).__name__, arguments=facts_of(error), text=str(error))
        except Exception:  # noqa: BLE001 - logged, and told as what it is: a fault of ours
            _log.exception("%s, asked for over the desk port, failed", call.operation)
            text = f"the desk failed at {call.operation}: its log says why"
            return Failure(number=call.number, error=DeskError.__name__, arguments=[text], text=text)


class _Peer:
    """One client: what waits to be sent to it. Answers go first; news that wait too long give way to a state."""

    def __init__(self, line: Line, state: Callable[[], FeedState]) -> None:
        self._line, self._state = line, state
        self._answers: collections.deque[bytes] = collections.deque()
        self._news: collections.deque[bytes] = collections.deque()
        self._waiting_bytes = 0
        self._lost = False
        self._woken = asyncio.Event()
        self.watches = False

    def say(self, data: bytes) -> None:
        """Send an answer."""
        self._answers.append(data)
        self._woken.set()

    def tell(self, data: bytes) -> None:
        """Send news, unless the client is too far behind: then it gets a state once it takes bytes again."""
        if self._lost:
            return
        self._news.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes > _BUDGET:
            _log.warning("a client of the desk port is %d bytes behind and starts over", self._waiting_bytes)
            self._news.clear()
            self._waiting_bytes, self._lost = 0, True
        self._woken.set()

    def watch(self, number: int) -> None:
        """Send the feed, from a state with this number on."""
        self.watches = True
        self.tell(encode(State(number=number, state=self._state())))

    def pulse(self, data: bytes) -> None:
        """Show that the desk lives, unless something else is about to."""
        if not self._woken.is_set() and not self._news and not self._answers:
            self.say(data)

    async def deliver(self) -> None:
        """Send what waits, for ever.

        Raises:
            OSError: When the client is gone.
        """
        while True:
            self._woken.clear()
            while self._answers or self._news or self._lost:
                await self._line.send(self._next())
            await self._woken.wait()

    def _next(self) -> bytes:
        if self._answers:
            return self._answers.popleft()
        if self._news:
            data = self._news.popleft()
            self._waiting_bytes -= len(data)
            return data
        self._lost = False
        return encode(State(number=0, state=self._state()))


async def _listen(address: Address, serve: Callable[..., Any]) -> asyncio.Server:
    """Listen on the socket's file, which only its owner may use; one that a dead desk has left is replaced."""
    path = address.path
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if path.is_socket():
            await _refuse_a_living_one(address)
            path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(serve, path, limit=1024 * 1024)
        path.chmod(0o600)
    except OSError as error:
        raise ConfigError(f"the desk cannot be reached at {address}: {error.strerror or error}") from None
    return server


async def _refuse_a_living_one(address: Address) -> None:
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_unix_connection(address.path)
        writer.close()
        raise ConfigError(
            f"another desk answers at {address}: stop it, or give this one another address or state_folder"
        )


def _program() -> str:
    return f"ibdesk {importlib.metadata.version('ibdesk')}"
