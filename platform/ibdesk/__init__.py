"""ibdesk: research, simulation, paper and live trading on Interactive Brokers with one and the same strategy file.

The names here are the public ones. `Desk` and `backtest` are loaded at first use, so that importing ibdesk stays
light and pulls in no server, no browser and no notebook.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pydantic import Field

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

if TYPE_CHECKING:
    from ibdesk.backtest import Result, backtest, read_bars, sample_daily_bars
    from ibdesk.desk import Desk, DeskSettings
    from ibdesk.engine import RiskLimits

__version__ = "0.1.0"

_LAZY = {
    "Desk": "ibdesk.desk",
    "DeskSettings": "ibdesk.desk",
    "Result": "ibdesk.backtest",
    "RiskLimits": "ibdesk.engine",
    "backtest": "ibdesk.backtest",
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
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'ibdesk' has no attribute {name!r}")
