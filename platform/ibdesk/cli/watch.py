"""The view of a running desk: a table updated in place, or plain lines on a pipe."""

from __future__ import annotations

import asyncio
import time

import polars as pl
from rich.console import RenderableType
from rich.live import Live
from rich.text import Text

from ibdesk.cli.news import warnings
from ibdesk.cli.screen import console, span
from ibdesk.cli.tables import live_line, live_view
from ibdesk.desk import DeskHandle, DeskHealth, LatencySummary
from ibdesk.errors import DetachedError

_TABLE_SECONDS = 0.5
_LINE_SECONDS = 10.0


async def watch(desk: DeskHandle) -> None:
    """Show the state of the desk and print its warnings, until cancelled.

    While a desk of another process is away, the view says so.

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
                seconds = time.monotonic() - began
                try:
                    health, positions, latency = await _asked(desk)
                except DetachedError:
                    shown: RenderableType = Text(f"{span(seconds)}  THE ENGINE IS AWAY", style="bold red")
                else:
                    shown = live_view(health, positions, latency, seconds=seconds)
                    if not console.is_terminal:
                        shown = live_line(health, positions, latency, seconds=seconds)
                if console.is_terminal:
                    live.update(shown, refresh=True)
                else:
                    console.print(shown, soft_wrap=True)
    finally:
        desk.feed.unsubscribe(reader)


async def _asked(desk: DeskHandle) -> tuple[DeskHealth, pl.DataFrame, LatencySummary]:
    return await desk.aio.health(), await desk.aio.positions(), await desk.aio.latency()
