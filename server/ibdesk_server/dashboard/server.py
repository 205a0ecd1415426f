"""The dashboard's web server: its address, who may see it, and its life."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import panel as pn
from bokeh.server.server import Server
from tornado.web import RequestHandler
from tornado.websocket import WebSocketClosedError

from ibdesk.errors import AddressInUseError
from ibdesk_server.dashboard.access import Access
from ibdesk_server.dashboard.counter import Counter
from ibdesk_server.dashboard.logins import LoginFile
from ibdesk_server.dashboard.mirror import FeedMirror
from ibdesk_server.dashboard.page import STYLE, open_page

HOST = "127.0.0.1"


class LiveHandler(RequestHandler):
    """Answers probes: that the process turns, and nothing else."""

    def get(self) -> None:
        """Answer; anybody may know."""
        self.write({"status": "ok"})


async def serve(
    mirror: FeedMirror,
    *,
    host: str = HOST,
    port: int,
    names: Iterable[str] = (),
    state_folder: Path | None = None,
    path_prefix: str = "",
    head_seconds: float = 10.0,
    ready: Callable[[str], None],
    stop: asyncio.Event,
) -> None:
    """Serve the dashboard until `stop` is set; port 0 takes any free one.

    Browsers may call it by this machine's own addresses, and by `names`; behind a proxy that passes paths on as they
    are, all of its paths begin with `path_prefix`. Logins are kept in `state_folder`. A connection has `head_seconds`
    until the head of its request is whole, and as long between two of them. `ready` is called once with the address
    that logs a browser of this machine in.

    Raises:
        AddressInUseError: If the port is taken.
    """
    port = port or _free_port()
    kept = LoginFile(None if state_folder is None else state_folder / f"dashboard-{port}.logins")
    access = Access(Counter(mirror.url), port, logins=kept, path_prefix=path_prefix)
    server = _listen(mirror, access, host, port, names, head_seconds)
    asyncio.get_running_loop().set_exception_handler(_complain)
    server.start()
    reading = asyncio.create_task(mirror.run(), name="feed mirror")
    asking = asyncio.create_task(access.run(), name="readers")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        ready(f"http://{HOST}:{server.port}{access.login_path()}")
        done, _ = await asyncio.wait({reading, asking, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (reading, asking, stopping):
            task.cancel()
        server.stop()
        await asyncio.wait({reading, asking, stopping})


def _listen(
    mirror: FeedMirror, access: Access, host: str, port: int, names: Iterable[str], head_seconds: float
) -> Server:
    logging.getLogger("bokeh").setLevel(logging.ERROR)
    pn.extension("tabulator", raw_css=[STYLE])
    try:
        return pn.io.server.get_server(
            {"/": lambda: open_page(mirror, access)},
            port=port,
            address=host,
            websocket_origin=[f"{HOST}:{port}", f"localhost:{port}", *names],
            auth_provider=access,
            prefix=access.prefix,
            http_server_kwargs={"idle_connection_timeout": head_seconds},
            extra_patterns=[("/health/live", LiveHandler)],
            title="ibdesk",
            show=False,
            start=False,
        )
    except OSError:
        raise AddressInUseError(host, port, "--port") from None


def _complain(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Report what nobody caught; a tab that was closed while something was sent to it is nothing to report."""
    if not isinstance(context.get("exception"), WebSocketClosedError):
        loop.default_exception_handler(context)


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
