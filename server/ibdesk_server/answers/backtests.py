"""Backtests: what was asked for, where it stands, what came of it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ibdesk_server.answers.base import ApiAnswer, Exact, Figure, Moment


class BacktestFigures(ApiAnswer):
    """What a backtest came to; fractions are of one (0.05 is 5 %), null is what cannot be computed."""

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
    max_drawdown_time: Figure = Field(description="seconds between two highs of the equity", examples=[86_400_000])
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
        description="what slippage would have cost more had prices not ended at their bar's high and low", examples=[3]
    )
    fills_cut: int = Field(description="in how many fills", examples=[4])
    denied: int = Field(description="orders, and changes of orders, that a risk rule denied", examples=[0])
    halted_at: Moment | None = Field(
        description="when a risk rule halted trading, which lasts to the end", examples=[None]
    )


class BacktestResultAnswer(ApiAnswer):
    """The outcome of a backtest that is done."""

    class_name: str = Field(examples=["EmaCross"])
    sha256: str = Field(
        description="of the strategy file's bytes",
        examples=["5f1d9a4c0f1c7c0b3f0d0e6a1b4f7e0c9b8a7d6e5f4c3b2a1908f7e6d5c4b3a2"],
    )
    parameters: dict[str, Any] = Field(examples=[{"fast": 12, "slow": 26, "size": 100}])
    symbols: list[str] = Field(examples=[["AAPL", "MSFT"]])
    stats: BacktestFigures
    warnings: list[str] = Field(description="what was denied, and what is doubtful about the bars", examples=[[]])


class BacktestAnswer(ApiAnswer):
    """A backtest as it stands."""

    id: str = Field(examples=["mf1v2k3x9q8w7e6r"])
    state: str = Field(description="queued, running, done, failed or cancelled", examples=["done"])
    progress: Exact = Field(description="the fraction of its bars that are done", ge=0, le=1, examples=[1])
    request: dict[str, Any] = Field(
        description="what was asked for", examples=[{"file": "ema_cross.py", "bars": {"source": "sample"}}]
    )
    by: str = Field(description="who asked for it", examples=["ann"])
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
    error: str = Field(description="why it failed", examples=[""])
    result: BacktestResultAnswer | None = Field(description="null until it is done")


class BacktestTradeAnswer(ApiAnswer):
    """A position that was opened and closed again in a backtest."""

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
