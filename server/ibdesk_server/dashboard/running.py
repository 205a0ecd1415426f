"""Run a dashboard until a signal ends it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterable
from pathlib import Path

from ibdesk.desk.priority import give_way
from ibdesk.errors import ConfigError
from ibdesk_server.security.keyfile import obtain_key


async def run_dashboard(
    *,
    feed: str,
    key: str,
    host: str = "127.0.0.1",
    port: int,
    names: Iterable[str] = (),
    state_folder: Path | None = None,
    path_prefix: str = "",
    ready: Callable[[str], None],
) -> None:
    """Serve the dashboard of the feed at an address until SIGTERM or Ctrl-C.

    `ready` is called once with the one-time login URL for a browser of this machine.

    Raises:
        AddressInUseError: If the port is taken.
    """
    give_way()
    # Importing Panel takes seconds; a wrong key is reported before.
    from ibdesk_server.dashboard.mirror import FeedMirror
    from ibdesk_server.dashboard.server import serve

    stop = asyncio.Event()

    def begin(address: str) -> None:
        # Only now, because Panel installs its own handler, which stops the loop at once.
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        ready(address)

    await serve(
        FeedMirror(feed, key),
        host=host,
        port=port,
        names=names,
        state_folder=state_folder,
        path_prefix=path_prefix,
        ready=begin,
        stop=stop,
    )


def read_machine_key(path: Path) -> str:
    """Return the API key of this machine's server.

    Raises:
        ConfigError: If there is no key yet, or it cannot be used.
    """
    if not path.exists():
        raise ConfigError(f"there is no API key in {path}: start the server first, which creates it")
    return obtain_key(path)
