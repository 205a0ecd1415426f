"""Processes under load: started, spoken with line by line, measured, and ended by their own id."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).parent.parent.parent
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_END_SECONDS = 20.0


class LoadProcess:
    """A Python module as a process inside a ``with`` block, in a session of its own.

    What it writes on standard error is kept in `log`, if a path is given, else shown.
    """

    def __init__(
        self, *arguments: object, environment: Mapping[str, str] | None = None, log: Path | None = None
    ) -> None:
        self._words = [sys.executable, "-m", *map(str, arguments)]
        self._environment = {name: text for name, text in os.environ.items() if not name.startswith("IBDESK_")}
        self._environment |= environment or {}
        self._log = log

    def __enter__(self) -> Self:
        errors = self._log.open("ab") if self._log is not None else None
        self._process = subprocess.Popen(
            self._words,
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
        if errors is not None:
            errors.close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(BrokenPipeError):
                assert stream is not None
                stream.close()
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    @property
    def pid(self) -> int:
        """Its id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def say(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def hear(self) -> str:
        """Return the next line of its standard output; it must not have ended."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(self._words[1:4])} has ended with {self._process.wait()}")
        return line.strip()

    def family(self) -> list[int]:
        """Return the ids of the process and of its children."""
        me = self._process.pid
        children = Path(f"/proc/{me}/task/{me}/children").read_text(encoding="ascii")
        return [me, *map(int, children.split())]


def stand_aside(pid: int) -> None:
    """Let a process that was started in a session of its own have only the processors that nobody else wants.

    For one that stands for programs on other machines.
    """
    os.setpriority(os.PRIO_PROCESS, pid, 19)
    shares = Path(f"/proc/{pid}/autogroup")
    if shares.exists():
        shares.write_text("19", encoding="ascii")


async def standard_input() -> asyncio.StreamReader:
    """Return this process's own standard input, to be read by its loop."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


def processor_seconds(pid: int) -> float:
    """Return how long a process has kept processors busy, in user and kernel mode."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_bytes(pid: int) -> int:
    """Return how much memory a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE


class MemoryWatch:
    """Notes, in a thread, how much memory some processes hold together, while its ``with`` block lasts."""

    def __init__(self, pids: list[int], *, every_seconds: float) -> None:
        self._pids, self._every_seconds = pids, every_seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.samples: list[tuple[float, float]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def growth_a_minute(self) -> float:
        """Return by how many bytes they grew in a minute, by least squares over the second half of the samples."""
        half = self.samples[len(self.samples) // 2 :]
        count = len(half)
        mean_at, mean_held = sum(at for at, _ in half) / count, sum(held for _, held in half) / count
        spread = sum((at - mean_at) ** 2 for at, _ in half)
        return 60 * sum((at - mean_at) * (held - mean_held) for at, held in half) / spread if spread else 0.0

    def _watch(self) -> None:
        while not self._ended.wait(self._every_seconds):
            self.samples.append((time.monotonic(), sum(map(resident_bytes, self._pids))))
