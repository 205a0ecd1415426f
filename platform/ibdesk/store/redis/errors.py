"""What can be wrong with Redis: one error, raised within the time that a call may take."""

from __future__ import annotations

from ibdesk.errors import IbdeskError


class RedisError(IbdeskError):
    """Redis cannot be reached, does not answer in time, or refuses; `reason` says which. Trying again may help."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(address, reason)
        self.address, self.reason = address, reason

    def __str__(self) -> str:
        return f"Redis at {self.address} {self.reason}"
