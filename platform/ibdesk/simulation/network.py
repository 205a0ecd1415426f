"""A network in memory: its streams split, delay and cut data, and do nothing that TCP would not."""

from __future__ import annotations

import asyncio
import collections
import contextvars
import errno
import random
from collections.abc import Callable, Iterator
from typing import Any

from ibdesk.clock import SECOND
from ibdesk.simulation.loop import PROCESS, Process, VirtualLoop

# The most that one read of a socket returns, as in asyncio.
_READ_BYTES = 256 * 1024
# The capacity of both sides' kernels for data that the other side does not read.
_KERNEL_BYTES = 256 * 1024
_MILLISECOND = 1_000_000


class End(asyncio.Transport):
    """One end of a connection, as the transport of its protocol.

    Written data leaves at the end of the process's turn, so that a crash can be placed between any two bytes of it.
    """

    def __init__(self, network: Network, process: Process, context: contextvars.Context) -> None:
        super().__init__()
        self.process, self.context = process, context
        self.peer: End
        self.protocol: asyncio.Protocol | None = None
        self.is_open = True
        self._network = network
        self._is_closing = self._is_reading = False
        self._paused = False
        # _inbox: the arrival times and bytes of data that has left the other side; None is the end of the stream.
        self._inbox: collections.deque[tuple[int, bytes | None]] = collections.deque()
        self._last_ns = 0
        self.unread_bytes = 0

    # ---- the interface of asyncio's transports ---------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes at the end of this turn."""
        if self.is_open and not self._is_closing and data:
            self._network.wrote(self, bytes(data))

    def close(self) -> None:
        """Send the written data, then the end of the stream."""
        if self.is_open and not self._is_closing:
            self._is_closing = True
            self._network.wrote(self, None)
            self._network.loop.call_soon(self.lose, None, context=self.context)

    def abort(self) -> None:
        """Cut the connection; the other side may lose unread data."""
        if self.is_open:
            self._is_closing = True
            self._network.reset(self)
            self._network.loop.call_soon(self.lose, None, context=self.context)

    def is_closing(self) -> bool:
        """Return whether nothing can be sent any longer."""
        return self._is_closing or not self.is_open

    def pause_reading(self) -> None:
        """Read nothing until `resume_reading`."""
        self._paused = True

    def resume_reading(self) -> None:
        """Read again."""
        if self._paused:
            self._paused = False
            self._read_at(self._network.loop.now_ns)

    def is_reading(self) -> bool:
        """Return whether reading is not paused."""
        return not self._paused

    def get_write_buffer_size(self) -> int:
        """Return the bytes that wait here because the other side does not read."""
        return max(0, self.peer.unread_bytes - _KERNEL_BYTES)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return that there are no limits."""
        return 0, 2**31

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Do nothing: writing is never paused here."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return the address of the other side; other names have no value."""
        return ("127.0.0.1", 40_000) if name == "peername" else default

    # ---- arriving data ----------------------------------------------------------------------------------------

    def arrive(self, at_ns: int, data: bytes | None) -> None:
        """Receive data at `at_ns`, or once all earlier data has arrived."""
        self._last_ns = at_ns = max(at_ns, self._last_ns)
        self._inbox.append((at_ns, data))
        self.unread_bytes += len(data or b"")
        self._read_at(at_ns)

    def hold_back(self, until_ns: int) -> None:
        """Delay all arrivals until `until_ns`."""
        self._inbox = collections.deque((max(at, until_ns), data) for at, data in self._inbox)
        self._last_ns = max(self._last_ns, until_ns)
        if self._inbox:
            self._read_at(until_ns)

    def break_off(self) -> None:
        """Lose the connection now, with all unread data."""
        self._inbox.clear()
        self.unread_bytes = 0
        error = ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
        self._network.loop.call_soon(self.lose, error, context=self.context)

    def lose(self, error: Exception | None) -> None:
        """Report the loss of the connection to the protocol, once."""
        if self.is_open:
            self.is_open = False
            self._network.forget(self)
            if self.protocol is not None:
                self.protocol.connection_lost(error)

    def _read_at(self, at_ns: int) -> None:
        loop = self._network.loop
        loop.call_later(max(0, at_ns - loop.now_ns) / SECOND, self._read, context=self.context)

    def _read(self) -> None:
        """Deliver arrived data, as one read of a socket returns it."""
        if not self.is_open or self._paused or self.protocol is None:
            return
        now_ns, parts, size = self._network.loop.now_ns, [], 0
        while self._inbox and self._inbox[0][0] <= now_ns and size < _READ_BYTES:
            data = self._inbox[0][1]
            if data is None:
                break
            self._inbox.popleft()
            parts.append(data)
            size += len(data)
        self.unread_bytes -= size
        if parts:
            self.protocol.data_received(b"".join(parts))
        elif self._inbox and self._inbox[0][0] <= now_ns:
            self._inbox.popleft()
            if not self.protocol.eof_received():
                self.close()
            return
        if self._inbox and self._inbox[0][0] <= now_ns:
            self._read_at(now_ns)


class Server:
    """A listening socket, like `asyncio.Server`."""

    def __init__(
        self, network: Network, process: Process, address: tuple[str, int], factory: Callable[[], Any]
    ) -> None:
        self.process, self.address, self.factory = process, address, factory
        self.context = process.context
        self._network = network
        self.sockets = (self,)

    def getsockname(self) -> tuple[str, int]:
        """Return host and port."""
        return self.address

    def close(self) -> None:
        """Accept no more connections."""
        self._network.servers.pop(self.address, None)

    async def wait_closed(self) -> None:
        """Return at once."""


class Network:
    """All connections, and their present faults."""

    def __init__(self, loop: VirtualLoop, chance: random.Random, *, latency_ns: tuple[int, int]) -> None:
        """Create a network with a latency between these two values."""
        self.loop = loop
        self.servers: dict[tuple[str, int], Server] = {}
        # on_write: called with data that a process writes, before it leaves.
        self.on_write: Callable[[End, bytes], None] = lambda _end, _data: None
        self._chance, self._latency_ns = chance, latency_ns
        self._ends: list[End] = []
        # _written: data written in this turn that has not left yet.
        self._written: dict[Process, list[tuple[End, bytes | None]]] = {}
        # _held_until_ns: no data arrives before this time.
        self._held_until_ns = 0
        self._next_port = 20_000

    # ---- connecting -------------------------------------------------------------------------------------------

    async def create_server(self, factory: Callable[[], Any], host: str, port: int) -> Server:
        """Listen in the current process."""
        if not port:
            self._next_port += 1
            port = self._next_port
        if (host, port) in self.servers:
            raise OSError(errno.EADDRINUSE, "Address already in use")
        server = self.servers[host, port] = Server(self, PROCESS.get(), (host, port), factory)
        return server

    async def create_connection(self, factory: Callable[[], Any], host: str, port: int) -> tuple[End, Any]:
        """Connect the current process to a listening one."""
        await asyncio.sleep(self._latency() / SECOND)
        held_ns = self._held_until_ns - self.loop.now_ns
        if held_ns > 0:
            await asyncio.sleep(held_ns / SECOND)
        server = self.servers.get((host, port))
        if server is None or not server.process.is_alive:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        near = End(self, PROCESS.get(), contextvars.copy_context())
        far = End(self, server.process, server.context.copy())
        near.peer, far.peer = far, near
        self._ends += [near, far]
        near.protocol = factory()
        near.protocol.connection_made(near)

        def accept() -> None:
            far.protocol = server.factory()
            far.protocol.connection_made(far)
            far._read()

        self.loop.call_later(self._latency() / SECOND, accept, context=far.context)
        return near, near.protocol

    # ---- bytes ------------------------------------------------------------------------------------------------

    def wrote(self, end: End, data: bytes | None) -> None:
        """Queue data that a process writes in this turn; None ends the stream."""
        if data is not None:
            self.on_write(end, data)
        self._written.setdefault(end.process, []).append((end, data))

    def written(self, process: Process) -> int:
        """Return the number of writes in this turn of a process that have not left."""
        return len(self._written.get(process, ()))

    def bytes_of(self, process: Process, write: int) -> int:
        """Return the length of one write of this turn."""
        return len(self._written[process][write][1] or b"")

    def let_go(self, process: Process, *, writes: int | None = None, bytes_of_next: int = 0) -> None:
        """Send the writes of a process's turn: all, or some whole writes and some bytes of the next."""
        written = self._written.pop(process, [])
        whole = written if writes is None else written[:writes]
        for end, data in whole:
            self._send(end, data)
        if writes is not None and bytes_of_next and len(written) > writes:
            end, data = written[writes]
            self._send(end, (data or b"")[:bytes_of_next])

    def _send(self, end: End, data: bytes | None) -> None:
        peer, at_ns = end.peer, max(self.loop.now_ns + self._latency(), self._held_until_ns)
        if not peer.is_open:
            return
        if data is not None and len(data) > 1 and self._chance.random() < 0.1:
            # A stream has no messages: one write may arrive in two reads.
            at = self._chance.randrange(1, len(data))
            peer.arrive(at_ns, data[:at])
            data, at_ns = data[at:], at_ns + self._latency()
        peer.arrive(at_ns, data)

    def _latency(self) -> int:
        return self._chance.randint(*self._latency_ns)

    # ---- faults ----------------------------------------------------------------------------------------------

    def reset(self, end: End) -> None:
        """Cut the connection as seen by the other side of an end."""
        self._written[end.process] = [each for each in self._written.get(end.process, []) if each[0] is not end]
        self.loop.call_later(self._latency() / SECOND, end.peer.break_off, context=end.peer.context)

    def hold(self, seconds: float) -> None:
        """Delay all arrivals for some seconds, as lost and repeated packets do."""
        self._held_until_ns = max(self._held_until_ns, self.loop.now_ns + round(seconds * SECOND))
        for end in self._ends:
            end.hold_back(self._held_until_ns)

    def release(self) -> None:
        """End the delay for data sent from now on."""
        self._held_until_ns = 0

    def cut(self, process: Process) -> None:
        """Cut all connections of a process, in both directions."""
        for end in list(self.of(process)):
            end.break_off()
            end.peer.break_off()

    def of(self, process: Process) -> Iterator[End]:
        """Yield the ends of a process."""
        return (end for end in self._ends if end.process is process)

    def died(self, process: Process, *, silent_seconds: float = 0.0) -> None:
        """Close the connections of an ended process as its kernel does, or later after a loss of power."""
        self._written.pop(process, None)
        for server in [server for server in self.servers.values() if server.process is process]:
            server.close()
        for end in list(self.of(process)):
            end.is_open = False
            self.forget(end)
            if silent_seconds or end.unread_bytes:
                seconds = silent_seconds + self._latency() / SECOND
                self.loop.call_later(seconds, end.peer.break_off, context=end.peer.context)
            else:
                self._send(end, None)

    def forget(self, end: End) -> None:
        """Forget an end."""
        if end in self._ends:
            self._ends.remove(end)
