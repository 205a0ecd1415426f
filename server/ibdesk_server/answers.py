"""What the REST routes answer with, as the OpenAPI page describes it.

Times are ISO 8601 with a zone; a figure that is not known is null.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import Annotated, Any, Generic, TypeVar

import polars as pl
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Item = TypeVar("Item", bound=BaseModel)


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


Figure = Annotated[float | None, BeforeValidator(_known)]
"""A number, null when it is not known: JSON has no NaN."""


class Answer(BaseModel):
    """The base of all answers; reads plain attributes as well as rows."""

    model_config = ConfigDict(from_attributes=True)


class Listing(Answer, Generic[Item]):
    """Some items of a list; `total` counts those that fit the filter, of which the newest are here."""

    items: list[Item]
    total: int = Field(examples=[1])


class PositionAnswer(Answer):
    """What one strategy holds in one instrument."""

    owner: str = Field(description="the run it belongs to, empty for what was opened elsewhere")
    symbol: str = Field(examples=["AAPL"])
    quantity: float = Field(description="negative is short", examples=[100])
    average_price: Figure
    last_price: Figure
    unrealized_pnl: Figure
    realized_pnl: Figure
    commission: Figure


class OrderAnswer(Answer):
    """An order and where it is in its life."""

    id: str
    owner: str
    symbol: str = Field(examples=["AAPL"])
    side: str = Field(examples=["buy"])
    quantity: float = Field(examples=[100])
    filled: float = Field(examples=[0])
    type: str = Field(examples=["limit"])
    limit_price: Figure
    stop_price: Figure
    time_in_force: str = Field(examples=["day"])
    status: str = Field(examples=["working"])
    average_price: Figure
    reason: str = Field(description="why it was denied, rejected or cancelled")
    created_at: dt.datetime | None
    updated_at: dt.datetime | None


class FillAnswer(Answer):
    """One execution of an order."""

    execution_id: str
    order_id: str
    owner: str
    symbol: str = Field(examples=["AAPL"])
    side: str = Field(examples=["buy"])
    quantity: float
    price: float
    commission: Figure = Field(description="null until the venue has said")
    filled_at: dt.datetime


class AccountAnswer(Answer):
    """The account's own figures, in its currency."""

    id: str = Field(examples=["DU1234567"])
    currency: str = Field(examples=["USD"])
    net_liquidation: Figure
    cash: Figure
    buying_power: Figure
    available_funds: Figure
    realized_pnl: Figure
    unrealized_pnl: Figure
    updated_at: dt.datetime | None


class QuoteAnswer(Answer):
    """The best bid and ask of one instrument."""

    symbol: str = Field(examples=["AAPL"])
    at: dt.datetime | None
    bid: Figure
    ask: Figure
    bid_size: Figure
    ask_size: Figure


class BarAnswer(Answer):
    """What traded in an interval that begins at `opened_at`."""

    symbol: str = Field(examples=["AAPL"])
    opened_at: dt.datetime
    open: Figure
    high: Figure
    low: Figure
    close: Figure
    volume: Figure


class StrategyAnswer(Answer):
    """A strategy file: what it defines, or in `error` why it cannot be used."""

    file: str = Field(examples=["ema_cross.py"])
    class_name: str = Field(examples=["EmaCross"])
    description: str
    sha256: str = Field(description="of the file's bytes")
    parameters: dict[str, Any] = Field(description="JSON schema of the parameters")
    error: str | None


class RunAnswer(Answer):
    """A strategy that runs or has run."""

    run_id: str
    class_name: str = Field(examples=["EmaCross"])
    sha256: str
    parameters: dict[str, Any]
    symbols: list[str] = Field(examples=[["AAPL", "MSFT"]])
    bar: str = Field(examples=["5 secs"])
    state: str = Field(description="running, stopped, failed or orphaned", examples=["running"])
    started_at: dt.datetime
    note: str


def listing(frame: pl.DataFrame, item: type[Item], limit: int, **equal: str | None) -> Listing[Item]:
    """Return the last `limit` rows of a frame among those that have the values given by column."""
    wanted = {name: value for name, value in equal.items() if value is not None}
    chosen = frame.filter(**wanted) if wanted else frame
    rows = chosen.tail(limit).to_dicts()
    return Listing[item](items=[item.model_validate(row) for row in rows], total=chosen.height)  # type: ignore[valid-type]
