"""Prices: quotes, live bars and history."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Annotated

import polars as pl
from fastapi import Path, Query, Response

from ibdesk.model import interval_ns
from ibdesk.store import KEPT_BARS, Cache, Cached
from ibdesk_server.answers import BarAnswer, Listing, QuoteAnswer, bar_of, items_of, quote_of
from ibdesk_server.dependencies import TheCache, TheDesk, TheMarket, api_router
from ibdesk_server.freshness import Knowledge, MaxAge, Remembered, Told, fresh_enough
from ibdesk_server.routers.filters import Symbol, narrowed

router = api_router("market")

Instrument = Annotated[str, Path(min_length=1, max_length=64, description="the instrument's id", examples=["AAPL"])]
Interval = Annotated[str, Query(max_length=20, description="length of a bar", examples=["5 secs"])]
LongInterval = Annotated[str, Query(max_length=20, description="length of a bar", examples=["1 day"])]
Count = Annotated[int, Query(ge=1, le=10_000, description="number of bars; the newest are returned", examples=[100])]


@router.get("/quotes", summary="List quotes")
async def quotes(
    desk: TheDesk,
    cache: TheCache,
    market: TheMarket,
    response: Response,
    symbol: Symbol = None,
    max_age: MaxAge = 0,
) -> Listing[QuoteAnswer]:
    """Return the last quotes of all subscribed instruments; `at` is the time of each."""

    async def ask() -> Listing[QuoteAnswer]:
        found = narrowed(await desk.aio.quotes(), symbol=symbol)
        return Listing[QuoteAnswer](items=items_of(QuoteAnswer, found), total=found.height)

    def told(quotes: Cached) -> Listing[QuoteAnswer]:
        items = [quote_of(row) for row in quotes.value if symbol is None or row["symbol"] == symbol]
        return Listing[QuoteAnswer](items=items, total=len(items))

    knowledge: Knowledge[QuoteAnswer] = Remembered(cache, f"quotes:{symbol or ''}", Listing[QuoteAnswer])
    if market is not None:
        knowledge = Told(lambda age: market.quotes(max_age_seconds=age), told)
    return await fresh_enough(knowledge, ask, max_age=max_age, response=response)


@router.get("/bars/{symbol}", summary="List the bars of this session")
async def bars(
    desk: TheDesk,
    cache: TheCache,
    market: TheMarket,
    response: Response,
    symbol: Instrument,
    bar: Interval = "5 secs",
    count: Count = 500,
    max_age: MaxAge = 0,
) -> Listing[BarAnswer]:
    """Return the last closed bars of an instrument that a run watches, newest last.

    While the desk cannot be reached, at most the newest 300 are available.
    """

    def told(bars: Cached) -> Listing[BarAnswer]:
        items = [bar_of(row) for row in bars.value[-count:]]
        return Listing[BarAnswer](items=items, total=len(items))

    knowledge = _remembered(cache, f"bars:{symbol}:{bar}:{count}")
    if market is not None:
        length_ns = interval_ns(bar)
        knowledge = Told(
            lambda age: market.bars(symbol, interval_ns=length_ns, max_age_seconds=age),
            told,
            is_whole=lambda bars: len(bars.value) < KEPT_BARS or count <= KEPT_BARS,
        )
    ask = functools.partial(_asked, functools.partial(desk.aio.bars, symbol, bar=bar, count=count))
    return await fresh_enough(knowledge, ask, max_age=max_age, response=response)


@router.get("/history/{symbol}", summary="Request past bars from TWS")
async def history(
    desk: TheDesk,
    cache: TheCache,
    response: Response,
    symbol: Instrument,
    bar: LongInterval = "1 day",
    count: Count = 300,
    max_age: MaxAge = 0,
) -> Listing[BarAnswer]:
    """Return past bars, newest last. The duration depends on TWS, which limits the rate of such requests."""
    knowledge = _remembered(cache, f"history:{symbol}:{bar}:{count}")
    ask = functools.partial(_asked, functools.partial(desk.aio.history, symbol, bar=bar, count=count))
    return await fresh_enough(knowledge, ask, max_age=max_age, response=response)


def _remembered(cache: Cache, key: str) -> Knowledge[BarAnswer]:
    return Remembered(cache, key, Listing[BarAnswer])


async def _asked(question: Callable[[], Awaitable[pl.DataFrame]]) -> Listing[BarAnswer]:
    """Return the bars of the desk's answer."""
    found = await question()
    return Listing[BarAnswer](items=items_of(BarAnswer, found), total=found.height)
