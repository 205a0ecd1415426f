"""Prices: the best bid and ask, the bars being traded on, and history."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query, Response

from ibdesk_server.answers import BarAnswer, Listing, QuoteAnswer, items_of
from ibdesk_server.dependencies import TheCache, TheDesk, api_router
from ibdesk_server.freshness import MaxAge, fresh_enough
from ibdesk_server.routers.filters import Symbol, narrowed

router = api_router("market")

Instrument = Annotated[str, Path(min_length=1, max_length=64, description="the instrument's id", examples=["AAPL"])]
Interval = Annotated[str, Query(max_length=20, description="length of a bar", examples=["5 secs"])]
LongInterval = Annotated[str, Query(max_length=20, description="length of a bar", examples=["1 day"])]
Count = Annotated[int, Query(ge=1, le=10_000, description="how many bars; the newest are kept", examples=[100])]


@router.get("/quotes", summary="The best bid and ask of everything watched")
async def quotes(
    desk: TheDesk, cache: TheCache, response: Response, symbol: Symbol = None, max_age: MaxAge = 0
) -> Listing[QuoteAnswer]:
    """Return the last quotes; `at` says when each was heard."""

    async def ask() -> Listing[QuoteAnswer]:
        found = narrowed(await desk.aio.quotes(), symbol=symbol)
        return Listing[QuoteAnswer](items=items_of(QuoteAnswer, found), total=found.height)

    key = f"answer:quotes:{symbol or ''}"
    return await fresh_enough(cache, key, Listing[QuoteAnswer], ask, max_age=max_age, response=response)


@router.get("/bars/{symbol}", summary="Bars of this session")
async def bars(
    desk: TheDesk,
    cache: TheCache,
    response: Response,
    symbol: Instrument,
    bar: Interval = "5 secs",
    count: Count = 500,
    max_age: MaxAge = 0,
) -> Listing[BarAnswer]:
    """Return the last closed bars of an instrument that a run watches, the newest last."""

    async def ask() -> Listing[BarAnswer]:
        found = await desk.aio.bars(symbol, bar=bar, count=count)
        return Listing[BarAnswer](items=items_of(BarAnswer, found), total=found.height)

    key = f"answer:bars:{symbol}:{bar}:{count}"
    return await fresh_enough(cache, key, Listing[BarAnswer], ask, max_age=max_age, response=response)


@router.get("/history/{symbol}", summary="Past bars, asked of TWS")
async def history(
    desk: TheDesk,
    cache: TheCache,
    response: Response,
    symbol: Instrument,
    bar: LongInterval = "1 day",
    count: Count = 300,
    max_age: MaxAge = 0,
) -> Listing[BarAnswer]:
    """Return bars from before now, the newest last. It takes as long as TWS takes, which lets only so many ask."""

    async def ask() -> Listing[BarAnswer]:
        found = await desk.aio.history(symbol, bar=bar, count=count)
        return Listing[BarAnswer](items=items_of(BarAnswer, found), total=found.height)

    key = f"answer:history:{symbol}:{bar}:{count}"
    return await fresh_enough(cache, key, Listing[BarAnswer], ask, max_age=max_age, response=response)
