"""The book: positions, fills, round trips and the account."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import polars as pl
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from ibdesk.model import moment
from ibdesk_server.answers import (
    AccountAnswer,
    DifferenceAnswer,
    FillAnswer,
    FlattenAnswer,
    Listing,
    PositionAnswer,
    ReconciliationAnswer,
    RoundTripAnswer,
    items_of,
)
from ibdesk_server.dependencies import Caller, TheDesk, api_router, needs
from ibdesk_server.paging import Pages
from ibdesk_server.routers.filters import Owner, Since, Symbol, Until, narrowed
from ibdesk_server.security.principal import Role

router = api_router("book")


class FlattenRequest(BaseModel):
    """The part of the book `manual` to close."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"symbol": "AAPL"}]})

    symbol: str = Field("", max_length=64, description="one instrument; empty means all", examples=["AAPL"])


@router.get("/positions", summary="List positions")
async def positions(
    desk: TheDesk,
    pages: Pages,
    owner: Owner = None,
    symbol: Symbol = None,
    held: Annotated[bool, Query(description="leave out flat positions")] = False,
    sort: Annotated[
        Literal["symbol", "-symbol", "owner", "-owner"], Query(description="sort order; a minus means descending")
    ] = ("symbol"),
) -> Listing[PositionAnswer]:
    """Return the positions by owner and instrument; those opened by hand or by other programs have their own owner."""
    found = narrowed(await desk.aio.positions(), owner=owner, symbol=symbol)
    if held:
        found = found.filter(pl.col("quantity") != 0)
    page, following = pages.page(found, sort=sort, key=pl.concat_str("owner", "symbol", separator="/"))
    return Listing(items=items_of(PositionAnswer, page), total=found.height, next=following)


@router.post(
    "/positions/flatten",
    dependencies=[needs(Role.TRADER)],
    status_code=202,
    summary="Close positions opened by hand",
)
async def flatten(request: FlattenRequest, caller: Caller, desk: TheDesk) -> FlattenAnswer:
    """Cancel the open orders of the book `manual`, then close its positions at the market.

    To flatten a strategy, stop its run. To flatten everything, use `ibdesk stop --flatten`.
    """
    orders = await desk.aio.flatten(symbol=request.symbol, by=caller.name)
    return FlattenAnswer(orders=[order.id for order in orders])


@router.get("/fills", summary="List fills")
async def fills(
    desk: TheDesk,
    pages: Pages,
    owner: Owner = None,
    symbol: Symbol = None,
    order_id: Annotated[str | None, Query(max_length=200, description="only of this order")] = None,
    since: Since = None,
    until: Until = None,
    sort: Annotated[
        Literal["filled_at", "-filled_at"], Query(description="sort order; a minus means newest first")
    ] = "-filled_at",
) -> Listing[FillAnswer]:
    """Return the fills of this desk, including those of earlier journals."""
    found = narrowed(
        await desk.aio.fills(),
        time="filled_at",
        since=since,
        until=until,
        owner=owner,
        symbol=symbol,
        order_id=order_id,
    )
    page, following = pages.page(found, sort=sort, key=pl.col("execution_id"))
    return Listing(items=items_of(FillAnswer, page), total=found.height, next=following)


@router.get("/round-trips", summary="List round trips")
async def round_trips(
    desk: TheDesk,
    pages: Pages,
    owner: Owner = None,
    symbol: Symbol = None,
    since: Since = None,
    until: Until = None,
    sort: Annotated[
        Literal["closed_at", "-closed_at"], Query(description="sort order; a minus means newest first")
    ] = "-closed_at",
) -> Listing[RoundTripAnswer]:
    """Return the round trips and the profit of each, with the same columns as a backtest's."""
    found = narrowed(
        await desk.aio.round_trips(), time="closed_at", since=since, until=until, owner=owner, symbol=symbol
    )
    # Several trips may close at the same time; a number tells them apart.
    names = ("owner", "symbol", "opened_at", "closed_at")
    twin = pl.int_range(pl.len()).over(names)
    page, following = pages.page(found, sort=sort, key=pl.concat_str(*names, twin, separator="/"))
    return Listing(items=items_of(RoundTripAnswer, page), total=found.height, next=following)


@router.get("/reconciliation", summary="Show differences between books and account")
async def reconciliation(desk: TheDesk) -> ReconciliationAnswer:
    """Return the differences found by the last comparison: positions, orders, executions of all clients, and cash."""
    found, health = await desk.aio.reconciliation(), await desk.aio.health()
    return ReconciliationAnswer(
        compared_at=moment(health.compared_ns) if health.compared_ns else None,
        fault=health.comparison_fault,
        differences=items_of(DifferenceAnswer, found),
    )


@router.get("/account", summary="Show the account")
async def account(desk: TheDesk) -> AccountAnswer:
    """Return the account as the venue last reported it."""
    found = await desk.aio.account()
    updated_at = moment(found.updated_ns) if found.updated_ns else None
    return AccountAnswer(**(msgspec.structs.asdict(found) | {"updated_at": updated_at}))
