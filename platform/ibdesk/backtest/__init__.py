"""Backtests: the live engine and the simulated exchange driven over past bars."""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING, Any

from ibdesk.lazy import at_first_use

if TYPE_CHECKING:
    from ibdesk.backtest.blame import blaming
    from ibdesk.backtest.result import Result
    from ibdesk.backtest.run import backtest
    from ibdesk.backtest.stats import Stats
    from ibdesk.errors import LookAheadError

__all__ = [
    "LookAheadError",
    "Result",
    "Stats",
    "backtest",
    "blaming",
]


class _Room(types.ModuleType):
    """This package, which is called like the function it is named after.

    The import system binds the name `ibdesk.backtest` to the package, also where someone wants the function
    of ``from ibdesk import backtest``; so the package can be called, too.
    """

    def __call__(self, *args: Any, **settings: Any) -> Result:
        from ibdesk.backtest.run import backtest

        return backtest(*args, **settings)


sys.modules[__name__].__class__ = _Room

__getattr__, __dir__ = at_first_use(__name__, __file__)
