"""The command line as a person meets it: in this process for what is quick, as a program of its own for the rest."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

import pytest

from ibdesk.cli import main

ROOT = Path(__file__).parent.parent.parent
EMA_CROSS = ROOT / "strategies" / "ema_cross.py"
WAIT_SECONDS = 120.0


class Outcome(NamedTuple):
    """What a command left: its exit code and what it wrote."""

    code: int
    out: str
    err: str


class Program:
    """A command as a process in a session of its own, read line by line while it runs."""

    def __init__(self, arguments: tuple[str, ...], environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ibdesk.cli", *arguments],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._out: list[str] = []
        self._err: list[str] = []
        self._open_streams = 2
        self._news = threading.Condition()
        self._readers = [
            threading.Thread(target=self._read, args=pair, daemon=True)
            for pair in ((self._process.stdout, self._out), (self._process.stderr, self._err))
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def until(self, pattern: str) -> re.Match[str]:
        """Wait until what it has printed matches."""
        with self._news:
            self._news.wait_for(lambda: self._match(pattern) or not self._open_streams, WAIT_SECONDS)
            match = self._match(pattern)
            assert match is not None, f"it did not print {pattern!r} but {self._out} {self._err}"
            return match

    def press_ctrl_c(self) -> None:
        """Send what a terminal sends on Ctrl-C: an interrupt to everything in the foreground."""
        os.killpg(self._process.pid, signal.SIGINT)

    def terminate(self) -> None:
        """Send what a service manager sends."""
        self._process.terminate()

    def end(self) -> Outcome:
        """Wait for its end."""
        code = self._process.wait(WAIT_SECONDS)
        for reader in self._readers:
            reader.join(WAIT_SECONDS)
        return Outcome(code, "".join(self._out), "".join(self._err))

    def left_behind(self) -> list[str]:
        """Return the command lines of processes of its session that do not end either, given some seconds."""
        deadline = time.monotonic() + 10
        while (found := self._running()) and time.monotonic() < deadline:
            with self._news:
                self._news.wait(0.05)
        return found

    def _running(self) -> list[str]:
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                session = (folder / "stat").read_text().rpartition(")")[2].split()[3]
                if session == str(self._process.pid):
                    found.append((folder / "cmdline").read_text().replace("\0", " "))
        return found

    def close(self) -> None:
        """End whatever of it still runs."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(WAIT_SECONDS)
        for reader in self._readers:
            reader.join(WAIT_SECONDS)
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()

    def _match(self, pattern: str) -> re.Match[str] | None:
        return re.search(pattern, "".join(self._out))

    def _read(self, stream: IO[str], lines: list[str]) -> None:
        for text in stream:
            with self._news:
                lines.append(text)
                self._news.notify_all()
        with self._news:
            self._open_streams -= 1
            self._news.notify_all()


class Home:
    """A home folder of its own, and commands started in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "tmp").mkdir()
        own = {"HOME": str(path), "XDG_STATE_HOME": str(path / "state"), "TMPDIR": str(path / "tmp"), "COLUMNS": "100"}
        # On a busy machine it may warn that something was slow, which is none of these tests' business.
        own["IBDESK_LOG__STDERR_LEVEL"] = "error"
        self.environment = dict(os.environ) | own
        self._started: list[Program] = []

    def start(self, *arguments: object) -> Program:
        """Start a command."""
        program = Program(tuple(map(str, arguments)), self.environment)
        self._started.append(program)
        return program

    @property
    def journals(self) -> list[Path]:
        """The journals kept in it."""
        return sorted((self.path / "state" / "ibdesk" / "journals").glob("*.sqlite"))

    def close(self) -> None:
        """End what was started."""
        for program in self._started:
            program.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = Home(tmp_path_factory.mktemp("home"))
    yield home
    home.close()


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., Outcome]:
    """Run a command in this process and return what it left."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: object) -> Outcome:
        code = main([str(argument) for argument in arguments])
        return Outcome(code, *capfd.readouterr())

    return run


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write a file and return its path."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write
