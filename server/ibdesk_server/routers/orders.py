"""Orders: those there are, and what a person may do about them."""

from __future__ import annotations

from typing import Annotated, Literal

import polars as pl
from fastapi import HTTPException, Path, Query

from ibdesk.model import OrderStatus
from ibdesk_server.answers import Listing, OrderAnswer, items_of
from ibdesk_server.dependencies import TheDesk, api_router, needs
from ibdesk_server.paging import Pages
from ibdesk_server.routers.filters import Owner, Since, Symbol, Until, narrowed
from ibdesk_server.security.principal import Role

router = api_router("orders")

OrderId = Annotated[
    str, Path(min_length=1, max_length=200, description="the order's own id", examples=["EmaCross-t4x7k2-1"])
]


@router.get("/orders", summary="Orders, open and closed")
async def orders(
    desk: TheDesk,
    pages: Pages,
    owner: Owner = None,
    symbol: Symbol = None,
    status: Annotated[
        OrderStatus | None, Query(description="only in this state", examples=[OrderStatus.WORKING.value])
    ] = None,
    since: Since = None,
    until: Until = None,
    sort: Annotated[
        Literal["created_at", "-created_at", "updated_at", "-updated_at"],
        Query(description="minus for the newest first; orders that change while pages are read move by `updated_at`"),
    ] = "-created_at",
) -> Listing[OrderAnswer]:
    """Return the orders of this desk, also those that an earlier life of it left; a span is that of `created_at`."""
    found = narrowed(
        await desk.aio.orders(),
        time="created_at",
        since=since,
        until=until,
        owner=owner,
        symbol=symbol,
        status=None if status is None else status.value,
    )
    page, following = pages.page(found, sort=sort, key=pl.col("id"))
    return Listing(items=items_of(OrderAnswer, page), total=found.height, next=following)


@router.get("/orders/{order_id}", summary="One order")
async def order(order_id: OrderId, desk: TheDesk) -> OrderAnswer:
    """Return the order as it stands."""
    return await _order(desk, order_id)


@router.delete("/orders/{order_id}", dependencies=[needs(Role.TRADER)], status_code=202, summary="Cancel an order")
async def cancel(order_id: OrderId, desk: TheDesk) -> OrderAnswer:
    """Ask the venue to cancel what is left of an order; the feed and the order itself tell whether it did."""
    found = await _order(desk, order_id)
    await desk.aio.cancel(order_id)
    return found


@router.delete("/orders", dependencies=[needs(Role.TRADER)], status_code=202, summary="Cancel all open orders")
async def cancel_all(desk: TheDesk) -> None:
    """Ask the venue to cancel what is left of every open order of this desk."""
    await desk.aio.cancel_all()


async def _order(desk: TheDesk, order_id: str) -> OrderAnswer:
    found = (await desk.aio.orders()).filter(pl.col("id") == order_id)
    if found.is_empty():
        raise HTTPException(404, f"there is no order {order_id!r}: /api/v1/orders lists them")
    return OrderAnswer.model_validate(found.row(0, named=True))
