"""How much a client may send: so many messages and bytes a second, with some in reserve."""

from __future__ import annotations

from ibdesk_server.feed.protocol import NOT_ALLOWED, FeedProtocolError

# How many seconds' worth may come at once.
_RESERVE_SECONDS = 2.0


class _Bucket:
    """Fills by `rate` a second up to its size; taking out of an empty one is possible, and noticed."""

    def __init__(self, rate: float, now: float) -> None:
        self._rate, self._level, self._at = rate, rate * _RESERVE_SECONDS, now

    def take(self, amount: float, now: float) -> bool:
        """Return whether there was enough."""
        self._level = min(self._rate * _RESERVE_SECONDS, self._level + self._rate * (now - self._at)) - amount
        self._at = now
        if self._level >= 0:
            return True
        # Who is warned begins anew, or it would be cut for the same burst.
        self._level = self._rate * _RESERVE_SECONDS
        return False


class FeedAllowance:
    """What one client may send; told once, then cut."""

    def __init__(self, *, messages: float, size: float, now: float) -> None:
        """Allow `messages` and `size` bytes a second."""
        self._messages, self._bytes = _Bucket(messages, now), _Bucket(size, now)
        self._limit = f"{messages:g} messages and {size:,.0f} bytes a second"
        self._warned = False

    def spend(self, size: int, now: float) -> str | None:
        """Take note of a message of so many bytes; return a warning when it is the first one too much.

        Raises:
            FeedProtocolError: When it is too much again.
        """
        # Both are asked, so that both take note.
        enough = all([self._messages.take(1, now), self._bytes.take(size, now)])
        if enough:
            return None
        if self._warned:
            raise FeedProtocolError(NOT_ALLOWED, f"too much was sent: {self._limit} are allowed")
        self._warned = True
        return f"this is too much: {self._limit} are allowed, and the next time the connection ends"
