"""The calls of the REST API about backtests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ibdesk_server.answers import BacktestAnswer, BacktestTradeAnswer, Listing
from ibdesk_server.client.call import API, ApiCall, ask, do, get, key_or_new


def start_backtest(
    file: str,
    *,
    bars: Mapping[str, Any] | None = None,
    parameters: Mapping[str, Any] | None = None,
    cash: float = 100_000,
    commission: str = "fixed",
    slippage_ticks: float = 1,
    limits: str = "desk",
    warm_up: int = 0,
    key: str | None = None,
) -> ApiCall[BacktestAnswer]:
    """Start a backtest and return its state.

    `bars` is ``{"source": "sample"}``, ``{"source": "file", "file": ...}`` or ``{"source": "history", "symbols":
    [...], "bar": ..., "count": ...}``; `limits` is ``desk`` or ``none``.
    """
    request = {
        "file": file,
        "bars": dict(bars or {"source": "sample"}),
        "parameters": dict(parameters or {}),
        "cash": cash,
        "commission": commission,
        "slippage_ticks": slippage_ticks,
        "limits": limits,
        "warm_up": warm_up,
    }
    return ask("POST", "backtests", BacktestAnswer, body=request, key=key_or_new(key))


def backtests(*, state: str | None = None, limit: int = 100) -> ApiCall[Listing[BacktestAnswer]]:
    """List the backtests, newest first."""
    return get("backtests", Listing[BacktestAnswer], state=state, limit=limit)


def backtest(backtest_id: str) -> ApiCall[BacktestAnswer]:
    """Return a backtest: state, progress and result."""
    return get(f"backtests/{quote(backtest_id, safe='')}", BacktestAnswer)


def backtest_trades(backtest_id: str, *, limit: int = 100) -> ApiCall[Listing[BacktestTradeAnswer]]:
    """List the round trips of a backtest, oldest first."""
    return get(f"backtests/{quote(backtest_id, safe='')}/trades", Listing[BacktestTradeAnswer], limit=limit)


def backtest_report(backtest_id: str) -> ApiCall[bytes]:
    """Return the report of a backtest as HTML."""
    return ApiCall(
        method="GET",
        path=f"{API}/backtests/{quote(backtest_id, safe='')}/report",
        read=bytes,
        headers={"Accept": "text/html"},
    )


def cancel_backtest(backtest_id: str) -> ApiCall[BacktestAnswer]:
    """Cancel a backtest."""
    return ask("POST", f"backtests/{quote(backtest_id, safe='')}/cancel", BacktestAnswer)


def delete_backtest(backtest_id: str) -> ApiCall[None]:
    """Delete a backtest."""
    return do("DELETE", f"backtests/{quote(backtest_id, safe='')}")
