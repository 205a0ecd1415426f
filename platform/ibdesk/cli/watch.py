"""A calm look at a running desk: a small table that stays in place, or plain lines on a pipe."""

from __future__ import annotations

import asyncio
import time

from rich.live import Live

from ibdesk.cli.screen import console
from ibdesk.cli.tables import live_line, live_view
from ibdesk.desk import Desk

_TABLE_SECONDS = 0.5
_LINE_SECONDS = 10.0


async def watch(desk: Desk) -> None:
    """Show how the desk is doing until cancelled.

    Raises:
        DeskError: If the desk fails.
    """
    began = time.monotonic()
    if not console.is_terminal:
        while True:
            await asyncio.sleep(_LINE_SECONDS)
            health, positions, latency = await _asked(desk)
            console.print(live_line(health, positions, latency, seconds=time.monotonic() - began), soft_wrap=True)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            health, positions, latency = await _asked(desk)
            live.update(live_view(health, positions, latency, seconds=time.monotonic() - began), refresh=True)
            await asyncio.sleep(_TABLE_SECONDS)
