"""Indicators: each one a Polars expression and an O(1) step that agree bit for bit."""

from ibdesk.indicators.ema import Ema, ema

__all__ = ["Ema", "ema"]
