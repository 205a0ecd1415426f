"""The desk in a notebook: a pane that stays live while other cells run."""

from ibdesk.notebook.pane import LivePane, live

__all__ = ["LivePane", "live"]
