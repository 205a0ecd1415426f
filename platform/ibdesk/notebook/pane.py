"""A pane under a cell that shows a desk as it trades."""

from __future__ import annotations

import asyncio
from typing import Any

import panel as pn
from bokeh.models import LayoutDOM

from ibdesk.desk import Desk
from ibdesk.views.board import Board
from ibdesk.views.summary import FeedStatus


class LivePane:
    """Shows a desk's board and updates it from one task on the notebook's loop, until `stop`.

    The task runs between cells: a running cell freezes the pane but not the desk, which has its own thread. Each pane
    has one task, and tables are sent whole, as JupyterLab's channel requires.
    """

    def __init__(self, desk: Desk, *, height: int, updates_per_second: float) -> None:
        self._board = Board(replace_values=True, height=f"{height}px")
        self._feed = desk.feed
        self._reader, snapshot = desk.feed.subscribe(lambda: None)
        self._board.show_feed(FeedStatus.LIVE)
        self._board.apply(snapshot)
        self._pause_seconds = 1.0 / updates_per_second
        self._task = asyncio.get_running_loop().create_task(self._keep_fresh(), name="ibdesk-live-pane")

    def stop(self) -> None:
        """Stop updating; the pane keeps its last content."""
        self._task.cancel()
        self._feed.unsubscribe(self._reader)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        return self._board.view._repr_mimebundle_(include, exclude)  # type: ignore[no-untyped-call] # Panel's own

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(self._pause_seconds)
            update, overrun = self._reader.drain()
            if overrun:
                update = self._feed.snapshot()
            if update:
                self._board.apply(update)
                pn.io.push_notebook(self._board.view)


def live(desk: Desk, *, height: int = 720, updates_per_second: float = 2.0) -> LivePane:
    """Return a live pane of a desk; make it the last value of a cell.

    Raises:
        RuntimeError: If it is called outside a notebook's event loop.
    """
    _prepare()
    return LivePane(desk, height=height, updates_per_second=updates_per_second)


def chart(layout: LayoutDOM) -> pn.pane.Bokeh:
    """Return a Bokeh plot in a form that JupyterLab shows offline and without an extension."""
    _prepare()
    return pn.pane.Bokeh(layout, sizing_mode="stretch_width")  # type: ignore[no-untyped-call] # Panel's own


def _prepare() -> None:
    """Configure Panel to embed its scripts in the page, so that it works offline."""
    pn.extension("tabulator", inline=True)
