"""Which event loop ibdesk's programs run on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes a loop, for `asyncio.Runner`: uvloop's where it is installed, with half the latency."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
