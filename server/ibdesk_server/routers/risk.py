"""Risk: whether trading is halted, and the word that halts or resumes it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from ibdesk_server.dependencies import Caller, TheDesk, api_router, needs
from ibdesk_server.security.principal import Role

router = api_router("risk")


class Reason(BaseModel):
    """Why; it goes on the record."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    reason: str = Field(min_length=1, max_length=500, examples=["the spread of AAPL looks wrong"])


@router.post(
    "/risk/halt",
    dependencies=[needs(Role.TRADER)],
    status_code=204,
    summary="Let no order out that does not reduce a position",
)
async def halt(request: Reason, caller: Caller, desk: TheDesk) -> None:
    """Halt trading until somebody resumes it; strategies go on, and what they order is denied."""
    await desk.aio.halt(request.reason, by=caller.name)


@router.post("/risk/resume", dependencies=[needs(Role.TRADER)], status_code=204, summary="Lift a halt")
async def resume(request: Reason, caller: Caller, desk: TheDesk) -> None:
    """Let strategies trade again."""
    await desk.aio.resume(request.reason, by=caller.name)
