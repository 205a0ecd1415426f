"""``python -m tests.load.desk``: a desk on the embedded gateway, whose feed is loaded by `source`.

Web servers attach to it as to any desk. It prints the address of its port when it can be reached.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any

import uvloop
from tests.load import source

from ibdesk.desk import Desk
from ibdesk.desk.loop import spare_from_collection
from ibdesk.desk.port.host import PortHost
from ibdesk.desk.port.socket_transport import SocketTransport
from ibdesk.store import Topic
from ibdesk.store.layout import changes_of


async def _serve(desk: Desk) -> None:
    address = desk.settings.socket
    host = PortHost(desk, desk.feed, SocketTransport(address.path))
    serving = asyncio.create_task(host.run(), name="desk port")
    await host.answering.wait()
    sys.stdout.write(f"{address}\n")
    sys.stdout.flush()

    def publish(rows: list[dict[str, Any]]) -> None:
        desk.feed.publish_all(changes_of(Topic(source.TOPIC), rows))

    obeying = threading.Thread(target=source.obey, args=(publish,))
    obeying.start()
    await asyncio.to_thread(obeying.join)
    serving.cancel()
    await asyncio.wait({serving})


def main() -> None:
    """Be that desk until standard input ends."""
    with Desk.open("embedded", gateway={"port": 0}) as desk:
        spare_from_collection()
        uvloop.run(_serve(desk))


if __name__ == "__main__":
    main()
