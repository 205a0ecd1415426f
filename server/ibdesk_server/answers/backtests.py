"""Answers about backtests: request, state and result."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ibdesk_server.answers.base import ApiAnswer, Exact, Figure, Moment


class BacktestFigures(ApiAnswer):
    """The statistics of a backtest; a fraction of 0.05 is 5 %, null cannot be computed."""

    started_at: Moment = Field(description="of the first bar")
    ended_at: Moment = Field(description="of the last bar")
    bars: int = Field(examples=[13_400])
    days: int = Field(description="trading dates with bars", examples=[13_400])
    start_equity: Figure = Field(examples=[100_000])
    end_equity: Figure = Field(examples=[131_250])
    profit: Figure = Field(examples=[31_250])
    total_return: Figure = Field(examples=[0.3125])
    annual_return: Figure = Field(examples=[0.0208])
    annual_volatility: Figure = Field(examples=[0.091])
    sharpe: Figure = Field(examples=[0.27])
    sortino: Figure = Field(examples=[0.35])
    daily_volatility: Figure = Field(description="of the returns from one trading date to the next", examples=[0.091])
    daily_sharpe: Figure = Field(description="of the same returns", examples=[0.27])
    daily_sortino: Figure = Field(description="of the same returns", examples=[0.35])
    max_drawdown: Figure = Field(description="zero or negative", examples=[-0.148])
    max_drawdown_time: Figure = Field(
        description="longest time between two highs of the equity, in seconds", examples=[86_400_000]
    )
    calmar: Figure = Field(examples=[0.14])
    exposure_time: Figure = Field(description="fraction of the bars with an open position", examples=[0.61])
    trades: int = Field(description="closed round trips", examples=[148])
    win_rate: Figure = Field(examples=[0.39])
    profit_factor: Figure = Field(examples=[1.4])
    average_trade: Figure = Field(examples=[211.1])
    best_trade: Figure = Field(examples=[8_120])
    worst_trade: Figure = Field(examples=[-2_310])
    orders: int = Field(examples=[297])
    fills: int = Field(examples=[297])
    commission: Figure = Field(examples=[297])
    slippage: Figure = Field(examples=[297])
    slippage_cut: Figure = Field(
        description="slippage that was not charged because prices ended at their bar's high or low", examples=[3]
    )
    fills_cut: int = Field(description="in this many fills", examples=[4])
    denied: int = Field(description="orders and order changes that a risk rule denied", examples=[0])
    halted_at: Moment | None = Field(
        description="when a risk rule halted trading, for the rest of the backtest", examples=[None]
    )


class BacktestResultAnswer(ApiAnswer):
    """The result of a finished backtest."""

    class_name: str = Field(examples=["EmaCross"])
    sha256: str = Field(
        description="of the strategy file's bytes",
        examples=["5f1d9a4c0f1c7c0b3f0d0e6a1b4f7e0c9b8a7d6e5f4c3b2a1908f7e6d5c4b3a2"],
    )
    parameters: dict[str, Any] = Field(examples=[{"fast": 12, "slow": 26, "size": 100}])
    symbols: list[str] = Field(examples=[["AAPL", "MSFT"]])
    stats: BacktestFigures
    warnings: list[str] = Field(description="denied orders, and doubts about the bars", examples=[[]])


class BacktestAnswer(ApiAnswer):
    """A backtest and its present state."""

    id: str = Field(examples=["mf1v2k3x9q8w7e6r"])
    state: str = Field(description="queued, running, done, failed or cancelled", examples=["done"])
    progress: Exact = Field(description="fraction of its bars that are processed", ge=0, le=1, examples=[1])
    request: dict[str, Any] = Field(
        description="the request", examples=[{"file": "ema_cross.py", "bars": {"source": "sample"}}]
    )
    by: str = Field(description="caller who started it", examples=["ann"])
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
    error: str = Field(description="why it failed", examples=[""])
    result: BacktestResultAnswer | None = Field(description="null until state is done")


class BacktestTradeAnswer(ApiAnswer):
    """A round trip of a backtest: a position from opening to closing."""

    symbol: str = Field(examples=["AAPL"])
    side: str = Field(description="long or short", examples=["long"])
    quantity: Exact = Field(examples=[100])
    opened_at: Moment
    closed_at: Moment
    entry_price: Figure = Field(examples=[187.42])
    exit_price: Figure = Field(examples=[188.42])
    gross_pnl: Figure = Field(examples=[100])
    commission: Figure = Field(examples=[2])
    pnl: Figure = Field(description="after commission", examples=[98])
    return_: Figure = Field(alias="return", description="`pnl` over the entry's value", examples=[0.00523])
    fills: int = Field(examples=[2])
