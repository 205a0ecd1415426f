"""Answers about strategies: files and runs."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ibdesk_server.answers.base import ApiAnswer, Exact, Figure, Moment


class StrategyAnswer(ApiAnswer):
    """A strategy file: its contents, or in `error` why it cannot be used."""

    file: str = Field(examples=["ema_cross.py"])
    class_name: str = Field(examples=["EmaCross"])
    description: str = Field(examples=["Hold `size` shares while the fast EMA of the close is above the slow one."])
    sha256: str = Field(
        description="hash of the file",
        examples=["5f1d9a4c0f1c7c0b3f0d0e6a1b4f7e0c9b8a7d6e5f4c3b2a1908f7e6d5c4b3a2"],
    )
    parameters: dict[str, Any] = Field(
        description="JSON schema of the parameters",
        examples=[{"type": "object", "properties": {"fast": {"type": "integer", "default": 12, "minimum": 1}}}],
    )
    error: str | None = Field(examples=[None])


class RunAnswer(ApiAnswer):
    """One run of a strategy."""

    run_id: str = Field(examples=["EmaCross-t4x7k2"])
    class_name: str = Field(examples=["EmaCross"])
    sha256: str = Field(
        description="hash of the strategy file",
        examples=["5f1d9a4c0f1c7c0b3f0d0e6a1b4f7e0c9b8a7d6e5f4c3b2a1908f7e6d5c4b3a2"],
    )
    parameters: dict[str, Any] = Field(examples=[{"fast": 12, "slow": 26, "size": 100}])
    symbols: list[str] = Field(examples=[["AAPL", "MSFT"]])
    bar: str = Field(description="interval of its bars", examples=["5 secs"])
    state: str = Field(description="running, stopped, failed or orphaned", examples=["running"])
    started_at: Moment
    note: str = Field(description="why it stopped or failed", examples=[""])


class LaneAnswer(ApiAnswer):
    """A run on one instrument."""

    symbol: str = Field(examples=["AAPL"])
    quantity: Exact = Field(examples=[100])
    average_price: Figure = Field(examples=[187.42])
    exposure: Figure = Field(description="position once all open orders have filled", examples=[100])
    last_price: Figure = Field(description="price of the last trade; null if unknown", examples=[188.1])
    mark_price: Figure = Field(description="price of valuation: middle of the quote, or a trade", examples=[188.1])
    unrealized_pnl: Figure = Field(examples=[68])
    realized_pnl: Figure = Field(examples=[0])
    bar: dict[str, float | int | None] | None = Field(
        description="last bar it decided on; times are ns UTC", examples=[{"close": 188.1}]
    )
    features: dict[str, Figure] = Field(description="features at that bar", examples=[{"fast": 188, "slow": 187.2}])


class RunStateAnswer(ApiAnswer):
    """The inner state of a run: stored state, positions, last bars, features and orders."""

    run: RunAnswer
    kept: dict[str, Any] = Field(description="the strategy's `state`", examples=[{"bought": True}])
    cash: Figure = Field(examples=[-18_742])
    pnl: Figure = Field(description="at the last prices", examples=[68])
    orders_made: int = Field(examples=[1])
    lanes: list[LaneAnswer]
    open_orders: list[str] = Field(description="order ids", examples=[["EmaCross-t4x7k2-2"]])


class LogLineAnswer(ApiAnswer):
    """A log line of a run: its message, action or fault."""

    number: int = Field(description="number of its event in the journal", examples=[4_711])
    at: Moment
    severity: str = Field(description="info, warning or error", examples=["info"])
    text: str = Field(examples=["buy 100 AAPL"])


class RunLogAnswer(ApiAnswer):
    """Log lines of a run, oldest first."""

    items: list[LogLineAnswer]
    next: str | None = Field(description="the `cursor` of older lines; null if there are none", examples=[None])
