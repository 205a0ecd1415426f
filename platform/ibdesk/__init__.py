"""ibdesk: research, simulation, paper and live trading on Interactive Brokers with one and the same strategy file.

The names here are the public ones. Each is loaded at first use, so that importing ibdesk stays light, `ibdesk --help`
answers at once, and neither pulls in a server, a browser or a notebook.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import Field

    from ibdesk.backtest import Result, backtest, read_bars, sample_daily_bars
    from ibdesk.desk import Desk, DeskSettings
    from ibdesk.engine import RiskLimits
    from ibdesk.indicators import Ema, ema
    from ibdesk.model import (
        Bar,
        Fill,
        Forex,
        Future,
        Index,
        Option,
        Order,
        OrderStatus,
        Position,
        Quote,
        Severity,
        Side,
        Stock,
        TimeInForce,
    )
    from ibdesk.strategy import Strategy, load_strategy

__version__ = "0.1.0"

_HOMES = {
    "Bar": "ibdesk.model",
    "Desk": "ibdesk.desk",
    "DeskSettings": "ibdesk.desk",
    "Ema": "ibdesk.indicators",
    "Field": "pydantic",
    "Fill": "ibdesk.model",
    "Forex": "ibdesk.model",
    "Future": "ibdesk.model",
    "Index": "ibdesk.model",
    "Option": "ibdesk.model",
    "Order": "ibdesk.model",
    "OrderStatus": "ibdesk.model",
    "Position": "ibdesk.model",
    "Quote": "ibdesk.model",
    "Result": "ibdesk.backtest",
    "RiskLimits": "ibdesk.engine",
    "Severity": "ibdesk.model",
    "Side": "ibdesk.model",
    "Stock": "ibdesk.model",
    "Strategy": "ibdesk.strategy",
    "TimeInForce": "ibdesk.model",
    "backtest": "ibdesk.backtest",
    "ema": "ibdesk.indicators",
    "load_strategy": "ibdesk.strategy",
    "read_bars": "ibdesk.backtest",
    "sample_daily_bars": "ibdesk.backtest",
}

__all__ = [
    "Bar",
    "Desk",
    "DeskSettings",
    "Ema",
    "Field",
    "Fill",
    "Forex",
    "Future",
    "Index",
    "Option",
    "Order",
    "OrderStatus",
    "Position",
    "Quote",
    "Result",
    "RiskLimits",
    "Severity",
    "Side",
    "Stock",
    "Strategy",
    "TimeInForce",
    "backtest",
    "ema",
    "load_strategy",
    "read_bars",
    "sample_daily_bars",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'ibdesk' has no attribute {name!r}")
