"""The check directly before an order's bytes leave: may this program trade its account now?"""

from __future__ import annotations

from typing import Protocol

from ibdesk.errors import IbdeskError


class Fence(Protocol):
    """The check before sending where several programs could trade one account.

    It is called on the trading path and must answer without waiting.
    """

    def may_send(self) -> bool:
        """Return whether a new order, a modification or a cancel may leave over the present connection."""

    def may_connect(self) -> bool:
        """Return whether a connection to TWS may be opened."""

    def why_not(self) -> IbdeskError:
        """Return the error to report and to end with when sending is not allowed."""


class NoFence:
    """A fence that always allows: there is no other program."""

    def may_send(self) -> bool:
        """Return True."""
        return True

    def may_connect(self) -> bool:
        """Return True."""
        return True

    def why_not(self) -> IbdeskError:
        """Return an error that is never reported."""
        return IbdeskError("nothing stands in the way")
