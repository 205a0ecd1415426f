"""Waiting for the first price of an instrument."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class FirstPrices:
    """The tasks that wait until a price is known."""

    def __init__(self, price_of: Callable[[str], float | None]) -> None:
        self._price_of = price_of
        # The instrument and the event of each waiting task.
        self.waiting: list[tuple[str, asyncio.Event]] = []

    def wake(self) -> None:
        """Wake the tasks whose instrument has a price now."""
        for name, known in self.waiting:
            if self._price_of(name) is not None:
                known.set()

    async def wait(self, instrument: str, seconds: float) -> bool:
        """Wait at most `seconds` until a price of a watched instrument is known; return whether it is."""
        if self._price_of(instrument) is not None:
            return True
        waiting = (instrument, asyncio.Event())
        self.waiting.append(waiting)
        try:
            async with asyncio.timeout(seconds):
                return await waiting[1].wait()
        except TimeoutError:
            return False
        finally:
            self.waiting.remove(waiting)
