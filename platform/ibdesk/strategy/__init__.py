"""Strategies: the base class, its interface to the engine, and the loading of strategy files."""

from ibdesk.strategy.bars_needed import bars_needed
from ibdesk.strategy.base import Strategy, bind, rebound
from ibdesk.strategy.failures import as_strategy_error, error_words, plain_text
from ibdesk.strategy.loader import LoadedStrategy, load_source, load_strategy, make_strategy, strategy_of
from ibdesk.strategy.registry import StrategyRegistry
from ibdesk.strategy.trading import Trading

__all__ = [
    "LoadedStrategy",
    "Strategy",
    "StrategyRegistry",
    "Trading",
    "as_strategy_error",
    "bars_needed",
    "bind",
    "error_words",
    "load_source",
    "load_strategy",
    "make_strategy",
    "plain_text",
    "rebound",
    "strategy_of",
]
