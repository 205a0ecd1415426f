"""Strategies: the files that can be started, and the runs of them."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ibdesk_server.answers.base import Answer, Moment


class StrategyAnswer(Answer):
    """A strategy file: what it defines, or in `error` why it cannot be used."""

    file: str = Field(examples=["ema_cross.py"])
    class_name: str = Field(examples=["EmaCross"])
    description: str = Field(examples=["Hold `size` shares while the fast EMA of the close is above the slow one."])
    sha256: str = Field(
        description="of the file's bytes",
        examples=["5f1d9a4c0f1c7c0b3f0d0e6a1b4f7e0c9b8a7d6e5f4c3b2a1908f7e6d5c4b3a2"],
    )
    parameters: dict[str, Any] = Field(
        description="JSON schema of the parameters",
        examples=[{"type": "object", "properties": {"fast": {"type": "integer", "default": 12, "minimum": 1}}}],
    )
    error: str | None = Field(examples=[None])


class RunAnswer(Answer):
    """A strategy that runs or has run."""

    run_id: str = Field(examples=["EmaCross-t4x7k2"])
    class_name: str = Field(examples=["EmaCross"])
    sha256: str = Field(
        description="of the strategy file's bytes",
        examples=["5f1d9a4c0f1c7c0b3f0d0e6a1b4f7e0c9b8a7d6e5f4c3b2a1908f7e6d5c4b3a2"],
    )
    parameters: dict[str, Any] = Field(examples=[{"fast": 12, "slow": 26, "size": 100}])
    symbols: list[str] = Field(examples=[["AAPL", "MSFT"]])
    bar: str = Field(description="the interval of its bars", examples=["5 secs"])
    state: str = Field(description="running, stopped, failed or orphaned", examples=["running"])
    started_at: Moment
    note: str = Field(description="why it stopped or failed", examples=[""])
