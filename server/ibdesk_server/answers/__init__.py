"""The answers of the REST routes, as OpenAPI describes them and the Python clients return them.

Times are ISO 8601 with a zone; an unknown number is null.
"""

from ibdesk_server.answers.backtests import (
    BacktestAnswer,
    BacktestFigures,
    BacktestResultAnswer,
    BacktestTradeAnswer,
)
from ibdesk_server.answers.base import ApiAnswer, Figure, Item, Listing, Moment, finite_plain, items_of
from ibdesk_server.answers.book import (
    AccountAnswer,
    CancelAllAnswer,
    DifferenceAnswer,
    FillAnswer,
    FlattenAnswer,
    OrderAnswer,
    PositionAnswer,
    ReconciliationAnswer,
    RoundTripAnswer,
)
from ibdesk_server.answers.desk import (
    ControlAnswer,
    ExposureAnswer,
    HaltAnswer,
    InstrumentAnswer,
    JournalAnswer,
    JournalInfoAnswer,
    JournalRowAnswer,
    MatchAnswer,
    RiskAnswer,
    SettingAnswer,
    StopAnswer,
)
from ibdesk_server.answers.feed import FeedClientAnswer
from ibdesk_server.answers.market import BarAnswer, QuoteAnswer, bar_of, quote_of
from ibdesk_server.answers.strategies import (
    LaneAnswer,
    LogLineAnswer,
    RunAnswer,
    RunLogAnswer,
    RunStateAnswer,
    StrategyAnswer,
)

__all__ = [
    "AccountAnswer",
    "ApiAnswer",
    "BacktestAnswer",
    "BacktestFigures",
    "BacktestResultAnswer",
    "BacktestTradeAnswer",
    "BarAnswer",
    "CancelAllAnswer",
    "ControlAnswer",
    "DifferenceAnswer",
    "ExposureAnswer",
    "FeedClientAnswer",
    "Figure",
    "FillAnswer",
    "FlattenAnswer",
    "HaltAnswer",
    "InstrumentAnswer",
    "Item",
    "JournalAnswer",
    "JournalInfoAnswer",
    "JournalRowAnswer",
    "LaneAnswer",
    "Listing",
    "LogLineAnswer",
    "MatchAnswer",
    "Moment",
    "OrderAnswer",
    "PositionAnswer",
    "QuoteAnswer",
    "ReconciliationAnswer",
    "RiskAnswer",
    "RoundTripAnswer",
    "RunAnswer",
    "RunLogAnswer",
    "RunStateAnswer",
    "SettingAnswer",
    "StopAnswer",
    "StrategyAnswer",
    "bar_of",
    "finite_plain",
    "items_of",
    "quote_of",
]
