"""The engine: sans-IO and deterministic; an event goes in, actions come out."""

from typing import TYPE_CHECKING

from ibdesk.lazy import at_first_use

if TYPE_CHECKING:
    from ibdesk.engine.bars import BarBuilder
    from ibdesk.engine.blotter import Blotter, mark_of
    from ibdesk.engine.engine import Engine
    from ibdesk.engine.features import TARGET, ColumnFeatures, FeatureSource, GrowingFeatures, evaluate
    from ibdesk.engine.loss_watch import LOSS_TIMER
    from ibdesk.engine.open_orders import OpenOrders
    from ibdesk.engine.order_flow import WITHDRAWN
    from ibdesk.engine.portfolio import EXTERNAL, MANUAL, Book, Portfolio
    from ibdesk.engine.risk import Exposure, RiskGate
    from ibdesk.engine.risk_limits import RiskLimits
    from ibdesk.engine.run import Run, RunState
    from ibdesk.engine.snapshot import halt_words, snapshot_of
    from ibdesk.engine.strategy_calls import may_be_interrupted

__all__ = [
    "EXTERNAL",
    "LOSS_TIMER",
    "MANUAL",
    "TARGET",
    "WITHDRAWN",
    "BarBuilder",
    "Blotter",
    "Book",
    "ColumnFeatures",
    "Engine",
    "Exposure",
    "FeatureSource",
    "GrowingFeatures",
    "OpenOrders",
    "Portfolio",
    "RiskGate",
    "RiskLimits",
    "Run",
    "RunState",
    "evaluate",
    "halt_words",
    "mark_of",
    "may_be_interrupted",
    "snapshot_of",
]

__getattr__, __dir__ = at_first_use(__name__, __file__)
