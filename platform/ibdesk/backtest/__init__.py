"""Backtests: the live engine and the simulated exchange run over past bars."""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable
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


class _CallablePackage(types.ModuleType):
    """This package, which can be called like the function of its name.

    The import system binds the name `ibdesk.backtest` to the package once one of its modules is imported, even if
    ``from ibdesk import backtest`` means the function. The package therefore forwards calls, and shows the function's
    signature and docstring to `help`, completion and notebooks.
    """

    def __call__(self, *args: Any, **settings: Any) -> Result:
        return _function()(*args, **settings)

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(_function())

    def __getattribute__(self, name: str) -> Any:
        # A property is not possible here: a class has its own `__doc__`.
        return _function().__doc__ if name == "__doc__" else super().__getattribute__(name)


def _function() -> Callable[..., Result]:
    from ibdesk.backtest.run import backtest

    return backtest


sys.modules[__name__].__class__ = _CallablePackage

__getattr__, __dir__ = at_first_use(__name__, __file__)
