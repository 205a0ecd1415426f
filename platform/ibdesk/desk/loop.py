"""Which event loop ibdesk's programs run on, and what must not hold it up."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes a loop, for `asyncio.Runner`: uvloop's where it is installed, with half the latency."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def spare_from_collection() -> None:
    """Have Python's garbage collector never look again at what is alive now.

    For a process of ours, once it has imported what it needs: a full collection, which comes at any moment and stops
    every thread, takes 120 ms with the libraries of a web server, and next to nothing without.
    """
    gc.collect()
    gc.freeze()
