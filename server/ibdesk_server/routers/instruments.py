"""Instruments: search them, and show one."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query

from ibdesk_server.answers import InstrumentAnswer, Listing, MatchAnswer
from ibdesk_server.dependencies import TheDesk, api_router

router = api_router("instruments")


@router.get("/instruments", summary="Search instruments")
async def search(
    desk: TheDesk,
    text: Annotated[str, Query(min_length=1, max_length=64, description="part of a symbol or name", examples=["AAPL"])],
) -> Listing[MatchAnswer]:
    """Search TWS for instruments by symbol or name; TWS accepts one new search a second."""
    found = [MatchAnswer.model_validate(match) for match in await desk.aio.search_instruments(text)]
    return Listing(items=found, total=len(found))


@router.get("/instruments/{symbol}", summary="Show an instrument")
async def instrument(
    symbol: Annotated[str, Path(min_length=1, max_length=64, description="the instrument's id", examples=["AAPL"])],
    desk: TheDesk,
) -> InstrumentAnswer:
    """Return the terms of an instrument from TWS: tick size, multiplier, hours."""
    return InstrumentAnswer.model_validate(await desk.aio.instrument(symbol))
