"""The connection to TWS, as one state."""

from __future__ import annotations

import enum


class Link(enum.Enum):
    """How the connection to TWS is doing."""

    # DOWN: no socket yet, or not any more.
    DOWN = "down"
    # SYNCING: the socket is open; what happened meanwhile is being pulled and compared.
    SYNCING = "syncing"
    # UP: book and venue agree; orders may leave.
    UP = "up"
    # CLOSED: the service has ended and will not come back.
    CLOSED = "closed"
