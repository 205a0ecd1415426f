"""A status line while a command imports its libraries, which can take seconds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ibdesk.cli.interrupt import rearm
from ibdesk.cli.screen import console


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Show on a terminal that libraries are being imported inside the block; then restore Ctrl-C."""
    try:
        with console.status("loading ...") if console.is_terminal else contextlib.nullcontext():
            yield
    finally:
        rearm()
