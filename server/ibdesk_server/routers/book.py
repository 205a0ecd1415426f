"""What is held, ordered, filled and earned."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import Query

from ibdesk.model import OrderStatus, moment
from ibdesk_server.answers import AccountAnswer, FillAnswer, Listing, OrderAnswer, PositionAnswer, listing
from ibdesk_server.dependencies import TheDesk, api_router

router = api_router("book")

Limit = Annotated[int, Query(ge=1, le=10_000, description="how many at most; the newest are kept")]
Owner = Annotated[str | None, Query(description="only of this run")]
Symbol = Annotated[str | None, Query(description="only in this instrument", examples=["AAPL"])]


@router.get("/positions", summary="What is held, by strategy and instrument")
async def positions(
    desk: TheDesk, owner: Owner = None, symbol: Symbol = None, limit: Limit = 1_000
) -> Listing[PositionAnswer]:
    """Return the positions; those opened by hand or by other programs have an owner of their own."""
    return listing(await desk.aio.positions(), PositionAnswer, limit, owner=owner, symbol=symbol)


@router.get("/orders", summary="Orders of this session, open and closed")
async def orders(
    desk: TheDesk,
    owner: Owner = None,
    symbol: Symbol = None,
    status: Annotated[OrderStatus | None, Query(description="only in this state")] = None,
    limit: Limit = 1_000,
) -> Listing[OrderAnswer]:
    """Return the orders, the newest last."""
    wanted = None if status is None else status.value
    return listing(await desk.aio.orders(), OrderAnswer, limit, owner=owner, symbol=symbol, status=wanted)


@router.get("/fills", summary="Executions of our orders")
async def fills(desk: TheDesk, owner: Owner = None, symbol: Symbol = None, limit: Limit = 1_000) -> Listing[FillAnswer]:
    """Return the fills, the newest last."""
    return listing(await desk.aio.fills(), FillAnswer, limit, owner=owner, symbol=symbol)


@router.get("/round-trips", summary="Positions opened and closed again")
async def round_trips(desk: TheDesk, limit: Limit = 1_000) -> list[dict[str, Any]]:
    """Return the round trips, the newest last; the columns are those of a backtest's."""
    frame = await desk.aio.round_trips()
    return frame.tail(limit).fill_nan(None).to_dicts()


@router.get("/account", summary="The account's own figures")
async def account(desk: TheDesk) -> AccountAnswer:
    """Return the account as the venue last reported it."""
    found = await desk.aio.account()
    updated_at = moment(found.updated_ns) if found.updated_ns else None
    return AccountAnswer(**(msgspec.structs.asdict(found) | {"updated_at": updated_at}))
