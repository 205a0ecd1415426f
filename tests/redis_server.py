"""A redis-server of its own for a test, which can be killed, frozen and started again."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from tests.ports import free_port

_START_SECONDS = 20.0


class RedisServer:
    """A redis-server process inside a ``with`` block, on a Unix socket and on a free port of 127.0.0.1.

    It keeps nothing on disk: `restart` brings it back empty at the same addresses. It skips the test when the
    program is not installed.
    """

    def __init__(self, *, password: str = "") -> None:
        self._program = shutil.which("redis-server")
        if self._program is None:
            pytest.skip("redis-server is not installed: it is in Debian's package redis-server")
        # A socket's path may not be longer than about a hundred characters, as a test's own folder can be.
        self._folder = Path(tempfile.mkdtemp(prefix="redis-"))
        self._socket = self._folder / "socket"
        self._password = password
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    @property
    def url(self) -> str:
        """Its address over TCP."""
        return f"redis://{self._login}127.0.0.1:{self.port}/0"

    @property
    def socket_url(self) -> str:
        """Its address over the Unix socket."""
        return f"unix://{self._login}{self._socket}?db=0"

    @property
    def is_running(self) -> bool:
        """Whether the process is there, frozen or not."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, empty, and return once it answers."""
        assert self._program is not None
        assert not self.is_running
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "unixsocket": str(self._socket),
            "dir": str(self._folder),
            "save": "",
            "appendonly": "no",
        }
        if self._password:
            options["requirepass"] = self._password
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen([self._program, *words], stdout=log, stderr=log)
        ends = time.monotonic() + _START_SECONDS
        while not self._answers():
            assert self.is_running, (self._folder / "log").read_text()
            assert time.monotonic() < ends, f"redis-server did not answer within {_START_SECONDS:g} s"
            # It tells nobody that it is ready: it has to be asked.
            time.sleep(0.01)

    def stop(self) -> None:
        """Kill it: connections break, new ones are refused."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self._socket.unlink(missing_ok=True)

    def stall(self) -> None:
        """Freeze it: connections stay open, new ones are taken, and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `stall`; what was asked meanwhile is answered now."""
        self._signal(signal.SIGCONT)

    def restart(self) -> None:
        """Kill it and start it again, empty, at the same addresses."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    @property
    def _login(self) -> str:
        return f":{self._password}@" if self._password else ""

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1.0)
            client.connect(str(self._socket))
            client.sendall(b"PING\r\n")
            return client.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        return False
