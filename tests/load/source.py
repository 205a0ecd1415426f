"""What the feed is loaded with: batches of order changes at a steady beat, each row with the moment it was published.

Both sides that are compared, the feed and the bare broadcast, publish by this module, in a thread of their own, when
they read ``publish SECONDS`` on standard input; they answer with how many rows it were.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

BATCHES_PER_SECOND = 20
ROWS = 25
TOPIC = "orders"
# KEYS: so many orders change in turn, so that a desk that runs for hours keeps no more of them.
KEYS = 1_000

Publish = Callable[[list[dict[str, Any]]], None]


def rows_at(at_ns: int, number: int) -> list[dict[str, Any]]:
    """Return the rows of the batch with this number; encoded by columns they are about 3 kB."""
    return [
        {
            "id": f"load-{(number * ROWS + place) % KEYS}",
            "at_ns": at_ns,
            "owner": "load",
            "symbol": f"SYM{place}",
            "side": "buy",
            "quantity": 100.0,
            "limit": 229.89 + place,
            "filled": float(number % 100),
            "status": "working",
            "reason": "",
        }
        for place in range(ROWS)
    ]


def publish_for(seconds: float, publish: Publish) -> int:
    """Publish a batch at each beat for so long and return the number of rows; blocks."""
    began, batches = time.monotonic(), round(seconds * BATCHES_PER_SECOND)
    for number in range(batches):
        # The beat is kept by the clock, whatever the publishing itself takes.
        time.sleep(max(0.0, began + number / BATCHES_PER_SECOND - time.monotonic()))
        publish(rows_at(time.time_ns(), number))
    return batches * ROWS


def obey(publish: Publish) -> None:
    """Do what standard input asks for until it ends."""
    for line in sys.stdin:
        word, seconds = line.split()
        if word != "publish":
            raise SystemExit(f"publish SECONDS is all that can be asked, got {line!r}")
        sys.stdout.write(f"published {publish_for(float(seconds), publish)}\n")
        sys.stdout.flush()
