"""The ids of runs, which mark their orders at TWS for good."""

from __future__ import annotations

from collections.abc import Container

from ibdesk.clock import wall_ns
from ibdesk.desk.naming import base36


class RunNames:
    """Gives each run an id that no run had before, here or in another desk of this account."""

    def __init__(self) -> None:
        # A desk before this one may have started a run in this very second.
        self._last_second = wall_ns() // 1_000_000_000

    def new(self, name: str, taken: Container[str]) -> str:
        """Return an id that begins with the name of the run, or of its class."""
        self._last_second = max(wall_ns() // 1_000_000_000, self._last_second + 1)
        while (run_id := f"{name}-{base36(self._last_second)}") in taken:
            self._last_second += 1
        return run_id
