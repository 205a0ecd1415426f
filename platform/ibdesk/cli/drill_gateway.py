"""The gateway process of a drill: ``python -m ibdesk.cli.drill_gateway``. It ends with its parent."""

from __future__ import annotations

import asyncio
import signal
import sys

from ibdesk.desk.child import end_with_parent
from ibdesk.gateway import Gateway, RandomWalk


async def _serve() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    end_with_parent()
    async with Gateway(market=RandomWalk(7, ["AAPL"])) as gateway:
        sys.stdout.write(f"127.0.0.1:{gateway.port}\n")
        sys.stdout.flush()
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(_serve())
