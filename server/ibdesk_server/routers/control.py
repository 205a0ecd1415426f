"""What a person may order: halt, resume, cancel."""

from __future__ import annotations

from typing import Annotated

from fastapi import HTTPException, Path
from pydantic import BaseModel, ConfigDict, Field

from ibdesk_server.dependencies import TheDesk, api_router
from ibdesk_server.security.principal import Role

router = api_router("control", role=Role.TRADER)


class Reason(BaseModel):
    """Why; it goes on the record."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    reason: str = Field(min_length=1, max_length=500, examples=["the spread of AAPL looks wrong"])


@router.post("/halt", status_code=204, summary="Let no order out that does not reduce a position")
async def halt(request: Reason, desk: TheDesk) -> None:
    """Halt trading until somebody resumes it; strategies go on, and what they order is denied."""
    await desk.aio.halt(request.reason)


@router.post("/resume", status_code=204, summary="Lift a halt")
async def resume(request: Reason, desk: TheDesk) -> None:
    """Let strategies trade again."""
    await desk.aio.resume(request.reason)


@router.delete("/orders/{order_id}", status_code=202, summary="Cancel an order")
async def cancel(order_id: Annotated[str, Path(min_length=1, max_length=200)], desk: TheDesk) -> None:
    """Ask the venue to cancel what is left of an order; the feed and the list of orders tell whether it did."""
    orders = await desk.aio.orders()
    if order_id not in orders["id"]:
        raise HTTPException(404, f"there is no order {order_id!r}: /api/v1/orders lists them")
    await desk.aio.cancel(order_id)
