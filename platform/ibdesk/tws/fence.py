"""Whether this program may trade its account now: asked right before the bytes of an order leave."""

from __future__ import annotations

from typing import Protocol

from ibdesk.errors import IbdeskError


class Fence(Protocol):
    """Stands between this program and TWS where several programs could trade one account.

    It is asked on the trading path: it answers from what it knows, without waiting for anything.
    """

    def may_send(self) -> bool:
        """Return whether a new order, a modification or a cancel may leave over the present connection."""

    def may_connect(self) -> bool:
        """Return whether a connection to TWS may be opened."""

    def why_not(self) -> IbdeskError:
        """Return what to tell, and to end with, when it may not send."""


class NoFence:
    """Lets everything through: there is no other program."""

    def may_send(self) -> bool:
        """Return True."""
        return True

    def may_connect(self) -> bool:
        """Return True."""
        return True

    def why_not(self) -> IbdeskError:
        """Return an error that is never told."""
        return IbdeskError("nothing stands in the way")
