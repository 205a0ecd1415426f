"""`ibdesk web`: serves API and feed of a desk in another process, from one or more processes."""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from rich.text import Text

from ibdesk.cli.interrupt import CleanupStack
from ibdesk.cli.keeping import PATIENT, READY_SECONDS, kept
from ibdesk.cli.login import show_login
from ibdesk.cli.logs import open_log
from ibdesk.cli.packages import check_packages
from ibdesk.cli.screen import console, line, step, until, waiting
from ibdesk.cli.serving import Work, serve
from ibdesk.desk import AttachedDesk
from ibdesk.desk.child import ChildProcess, end_with_parent
from ibdesk.desk.priority import give_way
from ibdesk.telemetry.supervision import Supervisor
from ibdesk_server.bound import reserve, url_of
from ibdesk_server.security.guard import Security
from ibdesk_server.settings import Settings

WEB_PACKAGES = ("fastapi", "uvicorn")
"""The packages whose absence shows that the extra `server` is not installed."""


def run_web(settings: Settings, common_arguments: Sequence[str], *, seconds: float | None, worker: int | None) -> None:
    """Serve the desk at the address of the settings until Ctrl-C or for some seconds.

    `common_arguments` make another process read the same settings. `worker` is the number of a child: it shares the
    port, prints one line, its address, once it answers, and ends when its standard input closes.

    Raises:
        IbdeskError: If the server cannot be started, or fails.
    """
    check_packages(*WEB_PACKAGES)
    give_way()
    is_child = worker is not None
    if is_child:
        console.quiet = True
        end_with_parent()
    with CleanupStack() as cleanup:
        cleanup.enter_context(open_log("web", settings, is_child=is_child))
        if settings.server.workers == 1 or is_child:
            works = _one(cleanup, settings, seconds=seconds, worker=worker)
        else:
            workers = cleanup.enter_context(Workers(settings, common_arguments))
            with waiting(f"starting {settings.server.workers} workers"):
                workers.start()
            supervisor = Supervisor()
            workers.supervise(supervisor)

            async def show() -> None:
                _show(settings, workers.url, workers.login_url, seconds=seconds)
                await asyncio.Event().wait()

            works = [supervisor.run, show]
        serve(*works, seconds=seconds)


def _one(cleanup: CleanupStack, settings: Settings, *, seconds: float | None, worker: int | None) -> list[Work]:
    """Serve from this process."""
    # Imports the web server's libraries, which the parent of workers does not need.
    from ibdesk_server.serve import WebServer

    is_child = worker is not None
    desk = cleanup.enter_context(AttachedDesk.open(settings=settings, timeout_seconds=0))
    server = WebServer(desk, settings, is_shared=is_child, worker=str(worker or 1))
    cleanup.callback(server.close)

    async def show() -> None:
        await server.until_answering()
        _show(settings, server.url, server.login_url, seconds=seconds)
        await asyncio.Event().wait()

    async def tell_parent() -> None:
        await server.until_answering()
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()

    return [server.run, tell_parent if is_child else show]


class Workers:
    """The processes that share one address; a context manager that ends them."""

    def __init__(self, settings: Settings, common_arguments: Sequence[str], *, any_port: bool = False) -> None:
        """Reserve the address of the settings, with `any_port` the next free port if it is taken.

        Raises:
            AddressInUseError: If the port is taken and `any_port` is false or no port is free.
            ConfigError: If the address cannot be bound, or the API key cannot be read or created.
        """
        self._reserved = reserve(settings.server.host, settings.server.port, any_port=any_port, setting="server.port")
        self.url = url_of(self._reserved, is_encrypted=settings.server.tls.on)
        # Created once here, so that the workers find their files instead of each creating them.
        self._security = Security.open(settings.server)
        port = str(self._reserved.getsockname()[1])
        self._arguments = [*common_arguments, "web", "--host", settings.server.host, "--port", port]
        self._arguments += ["--mode", settings.mode, "--desk", str(settings.port()), "--workers", "1"]
        self._children: list[ChildProcess] = []
        self._count = settings.server.workers

    @property
    def feed_url(self) -> str:
        """Return the address of the feed."""
        return f"ws{self.url.removeprefix('http')}/feed"

    def login_url(self) -> str:
        """Return a new one-time login address."""
        return self.url + self._security.login_path()

    def start(self) -> None:
        """Start all workers and return once they answer.

        Raises:
            ChildError: If a worker does not answer.
        """
        self._children = [self._spawn(number) for number in range(1, self._count + 1)]
        for child in self._children:
            child.until_ready(READY_SECONDS)

    def supervise(self, supervisor: Supervisor) -> None:
        """Restart each worker whenever it ends."""
        for number, child in enumerate(self._children, start=1):
            supervisor.add(child.name, kept(child, functools.partial(self._spawn, number)), policy=PATIENT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self._children:
            child.close()
        self._reserved.close()

    def _spawn(self, number: int) -> ChildProcess:
        return ChildProcess(f"web worker {number}", "ibdesk.cli", [*self._arguments, "--worker", str(number)])


def _show(settings: Settings, url: str, login_url: Callable[[], str], *, seconds: float | None) -> None:
    workers = settings.server.workers
    step("API and feed" + (f", {workers} workers" if workers > 1 else ""))
    line("desk", Text(str(settings.port())))
    show_login("API", url, login_url)
    line("feed", f"ws{url.removeprefix('http')}/feed (msgpack)")
    line("end", until(seconds))
