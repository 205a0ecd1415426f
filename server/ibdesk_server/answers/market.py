"""Answers about the market: quotes and bars."""

from __future__ import annotations

from pydantic import Field

from ibdesk.model import moment
from ibdesk.store import Row
from ibdesk_server.answers.base import ApiAnswer, Figure, Moment


class QuoteAnswer(ApiAnswer):
    """The best bid and ask of one instrument."""

    symbol: str = Field(examples=["AAPL"])
    at: Moment | None = Field(description="time of the last quote; null before the first")
    bid: Figure = Field(examples=[188.09])
    ask: Figure = Field(examples=[188.11])
    bid_size: Figure = Field(examples=[300])
    ask_size: Figure = Field(examples=[200])


class BarAnswer(ApiAnswer):
    """The trades of an interval that begins at `opened_at`."""

    symbol: str = Field(examples=["AAPL"])
    opened_at: Moment
    open: Figure = Field(examples=[187.9])
    high: Figure = Field(examples=[188.3])
    low: Figure = Field(examples=[187.8])
    close: Figure = Field(examples=[188.1])
    volume: Figure = Field(examples=[1_200])


def quote_of(row: Row) -> QuoteAnswer:
    """Convert a quote of the feed to an answer."""
    return QuoteAnswer.model_validate(row | {"at": moment(row["at_ns"])})


def bar_of(row: Row) -> BarAnswer:
    """Convert a bar of the feed to an answer."""
    return BarAnswer.model_validate(row | {"opened_at": moment(row["opened_ns"])})
