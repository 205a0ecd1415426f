"""The desk in a notebook: charts, and a live pane that updates while other cells run."""

from ibdesk.notebook.pane import LivePane, chart, live

__all__ = ["LivePane", "chart", "live"]
