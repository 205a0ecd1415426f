"""The file STOP in the state folder halts the desk, even without a guardian, which would do more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ibdesk.clock import monotonic_ns
from ibdesk.engine.halts import Halts
from ibdesk.guardian.command_socket import StopFile
from ibdesk.model import Event, HaltTrading

# The guardian checks five times a second and halts first; one halt for one file is enough.
_GRACE_NS = 1_000_000_000


class StopFileWatch:
    """A check for the file; the desk halts if the guardian has not done so within a second.

    A file that exists when a desk starts counts as new: while it exists, every desk starts halted.
    """

    def __init__(self, path: Path, halts: Halts, turn: Callable[[Event], None], now_ns: Callable[[], int]) -> None:
        self._path, self._halts, self._turn, self._now_ns = path, halts, turn, now_ns
        self._file = StopFile(path, (0, 0))
        # When to halt, 0 while there is no reason to.
        self._due_ns = 0

    def look(self) -> None:
        """Check the file: one call of the operating system."""
        if self._file.look() is not None:
            self._due_ns = monotonic_ns() + _GRACE_NS
        if self._due_ns and monotonic_ns() >= self._due_ns:
            self._due_ns = 0
            # The guardian's halt names the file too.
            if not any(str(self._path) in halt.reason for halt in self._halts.values()):
                self._turn(HaltTrading(f"{self._path} has appeared", self._now_ns(), "file"))
