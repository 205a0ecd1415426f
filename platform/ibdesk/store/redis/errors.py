"""The error of Redis, raised within the time limit of a call."""

from __future__ import annotations

from ibdesk.errors import IbdeskError


class RedisError(IbdeskError):
    """Redis cannot be reached, does not answer in time, or refuses; `reason` says which. A retry may help."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(address, reason)
        self.address, self.reason = address, reason

    def __str__(self) -> str:
        return f"Redis at {self.address} {self.reason}"
