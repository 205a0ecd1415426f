"""The ids of runs, which identify their orders at TWS permanently."""

from __future__ import annotations

from collections.abc import Container

from ibdesk.clock import wall_ns
from ibdesk.desk.naming import base36


class RunNames:
    """A source of run ids that were never used before, here or at another desk of this account."""

    def __init__(self) -> None:
        # The previous desk may have started a run in this very second.
        self._last_second = wall_ns() // 1_000_000_000

    def new(self, name: str, taken: Container[str]) -> str:
        """Return an unused id that begins with the name of the run, or of its class."""
        self._last_second = max(wall_ns() // 1_000_000_000, self._last_second + 1)
        while (run_id := f"{name}-{base36(self._last_second)}") in taken:
            self._last_second += 1
        return run_id
