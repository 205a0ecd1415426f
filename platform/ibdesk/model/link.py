"""The connection to TWS, as one state."""

from __future__ import annotations

import enum


class Link(enum.Enum):
    """The state of the connection to TWS."""

    DOWN = "down"
    """There is no socket, or it was closed."""
    SYNCING = "syncing"
    """The socket is open; missed events are being requested and compared."""
    UP = "up"
    """Books and venue agree; orders can leave."""
    CLOSED = "closed"
    """The service has ended and will not come back."""
