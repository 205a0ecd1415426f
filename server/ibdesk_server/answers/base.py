"""The common parts of all answers: base model, numbers that may be unknown, times with a zone, pages."""

from __future__ import annotations

import datetime as dt
import math
from typing import Annotated, Any, Generic, TypeVar

import polars as pl
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ibdesk.display import without_noise

Item = TypeVar("Item", bound=BaseModel)


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _clean(value: Any) -> Any:
    return without_noise(value) if isinstance(value, float) else value


def _shown(value: Any) -> Any:
    return _known(_clean(value))


Exact = Annotated[float, BeforeValidator(_clean)]
"""A number that is always known, rounded to remove the noise of binary arithmetic."""

Figure = Annotated[float | None, BeforeValidator(_shown)]
"""A number rounded to remove the noise of binary arithmetic; null if unknown, because JSON has no NaN."""

Moment = Annotated[dt.datetime, Field(examples=["2026-03-02T15:30:05.123456Z"])]
"""An instant, ISO 8601 with a zone."""


def finite_plain(value: Any) -> Any:
    """Return plain data in which NaN and infinity, which JSON lacks, are null."""
    if isinstance(value, dict):
        return {str(name): finite_plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite_plain(item) for item in value]
    return _known(value)


class ApiAnswer(BaseModel):
    """The base of all answers; can be built from objects as well as rows."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class Listing(ApiAnswer, Generic[Item]):
    """A page of a list."""

    items: list[Item]
    total: int = Field(description="number of matching items on all pages", examples=[1])
    next: str | None = Field(None, description="the `cursor` of the next page; null on the last one", examples=[None])


def items_of(item: type[Item], frame: pl.DataFrame) -> list[Item]:
    """Convert the rows of a frame to answers."""
    return [item.model_validate(row) for row in frame.iter_rows(named=True)]
