"""Filters of lists: owner, instrument, state and time."""

from __future__ import annotations

from typing import Annotated

import polars as pl
from fastapi import Query
from pydantic import AwareDatetime

Owner = Annotated[
    str | None,
    Query(max_length=200, description="only of this run; `external` for others", examples=["EmaCross-t4x7k2"]),
]
Symbol = Annotated[str | None, Query(max_length=64, description="only of this instrument", examples=["AAPL"])]
Since = Annotated[AwareDatetime | None, Query(description="at or after this time", examples=["2026-03-02T14:30:00Z"])]
Until = Annotated[AwareDatetime | None, Query(description="before this time", examples=["2026-03-02T21:00:00Z"])]


def narrowed(
    frame: pl.DataFrame, *, time: str = "", since: Since = None, until: Until = None, **equal: str | None
) -> pl.DataFrame:
    """Return the rows with the given values by column whose `time` lies in the span."""
    wanted = [pl.col(name) == value for name, value in equal.items() if value is not None]
    if since is not None:
        wanted.append(pl.col(time) >= since)
    if until is not None:
        wanted.append(pl.col(time) < until)
    return frame.filter(*wanted) if wanted else frame
