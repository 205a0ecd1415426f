"""Time limits for request heads (request line and header fields), by client address."""

from __future__ import annotations

import collections
import ipaddress

import msgspec

from ibdesk_server.security.ip_addresses import parse_address

HURRIED_SECONDS = 1.0
"""The time limit of a connection when too many of its address wait already."""


class HeadLimits(msgspec.Struct, frozen=True):
    """A head has `seconds` to arrive, or `HURRIED_SECONDS` if `per_address` connections of its address wait."""

    seconds: float = 10.0
    per_address: int = 64


class WaitingHeads:
    """The number of connections whose head has not arrived, by address.

    An address that floods the server holds `per_address` connections for the full time and the others for a second.
    Other addresses, and clients that send their head at once, are not affected. All addresses of an IPv6 /64 count as
    one.
    """

    def __init__(self, limits: HeadLimits) -> None:
        self._limits = limits
        self._waiting: collections.Counter[str] = collections.Counter()

    @property
    def total(self) -> int:
        """Return how many connections wait."""
        return self._waiting.total()

    def begin(self, address: str) -> float:
        """Count a connection and return how many seconds it has."""
        place = _place(address)
        self._waiting[place] += 1
        seconds, limit = self._limits.seconds, self._limits.per_address
        return seconds if self._waiting[place] <= limit else min(seconds, HURRIED_SECONDS)

    def end(self, address: str) -> None:
        """Remove a connection from the count."""
        place = _place(address)
        self._waiting[place] -= 1
        if self._waiting[place] <= 0:
            del self._waiting[place]


def _place(address: str) -> str:
    found = parse_address(address)
    if found is None or found.version == 4:
        return address
    return str(ipaddress.ip_network((found, 64), strict=False))
