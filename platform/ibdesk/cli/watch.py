"""A calm look at a running desk: a small table that stays in place, or plain lines on a pipe."""

from __future__ import annotations

import asyncio
import time

import polars as pl
from rich.live import Live

from ibdesk.cli.news import warnings
from ibdesk.cli.screen import console
from ibdesk.cli.tables import live_line, live_view
from ibdesk.desk import DeskHandle, DeskHealth, LatencySummary

_TABLE_SECONDS = 0.5
_LINE_SECONDS = 10.0


async def watch(desk: DeskHandle) -> None:
    """Show how the desk is doing, and print every warning it gives, until cancelled.

    Raises:
        DeskError: If the desk fails.
    """
    began = time.monotonic()
    reader, _ = desk.feed.subscribe(lambda: None)
    pause = _TABLE_SECONDS if console.is_terminal else _LINE_SECONDS
    try:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            while True:
                await asyncio.sleep(pause)
                for text in warnings(reader.drain()[0]):
                    console.print(text, soft_wrap=True)
                health, positions, latency = await _asked(desk)
                seconds = time.monotonic() - began
                if console.is_terminal:
                    live.update(live_view(health, positions, latency, seconds=seconds), refresh=True)
                else:
                    console.print(live_line(health, positions, latency, seconds=seconds), soft_wrap=True)
    finally:
        desk.feed.unsubscribe(reader)


async def _asked(desk: DeskHandle) -> tuple[DeskHealth, pl.DataFrame, LatencySummary]:
    return await desk.aio.health(), await desk.aio.positions(), await desk.aio.latency()
