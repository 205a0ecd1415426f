"""Where bursts to a client may not end, because IBKR's own client would throw away what it has read.

That client reads 4,096 bytes at a time for as long as it gets so many. When the bytes run out exactly then, it waits
for more, and after a second of silence everything it has read in this turn is lost (seen with every version of it,
9.81 to 10.51; reported). Nothing else is wrong with such a burst: one more message behind it, and it is read.
"""

from __future__ import annotations

from collections import deque

LOST_BURST = 4096
REMEMBERED = 8
"""A client that is slow to look finds several bursts together and reads on from an earlier one's end. One
that is further behind than this is not silent for a second.
"""


class Bursts:
    """The ends of the last bursts that left for one client, counted in bytes from the first."""

    def __init__(self) -> None:
        self._ends: deque[int] = deque([0], REMEMBERED)

    def is_lost(self, length: int) -> bool:
        """Return whether a burst of this many bytes could be lost, alone or with those that left just before."""
        end = self._ends[-1] + length
        return any((end - earlier) % LOST_BURST == 0 for earlier in self._ends)

    def left(self, length: int) -> None:
        """Note that a burst of this many bytes leaves."""
        self._ends.append(self._ends[-1] + length)
