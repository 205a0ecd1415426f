"""The desk port's transport on this machine: a Unix socket that only its owner may use."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

from ibdesk.config import private_folder
from ibdesk.desk.port.connection import PortConnection
from ibdesk.desk.port.host import PortHost
from ibdesk.desk.port.messages import LONGEST_CALL, Call, Watch, decode_client_message
from ibdesk.errors import ConfigError, DeskError

_log = logging.getLogger(__name__)

# How many bytes of news may wait for a client before it is sent a fresh state instead.
_BUDGET = 64 * 1024 * 1024
# How long a desk may take to greet a client; a stopped desk never does.
_WORD_SECONDS = 3.0
# How many calls of one client are handled at once; more wait in the socket.
_CALLS_AT_ONCE = 256


class SocketTransport:
    """A `PortTransport` for programs on this machine, over a socket file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._peers: set[_Peer] = set()
        self._server: asyncio.Server | None = None
        self._inode = 0
        self._arrivals: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
        # Connections that are not served yet.
        self._knocking: set[asyncio.StreamWriter] = set()
        self._is_closed = False

    @property
    def is_watched(self) -> bool:
        """Whether a client follows the feed."""
        return any(peer.watches for peer in self._peers)

    @property
    def clients(self) -> int:
        """The number of connected clients."""
        return len(self._peers)

    async def open(self) -> None:
        """Open the address; the socket of a dead desk, or of a stopped one that does not answer, is replaced.

        Raises:
            ConfigError: If another desk answers there, or the socket cannot be opened.
        """

        def arrive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if self._is_closed:
                # The system accepted the connection before the transport was closed.
                writer.transport.abort()
                return
            self._knocking.add(writer)
            self._arrivals.put_nowait((reader, writer))

        try:
            private_folder(self._path.parent)
            if self._path.is_socket():
                await _refuse_a_living_one(self._path)
                self._path.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(arrive, self._path, limit=1024 * 1024)
            self._path.chmod(0o600)
            self._inode = self._path.stat().st_ino
        except OSError as error:
            raise ConfigError(f"the desk cannot be reached at {self._path}: {error.strerror or error}") from None

    def close(self) -> None:
        """Release the address, and abort connections that are not served yet."""
        self._is_closed = True
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(FileNotFoundError):
                # The address may belong to another desk by now, if this one was stopped meanwhile.
                if self._path.stat().st_ino == self._inode:
                    self._path.unlink()
        for writer in self._knocking:
            writer.transport.abort()

    async def run(self, host: PortHost) -> None:
        """Accept clients until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                reader, writer = await self._arrivals.get()
                tasks.create_task(self._serve(reader, writer, host))

    def publish(self, data: bytes) -> None:
        """Send news to the clients that follow the feed."""
        for peer in self._peers:
            if peer.watches:
                peer.publish(data)

    def send_heartbeat(self, data: bytes) -> None:
        """Send a heartbeat."""
        for peer in self._peers:
            peer.send_heartbeat(data)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: PortHost) -> None:
        self._knocking.discard(writer)
        connection = PortConnection(reader, writer, longest=LONGEST_CALL)
        peer = _Peer(connection, host.state)
        self._peers.add(peer)
        peer.say(host.welcome())
        try:
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(peer.deliver(), name="desk port sender")
                try:
                    await _hear(connection, peer, host)
                finally:
                    sending.cancel()
        except* (OSError, DeskError) as errors:
            _log.debug("a client of the desk port has gone: %s", errors.exceptions[0])
        finally:
            self._peers.discard(peer)
            connection.close()


async def _hear(connection: PortConnection, peer: _Peer, host: PortHost) -> None:
    room = asyncio.Semaphore(_CALLS_AT_ONCE)

    def answered(data: bytes) -> None:
        room.release()
        peer.say(data)

    while True:
        match decode_client_message(await connection.receive()):
            case Watch(number=number):
                peer.watch(number)
            case Call() as call:
                await room.acquire()
                host.take(call, answered)


class _Peer:
    """One client with its waiting messages. Answers go first; too many waiting news are replaced by a state."""

    def __init__(self, connection: PortConnection, state: Callable[[int], bytes]) -> None:
        self._connection, self._state = connection, state
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

    def publish(self, data: bytes) -> None:
        """Send news, unless the client is too far behind: then it receives a state once it reads again."""
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
        """Send the feed, beginning with a state with this number."""
        self.watches = True
        self.publish(self._state(number))

    def send_heartbeat(self, data: bytes) -> None:
        """Send a heartbeat, unless another message is waiting."""
        if not self._woken.is_set() and not self._news and not self._answers:
            self.say(data)

    async def deliver(self) -> None:
        """Send waiting messages, forever.

        Raises:
            OSError: When the client has disconnected.
        """
        while True:
            self._woken.clear()
            while self._answers or self._news or self._lost:
                await self._connection.send(self._next())
            await self._woken.wait()

    def _next(self) -> bytes:
        if self._answers:
            return self._answers.popleft()
        if self._news:
            data = self._news.popleft()
            self._waiting_bytes -= len(data)
            return data
        self._lost = False
        return self._state(0)


async def _refuse_a_living_one(path: Path) -> None:
    """Check that no desk answers at an existing socket.

    Raises:
        ConfigError: If a desk answers.
    """
    with contextlib.suppress(OSError):
        reader, writer = await asyncio.open_unix_connection(path)
        try:
            async with asyncio.timeout(_WORD_SECONDS):
                word = await reader.read(1)
        except TimeoutError:
            _log.warning("the desk at unix:%s does not answer, and its address is taken", path)
            return
        finally:
            writer.close()
        if word:
            raise ConfigError(
                f"another desk answers at unix:{path}: stop it, or give this desk another address or state_folder"
            )
