"""The event loop of ibdesk's programs, and protection against pauses."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return a loop factory for `asyncio.Runner`: uvloop's if it is installed, which halves the latency."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def spare_from_collection() -> None:
    """Exclude all current objects from garbage collection.

    Call it in a process of ours after its imports: a full collection may come at any moment and stops every thread. It
    takes 120 ms with the libraries of a web server, and almost none without them.
    """
    gc.collect()
    gc.freeze()
