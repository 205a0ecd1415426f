"""A dashboard's life, for the programs that run one: from its key to the signal that ends it."""

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
    """Show the desk whose feed is at an address until SIGTERM or Ctrl-C.

    `ready` is called once with the address that logs a browser of this machine in.

    Raises:
        AddressInUseError: If the port is taken.
    """
    give_way()
    # Panel takes seconds to import, which whoever has a wrong key should not have to wait for.
    from ibdesk_server.dashboard.mirror import FeedMirror
    from ibdesk_server.dashboard.server import serve

    stop = asyncio.Event()

    def begin(address: str) -> None:
        # Only now: Panel has put up a handler of its own, which stops the loop under everybody's feet.
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
    """Return the API key that the server of this machine has made.

    Raises:
        ConfigError: If there is none yet, or it cannot be used.
    """
    if not path.exists():
        raise ConfigError(f"there is no API key in {path}: start the server first, which makes it")
    return obtain_key(path)
