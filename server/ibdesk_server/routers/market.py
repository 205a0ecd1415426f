"""Prices: the best bid and ask, the bars being traded on, and history."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query

from ibdesk_server.answers import BarAnswer, Listing, QuoteAnswer, items_of
from ibdesk_server.dependencies import TheDesk, api_router
from ibdesk_server.routers.filters import narrowed

router = api_router("market")

Symbol = Annotated[str, Path(min_length=1, max_length=64, description="the instrument's id", examples=["AAPL"])]
Interval = Annotated[str, Query(max_length=20, description="length of a bar", examples=["5 secs"])]
Count = Annotated[int, Query(ge=1, le=10_000, description="how many bars; the newest are kept")]


@router.get("/quotes", summary="The best bid and ask of everything watched")
async def quotes(
    desk: TheDesk, symbol: Annotated[str | None, Query(description="only of this instrument")] = None
) -> Listing[QuoteAnswer]:
    """Return the last quotes; `at` says how old each is."""
    found = narrowed(await desk.aio.quotes(), symbol=symbol)
    return Listing(items=items_of(QuoteAnswer, found), total=found.height)


@router.get("/bars/{symbol}", summary="Bars of this session")
async def bars(desk: TheDesk, symbol: Symbol, bar: Interval = "5 secs", count: Count = 500) -> Listing[BarAnswer]:
    """Return the last closed bars of an instrument that a run watches, the newest last."""
    found = await desk.aio.bars(symbol, bar=bar, count=count)
    return Listing(items=items_of(BarAnswer, found), total=found.height)


@router.get("/history/{symbol}", summary="Past bars, asked of TWS")
async def history(desk: TheDesk, symbol: Symbol, bar: Interval = "1 day", count: Count = 300) -> Listing[BarAnswer]:
    """Return bars from before now, the newest last. It takes as long as TWS takes."""
    found = await desk.aio.history(symbol, bar=bar, count=count)
    return Listing(items=items_of(BarAnswer, found), total=found.height)
