"""The bug in IBKR's own client that loses a burst of certain lengths, and how to avoid it.

That client reads 4,096 bytes at a time as long as it gets that many. If the bytes end exactly then, it waits for more,
and after a second of silence everything it has read in this turn is lost (seen with every version, 9.81 to 10.51;
reported). One more message after such a burst is enough for it to be read.
"""

from __future__ import annotations

from collections import deque

LOST_BURST = 4096
REMEMBERED = 8
"""A slow client finds several bursts together and continues from the end of an earlier one. A client that is further
behind than this is never silent for a second.
"""


class Bursts:
    """The ends of the last bursts to one client, counted in bytes from the first."""

    def __init__(self) -> None:
        self._ends: deque[int] = deque([0], REMEMBERED)

    def is_lost(self, length: int) -> bool:
        """Return whether a burst of this length could be lost, alone or with the ones directly before it."""
        end = self._ends[-1] + length
        return any((end - earlier) % LOST_BURST == 0 for earlier in self._ends)

    def note_sent(self, length: int) -> None:
        """Note that a burst of this length was sent."""
        self._ends.append(self._ends[-1] + length)
