"""The rate limit on messages and bytes that a feed client sends, with a reserve for bursts."""

from __future__ import annotations

from ibdesk_server.feed.protocol import NOT_ALLOWED, FeedProtocolError

# The size of a burst, in seconds at the full rate.
_RESERVE_SECONDS = 2.0


class _Bucket:
    """A token bucket that fills by `rate` a second; taking from an empty one is possible and reported."""

    def __init__(self, rate: float, now: float) -> None:
        self._rate, self._level, self._at = rate, rate * _RESERVE_SECONDS, now

    def take(self, amount: float, now: float) -> bool:
        """Return whether there was enough."""
        self._level = min(self._rate * _RESERVE_SECONDS, self._level + self._rate * (now - self._at)) - amount
        self._at = now
        if self._level >= 0:
            return True
        # After a warning the bucket is refilled, or the client would be disconnected for the same burst.
        self._level = self._rate * _RESERVE_SECONDS
        return False


class FeedAllowance:
    """The rate limit of one client: the first violation gives a warning, the second an error."""

    def __init__(self, *, messages: float, size: float, now: float) -> None:
        """Allow `messages` and `size` bytes a second."""
        self._messages, self._bytes = _Bucket(messages, now), _Bucket(size, now)
        self._limit = f"{messages:g} messages and {size:,.0f} bytes a second"
        self._warned = False

    def spend(self, size: int, now: float) -> str | None:
        """Count a message of `size` bytes; return a warning at the first violation.

        Raises:
            FeedProtocolError: At the second violation.
        """
        # Both buckets must count the message.
        enough = all([self._messages.take(1, now), self._bytes.take(size, now)])
        if enough:
            return None
        if self._warned:
            raise FeedProtocolError(NOT_ALLOWED, f"too many messages or bytes: {self._limit} are allowed")
        self._warned = True
        return f"too many messages or bytes: {self._limit} are allowed; next time the connection ends"
