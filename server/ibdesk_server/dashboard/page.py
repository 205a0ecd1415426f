"""One open page: a board, and the feed reader that updates it."""

from __future__ import annotations

import time
from collections.abc import Callable

import panel as pn
from bokeh.models import CustomJS

from ibdesk.backtest import palette
from ibdesk.model import moment
from ibdesk.views.board import Board
from ibdesk.views.live_text import LiveText
from ibdesk.views.summary import FeedStatus
from ibdesk_server.dashboard.access import Access
from ibdesk_server.dashboard.mirror import FeedMirror
from ibdesk_server.dashboard.stop_button import StopButton

TICK_MILLISECONDS = 250
# A table that the browser is still building loses updates sent meanwhile.
_TICKS_TO_DRAW = 4
STYLE = f"""
html, body {{ background: {palette.BACKGROUND}; margin: 0; height: 100%; }}
body.stale::before {{ content: "The dashboard does not answer: nothing on this page is current."; position: fixed;
  inset: 0 0 auto 0; z-index: 1000; padding: 8px 16px; font: 600 13px {palette.FONT};
  background: {palette.WARNING}; color: #1c1503; }}
"""
# A page without its server must look stale; it reloads when the server is back.
_WHEN_LOST = """
if (!document.body.classList.contains("stale")) {
  document.body.classList.add("stale");
  setInterval(() => fetch(location.href).then(() => location.reload(), () => undefined), 2000);
}
"""


# Stale figures have no color, so that none looks good or bad.
_OLD = {"filter": "grayscale(1)", "opacity": "0.45"}
_WARNING_STYLE = f"""
.stale {{ background: {palette.LOSS}; color: #1b0605; font: 600 15px {palette.FONT}; padding: 11px 16px; }}
"""
_WHY_OLD = {
    FeedStatus.AWAY: "The engine is away: no orders are sent, and open positions are unmanaged.",
    FeedStatus.RECONNECTING: "The web server does not answer.",
    FeedStatus.REFUSED: "The web server refuses the dashboard's key.",
}


def stale_banner(status: FeedStatus, since_ns: int, now_ns: int) -> str:
    """Return the HTML of the banner that says why figures are stale, and how old; empty while they are current."""
    if not since_ns:
        return ""
    seconds = max(now_ns - since_ns, 0) // 10**9
    age = f"{seconds} s" if seconds < 60 else f"{seconds // 60} min" if seconds < 7_200 else f"{seconds // 3_600} h"
    what = f"{_WHY_OLD[status]} The figures are from before {moment(since_ns):%H:%M:%S} UTC, {age} old."
    return f'<div class="stale">{what}</div>'


class Page:
    """The content of one browser tab; `view` is the Panel component with the board."""

    def __init__(self, mirror: FeedMirror, stop: StopButton, *, may_stay: Callable[[], bool] = lambda: True) -> None:
        self._mirror, self._stop, self._may_stay = mirror, stop, may_stay
        self._ended = False
        self._warning = LiveText(_WARNING_STYLE)
        self.view = pn.Column(sizing_mode="stretch_both", margin=0)
        self._draw()
        self._show_feed()
        self._rest = 0

    def tick(self) -> None:
        """Show the updates since the last tick; stop if the reader's login has ended."""
        if self._ended or not self._may_stay():
            self._end()
            return
        if self._rest:
            self._rest -= 1
            return
        update, lost = self._reader.drain()
        if lost or self._mirror.feed is not self._feed:
            self._start_over()
        elif update:
            self._board.apply(update)
        self._show_feed()

    def close(self) -> None:
        """Stop reading, after the tab was closed."""
        self._feed.unsubscribe(self._reader)

    def _show_feed(self) -> None:
        """Show the state of the feed; stale figures are gray, under a banner with the reason and their age."""
        status, since_ns = self._mirror.status, self._mirror.stale_since_ns
        self._board.show_feed(status)
        self._warning.show(stale_banner(status, since_ns, time.time_ns()))
        styles = _OLD if since_ns else {}
        if self._board.view.styles != styles:
            self._board.view.styles = styles

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self.view[:] = [pn.pane.HTML("<p class='ended'>This login has ended. Load the page again to log in.</p>")]

    def _start_over(self) -> None:
        """Draw a new board after the server lost its state; the chosen instrument stays selected."""
        chosen = self._board.chosen
        self.close()
        self._draw()
        self._board.choose(chosen)
        self._rest = _TICKS_TO_DRAW

    def _draw(self) -> None:
        self._feed = self._mirror.feed
        self._reader, snapshot = self._feed.subscribe(lambda: None)
        self._board = Board()
        self._board.apply(snapshot)
        self.view[:] = [self._warning.view, self._board.view, self._stop.view]


def open_page(mirror: FeedMirror, access: Access) -> pn.Column:
    """Return a new tab's content, which updates once its browser has drawn it."""
    cookie = pn.state.cookies.get(access.cookie, "")
    stop = StopButton(access.counter, lambda: access.reader(cookie))
    page = Page(mirror, stop, may_stay=lambda: access.reader(cookie) is not None)
    document = pn.state.curdoc
    if document is not None:
        document.js_on_event("connection_lost", CustomJS(code=_WHEN_LOST))

    def begin() -> None:
        pn.state.add_periodic_callback(page.tick, period=TICK_MILLISECONDS)

    pn.state.onload(begin)
    pn.state.on_session_destroyed(lambda _: page.close())
    return page.view
