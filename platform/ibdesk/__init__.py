"""ibdesk: research, simulation, paper and live trading on Interactive Brokers with the same strategy file.

The names here are the public ones. They are imported lazily, so that `import ibdesk` and `ibdesk --help` are fast
and import no server, browser or notebook.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ibdesk.lazy import at_first_use

if TYPE_CHECKING:
    from pydantic import Field

    from ibdesk.backtest import Result, backtest
    from ibdesk.data import Bars, read_bars, sample_daily_bars
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
        WhenClosed,
    )
    from ibdesk.strategy import Strategy, load_strategy

__version__ = "0.1.0"

__all__ = [
    "Bar",
    "Bars",
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
    "WhenClosed",
    "backtest",
    "ema",
    "load_strategy",
    "read_bars",
    "sample_daily_bars",
]

__getattr__, __dir__ = at_first_use(__name__, __file__)
