"""A piece of HTML that changes while people look at it."""

from __future__ import annotations

import panel as pn
from bokeh.models import InlineStyleSheet
from bokeh.models.widgets import Div


class LiveText:
    """HTML in a Bokeh `Div`; `view` is the Panel component to show.

    Panel's own HTML pane sends its style sheets again with each change, as addresses of files at a CDN, which a
    notebook must not ask for.
    """

    def __init__(self, style: str) -> None:
        css = ".bk-clearfix { display: block !important; }" + style
        self._div = Div(text="", stylesheets=[InlineStyleSheet(css=css)], sizing_mode="stretch_width", margin=0)
        self.view = pn.pane.Bokeh(self._div, sizing_mode="stretch_width", margin=0)

    @property
    def text(self) -> str:
        """The HTML that is shown."""
        return str(self._div.text)

    def show(self, text: str) -> None:
        """Show `text`, which must be escaped HTML; the same text again sends nothing."""
        if text != self._div.text:
            self._div.text = text
