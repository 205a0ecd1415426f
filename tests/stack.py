"""The processes of a desk as a user starts them, each a real one: killed, stopped, looked at and started again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import httpx
from tests.plain_http import PLAIN
from tests.ports import free_port

from ibdesk.desk.settings import NEEDED_LIMITS
from ibdesk_server.client import FeedClient, FeedMessage

ROOT = Path(__file__).parent.parent
IBDESK = (sys.executable, "-m", "ibdesk.cli")
WAIT_SECONDS = 150.0
_LOOK_SECONDS = 0.05
# The limits without which mode live opens no desk.
LIVE_LIMITS = {name.removeprefix("risk."): 100.0 for name in NEEDED_LIMITS}

T = TypeVar("T")


def eventually(
    look: Callable[[], T | None], what: str, *, seconds: float = WAIT_SECONDS, every: float = _LOOK_SECONDS
) -> T:
    """Look until something true is seen, and return it: processes tell nobody when they have come so far."""
    ends = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < ends, f"not within {seconds:g} s: {what}"
        time.sleep(every)
    return found


def own_environment(**variables: str) -> dict[str, str]:
    """The environment of a process that no setting of this machine reaches: only these variables."""
    others = {name: text for name, text in os.environ.items() if not name.startswith(("IBDESK_", "PYTEST_"))}
    return others | {"IBDESK_CONFIG": "", "PYTHONUNBUFFERED": "1", "COLUMNS": "200"} | variables


def may_go_first() -> bool:
    """Whether this machine lets a process of ours have real-time priority."""
    ask = "import os; os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))"
    return subprocess.run([sys.executable, "-c", ask], stderr=subprocess.DEVNULL, check=False).returncode == 0


def waited_for_processor(thread: int) -> float:
    """Seconds that a thread was ready to run and other work had the processor: the second figure of its schedstat."""
    return int(Path(f"/proc/{thread}/schedstat").read_text().split()[1]) / 1e9


class Program:
    """A program that runs, in a session of its own; what it writes is in the file `log`."""

    def __init__(self, words: Sequence[str], environment: Mapping[str, str], log: Path, *, cwd: Path = ROOT) -> None:
        self.words, self.log = list(words), log
        with log.open("ab") as file:
            self._begins = file.tell()
            self._process = subprocess.Popen(
                self.words,
                cwd=cwd,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def waited_for_processor(self) -> float:
        """Seconds that its first thread was ready to run and other work had the processor."""
        return waited_for_processor(self.pid)

    @property
    def said(self) -> str:
        """What it has written since it was started."""
        with self.log.open("rb") as file:
            file.seek(self._begins)
            return file.read().decode()

    def until(self, pattern: str) -> re.Match[str]:
        """Wait until what it has written matches."""

        def look() -> re.Match[str] | None:
            assert self.is_running, f"{self.words} has ended: {self.said}"
            return re.search(pattern, self.said)

        return eventually(look, f"{pattern!r} of {self.words}")

    def children(self) -> list[int]:
        """The ids of the processes that it has started itself."""
        # Each of its threads has children of its own.
        lists = [path.read_text() for path in Path(f"/proc/{self.pid}/task").glob("*/children")]
        return [int(word) for text in lists for word in text.split()]

    def kill(self) -> None:
        """End it as no program can prevent."""
        self._process.kill()
        self._process.wait()

    def stop(self, *, seconds: float = 30.0) -> int:
        """Ask it to end as service managers do, and return its exit code; it must not take longer than that."""
        self._process.terminate()
        return self._process.wait(seconds)

    def wait(self) -> int:
        """Wait until it has ended by itself, and return its exit code."""
        return self._process.wait(WAIT_SECONDS)

    def close(self) -> None:
        """End whatever of it still runs."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()


class Stack:
    """A desk's processes, joined by the settings they are given; `close` ends what still runs.

    `tws_port` is where they trade, None is a gateway inside the engine; with a `redis_url` they use that Redis too.
    Other settings are `variables` of the environment.
    """

    def __init__(
        self,
        folder: Path,
        *,
        tws_port: int | None = None,
        redis_url: str = "",
        workers: int = 1,
        variables: Mapping[str, str] = {},
    ) -> None:
        self._mode = "embedded" if tws_port is None else "paper"
        self.folder, self.state, self._workers = folder, folder / "ibdesk", workers
        self.port, self.dashboard_port = free_port(), free_port()
        self.environment = own_environment(
            XDG_STATE_HOME=str(folder),
            IBDESK_MODE=self._mode,
            IBDESK_SERVER__PORT=str(self.port),
            IBDESK_DASHBOARD__PORT=str(self.dashboard_port),
            **({} if tws_port is None else {"IBDESK_TWS__PORT": str(tws_port)}),
            **({"IBDESK_REDIS__URL": redis_url} if redis_url else {}),
            **variables,
        )
        self.url = f"http://127.0.0.1:{self.port}"
        self.feed_url = f"ws://127.0.0.1:{self.port}/feed"
        self._started: list[Program] = []
        self._watches: list[FeedWatch] = []

    def close(self) -> None:
        """Hang up, and end every process that was started."""
        for watch in self._watches:
            watch.close()
        for program in reversed(self._started):
            program.close()

    @property
    def desk_socket(self) -> Path:
        """Where the engine can be reached."""
        return self.state / f"desk-{self._mode}.sock"

    @property
    def key(self) -> str:
        """The API key of the machine, which the first web server makes."""
        return (self.state / "api.key").read_text().strip()

    def start(self, name: str, *words: str) -> Program:
        """Start one of ibdesk's commands with the settings of the stack."""
        program = Program([*IBDESK, name, *words], self.environment, self.folder / f"{name}.log")
        self._started.append(program)
        return program

    def start_engine(self, *words: str) -> Program:
        """Start the engine and return once it can be reached."""
        engine = self.start("engine", *words)
        engine.until("desk port")
        return engine

    def start_web(self) -> Program:
        """Start the web server and return once it answers and the desk is reconciled."""
        web = self.start("web", "--workers", str(self._workers))
        eventually(lambda: self._is_ready(web), "the web server is ready")
        return web

    def start_dashboard(self) -> Program:
        """Start the dashboard and return once it answers."""
        dashboard = self.start("dashboard")
        address = f"http://127.0.0.1:{self.dashboard_port}/login"
        eventually(lambda: self._answers(dashboard, address), "the dashboard answers")
        return dashboard

    def api(self) -> httpx.Client:
        """A client of the API that may do everything."""
        return httpx.Client(base_url=self.url, headers={"X-API-Key": self.key}, **PLAIN, timeout=WAIT_SECONDS)

    def watch_feed(self, *topics: str) -> FeedWatch:
        """Follow these topics of the feed, or all; the stack closes it."""
        watch = FeedWatch(self.feed_url, self.key, *topics)
        self._watches.append(watch)
        return watch

    def get(self, path: str, **query: Any) -> Any:
        """What the API answers at a path; it must not refuse."""
        with self.api() as api:
            answer = api.get(path, params=query)
        assert answer.is_success, answer.text
        return answer.json()

    def _answers(self, program: Program, address: str) -> bool:
        assert program.is_running, program.said
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(address, **PLAIN).status_code < 500
        return False

    def _is_ready(self, web: Program) -> bool:
        assert web.is_running, web.said
        with contextlib.suppress(OSError, httpx.TransportError), self.api() as api:
            return api.get("/health/ready").is_success
        return False


class FeedWatch:
    """A feed client on a thread of its own that notes all that it is told, until it is closed."""

    def __init__(self, url: str, key: str, *topics: str) -> None:
        self.client = FeedClient(url, key, topics=topics or None)
        self.messages: list[FeedMessage] = []
        self._loop = asyncio.new_event_loop()
        self._following: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def changes(self, topic: str) -> list[dict[str, Any]]:
        """Every row of a topic that came after its first snapshot, in order."""
        news = [message for message in list(self.messages) if message.topic == topic and message.kind == "delta"]
        return [row for message in news for row in message.rows]

    def snapshots(self, topic: str) -> int:
        """How often it had to start over with a topic, the first time included."""
        return sum(message.topic == topic and message.kind == "snapshot" for message in list(self.messages))

    def close(self) -> None:
        """Hang up."""
        self._loop.call_soon_threadsafe(self._stop)
        self._thread.join()

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            self._following = self._loop.create_task(self._follow())
            self._loop.run_until_complete(self._following)
        self._loop.close()

    def _stop(self) -> None:
        if self._following is not None:
            self._following.cancel()

    async def _follow(self) -> None:
        async with self.client:
            async for message in self.client:
                self.messages.append(message)
