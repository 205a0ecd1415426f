"""Bytes, and when they came: the kernel notes it, so that it does not matter when they are read.

What is measured must not depend on when whoever measures gets a processor. And one that looks only now and then need
not be woken by each sender: that costs a sender as much as the sending, and clients on other machines cost it nothing.
"""

from __future__ import annotations

import asyncio
import select
import socket
import struct
import time
from collections.abc import Callable

from ibdesk.clock import SECOND

READ = 65_536
# Linux's number of an option that Python has no name for: with it `recvmsg` tells when the last bytes came, in seconds
# and nanoseconds of the system's clock (socket(7), SO_TIMESTAMPNS).
_SO_TIMESTAMPNS = 35
_MOMENT = struct.Struct("ll")
_SPACE = socket.CMSG_SPACE(_MOMENT.size)
_LOOK_SECONDS = 0.002


def note_arrivals(connection: socket.socket) -> None:
    """Have the kernel note when bytes come, to a listener: on all of its connections."""
    connection.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)


def receive(connection: socket.socket) -> tuple[bytes, int]:
    """Return what there is to be read, empty at the end, and when the last of it came: ns UTC.

    Raises:
        BlockingIOError: If nothing has come and the socket does not block.
        ConnectionError: If the connection broke.
    """
    data, said, *_ = connection.recvmsg(READ, _SPACE)
    if not said:
        # The end; or bytes that came before the kernel had begun to note when.
        return data, time.time_ns()
    seconds, ns = _MOMENT.unpack(said[0][2])
    return data, seconds * SECOND + ns


class Mailbox:
    """Many connections, looked at every 2 ms."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._takers: dict[int, tuple[socket.socket, Callable[[bytes, int], None]]] = {}

    def open(self, connection: socket.socket, take: Callable[[bytes, int], None]) -> None:
        """Have `take` called with what comes and when it came (ns UTC), and with nothing once the other has closed."""
        note_arrivals(connection)
        self._takers[connection.fileno()] = connection, take
        self._epoll.register(connection, select.EPOLLIN)

    def close(self, connection: socket.socket) -> None:
        """Read no more from a connection, which stays as it is."""
        self._epoll.unregister(connection)
        del self._takers[connection.fileno()]

    async def run(self) -> None:
        """Hand over what comes until cancelled."""
        while True:
            for number, _ in self._epoll.poll(0):
                connection, take = self._takers[number]
                try:
                    data, at_ns = receive(connection)
                except ConnectionError:
                    data, at_ns = b"", 0
                if not data:
                    self.close(connection)
                take(data, at_ns)
            await asyncio.sleep(_LOOK_SECONDS)
