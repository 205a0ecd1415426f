"""Orders: list, place, change and cancel them."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import polars as pl
from fastapi import Header, HTTPException, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from ibdesk.desk import OrderInfo
from ibdesk.model import OrderStatus, moment, nanoseconds
from ibdesk.telemetry import correlation_id
from ibdesk_server.answers import CancelAllAnswer, Listing, OrderAnswer, items_of
from ibdesk_server.dependencies import Caller, TheDesk, TheIdempotencyStore, api_router, needs
from ibdesk_server.etags import require_unchanged
from ibdesk_server.idempotency import REPLAYED, IdempotencyKey
from ibdesk_server.paging import Pages
from ibdesk_server.routers.filters import Owner, Since, Symbol, Until, narrowed
from ibdesk_server.security.principal import Role

router = api_router("orders")

OrderId = Annotated[
    str, Path(min_length=1, max_length=200, description="the order's id", examples=["EmaCross-t4x7k2-1"])
]
_VERSION = pl.col("version").cast(pl.String)
Price = Annotated[float | None, Field(allow_inf_nan=False, strict=True)]


class PlaceRequest(BaseModel):
    """An order by hand: a market order unless a limit or stop price is given."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"examples": [{"symbol": "AAPL", "side": "buy", "quantity": 100, "limit": 187.4}]},
    )

    symbol: str = Field(min_length=1, max_length=64, description="the instrument's id", examples=["AAPL"])
    side: Literal["buy", "sell"] = Field(examples=["buy"])
    quantity: float = Field(
        gt=0, le=1e12, allow_inf_nan=False, strict=True, description="shares or contracts", examples=[100]
    )
    limit: Price = Field(None, description="limit price: fill only at this price or better", examples=[187.4])
    stop: Price = Field(
        None, description="stop price: active only once the market trades at this price or through it", examples=[None]
    )
    time_in_force: Literal["day", "gtc", "ioc"] = Field(
        "day", description="time in force: end of day, until cancelled, or immediate", examples=["day"]
    )
    outside_regular_hours: bool = Field(
        False, strict=True, description="may also trade outside the regular session; needs a limit or stop"
    )
    when_closed: Literal["usual", "deny", "hold", "send"] = Field(
        "usual",
        description="what to do while its market is closed: deny, hold until the open and check again, or send; usual "
        "holds a market order that opens a position and sends all others",
        examples=["usual"],
    )


class ModifyRequest(BaseModel):
    """New terms of an order; terms not given stay the same."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"limit": 187.35}]})

    quantity: float | None = Field(
        None,
        gt=0,
        le=1e12,
        allow_inf_nan=False,
        strict=True,
        description="total quantity, including the filled part",
        examples=[100],
    )
    limit: Price = Field(None, examples=[187.35])
    stop: Price = Field(None, examples=[None])


@router.get("/orders", summary="List orders")
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
        Query(description="minus means newest first; with `updated_at`, orders that change between pages move"),
    ] = "-created_at",
) -> Listing[OrderAnswer]:
    """Return the orders of this desk, including earlier journals; time filters apply to `created_at`."""
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
    return Listing(items=items_of(OrderAnswer, page.with_columns(_VERSION)), total=found.height, next=following)


@router.post("/orders", status_code=201, dependencies=[needs(Role.TRADER)], summary="Place an order")
async def place(
    request: PlaceRequest,
    response: Response,
    caller: Caller,
    desk: TheDesk,
    idempotency: TheIdempotencyStore,
    key: IdempotencyKey = None,
) -> OrderAnswer:
    """Place an order by hand. It passes the same risk gate as orders of strategies and belongs to the book `manual`.

    The answer is sent once the order's bytes are written to the socket. With an `Idempotency-Key`, which the desk's
    journal stores, repeated requests place one order. If a risk rule denies the order, the `facts` of the problem name
    the rule, its limit, and the figure that breaks it.
    """
    async with idempotency.once(OrderAnswer, asker=caller.name, operation="order", key=key, asked=request) as once:
        if once.answer is None:
            placed = await desk.aio.place(
                request.symbol,
                request.side,
                request.quantity,
                limit=request.limit,
                stop=request.stop,
                time_in_force=request.time_in_force,
                outside_regular_hours=request.outside_regular_hours,
                when_closed=request.when_closed,
                client_key=key or "",
                by=caller.name,
            )
            once.answer = _answer(placed)
            # The desk knows the keys of orders that were placed through other machines.
            if placed.correlation_id != correlation_id.get():
                response.headers.update(REPLAYED)
        else:
            response.headers.update(REPLAYED)
    response.headers["Location"] = f"/api/v1/orders/{once.answer.id}"
    response.headers["ETag"] = _tag(once.answer)
    return once.answer


@router.delete("/orders", status_code=202, dependencies=[needs(Role.TRADER)], summary="Cancel all open orders")
async def cancel_all(caller: Caller, desk: TheDesk, owner: Owner = None, symbol: Symbol = None) -> CancelAllAnswer:
    """Ask the venue to cancel every open order, or those of one owner or instrument."""
    count = await desk.aio.cancel_all(owner=owner or "", symbol=symbol or "", by=caller.name)
    return CancelAllAnswer(cancelling=count)


@router.get("/orders/{order_id}", summary="Show an order")
async def order(order_id: OrderId, desk: TheDesk, response: Response) -> OrderAnswer:
    """Return the order's present state; use its `ETag` as `If-Match` of a change."""
    found = await _order(desk, order_id)
    response.headers["ETag"] = _tag(found)
    return found


@router.patch("/orders/{order_id}", status_code=202, dependencies=[needs(Role.TRADER)], summary="Change an order")
async def modify(
    order_id: OrderId,
    change: ModifyRequest,
    request: Request,
    response: Response,
    caller: Caller,
    desk: TheDesk,
    if_match: Annotated[
        str | None,
        Header(
            max_length=500,
            description="the `ETag` of the order when you read it",
            examples=['"3"'],
        ),
    ] = None,
) -> OrderAnswer:
    """Ask the venue to change the terms of an open order, including a strategy's.

    The answer is the order's present state: its terms change only when the venue confirms. With `If-Match`, the request
    is refused (412) if the order has changed since you read it, for example by a fill or another caller's change.
    """
    seen = await _order(desk, order_id)
    require_unchanged(request, f'"{seen.version}"', what=f"order {order_id}")
    changed = await desk.aio.modify(
        order_id,
        quantity=change.quantity,
        limit=change.limit,
        stop=change.stop,
        # The order may change between this check and the command: the desk compares again.
        seen=None if if_match in {None, "*"} else int(seen.version),
        by=caller.name,
    )
    answer = _answer(changed)
    response.headers["ETag"] = _tag(answer)
    return answer


@router.delete("/orders/{order_id}", status_code=202, dependencies=[needs(Role.TRADER)], summary="Cancel an order")
async def cancel(order_id: OrderId, caller: Caller, desk: TheDesk) -> OrderAnswer:
    """Ask the venue to cancel what is left of an order; the feed and the order itself tell whether it did."""
    found = await _order(desk, order_id)
    await desk.aio.cancel(order_id, by=caller.name)
    return found


async def _order(desk: TheDesk, order_id: str) -> OrderAnswer:
    found = (await desk.aio.orders()).filter(pl.col("id") == order_id)
    if found.is_empty():
        raise HTTPException(404, f"there is no order {order_id!r}: /api/v1/orders lists them")
    return items_of(OrderAnswer, found.with_columns(_VERSION))[0]


def _answer(order: OrderInfo) -> OrderAnswer:
    times = {"created_at": moment(order.created_ns), "updated_at": moment(order.updated_ns)}
    since = None if order.pending_ns is None else moment(order.pending_ns)
    more = {"version": str(order.version), "pending_since": since}
    return OrderAnswer(**(msgspec.structs.asdict(order) | times | more))


def _tag(order: OrderAnswer) -> str:
    """Return the entity tag: `If-Match` compares its version alone, `If-None-Match` all of it."""
    updated_ns = 0 if order.updated_at is None else nanoseconds(order.updated_at)
    return f'"{order.version}-{updated_ns}{order.pending}"'
