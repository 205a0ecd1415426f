"""Pauses between attempts to reconnect to TWS."""

from __future__ import annotations

from collections.abc import Iterator

_GOLDEN = 0.6180339887498949


def delays(first_seconds: float, last_seconds: float) -> Iterator[float]:
    """Yield pauses that double from `first_seconds` up to `last_seconds`, forever, each shortened by up to half.

    The shortening keeps clients that lost their link together from reconnecting together. It follows the golden-ratio
    sequence, which is evenly spread and the same in every run.
    """
    pause, turn = first_seconds, 0.0
    while True:
        yield min(pause, last_seconds) * (1.0 - turn / 2)
        pause, turn = min(pause * 2, last_seconds), (turn + _GOLDEN) % 1.0
