"""When the feed may flush next: at once when idle, and under load so seldom that it leaves time for the rest."""

from __future__ import annotations

# A flush claims so many times as long as it kept the processor busy (which a busy machine does not draw out), so that
# the feed takes a fifth of its thread as long as the longest wait allows.
_CLAIM = 5.0
# Changes that come just as often as the longest wait allows must not pile up.
_SHARE = 0.8


class Pace:
    """Lets flushes follow each other at the pace that their own cost sets, `longest_seconds` apart at most.

    The claims of flushes are added up, and one that is due a little early (by less than a claim) goes ahead, so that
    changes that come in at that very pace never wait.
    """

    def __init__(self, longest_seconds: float) -> None:
        self._longest = longest_seconds
        self._due = 0.0

    def rest(self, began: float, busy_seconds: float) -> float:
        """Return until when to rest after a flush that began at `began`, in the same clock."""
        claim = min(_CLAIM * busy_seconds, _SHARE * self._longest)
        self._due = max(self._due, began) + claim
        return self._due - claim
