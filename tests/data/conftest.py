"""What the tests of bars share with those of backtests."""

from tests.backtest.conftest import make_bars

__all__ = ["make_bars"]
