"""What the REST routes answer with, as the OpenAPI page describes it and the Python clients return it.

Times are ISO 8601 with a zone; a figure that is not known is null.
"""

from ibdesk_server.answers.backtests import (
    BacktestAnswer,
    BacktestFigures,
    BacktestResultAnswer,
    BacktestTradeAnswer,
)
from ibdesk_server.answers.base import Answer, Figure, Item, Listing, Moment, items_of
from ibdesk_server.answers.book import (
    AccountAnswer,
    CancelAllAnswer,
    FillAnswer,
    OrderAnswer,
    PositionAnswer,
    RoundTripAnswer,
)
from ibdesk_server.answers.market import BarAnswer, QuoteAnswer
from ibdesk_server.answers.strategies import RunAnswer, StrategyAnswer

__all__ = [
    "AccountAnswer",
    "Answer",
    "BacktestAnswer",
    "BacktestFigures",
    "BacktestResultAnswer",
    "BacktestTradeAnswer",
    "BarAnswer",
    "CancelAllAnswer",
    "Figure",
    "FillAnswer",
    "Item",
    "Listing",
    "Moment",
    "OrderAnswer",
    "PositionAnswer",
    "QuoteAnswer",
    "RoundTripAnswer",
    "RunAnswer",
    "StrategyAnswer",
    "items_of",
]
