"""Risk: the limits of the gate, their use, halt and resume."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from ibdesk.desk import HaltInfo, RiskInfo
from ibdesk.engine.risk_controls import CONTROLS
from ibdesk.model import moment
from ibdesk_server.answers import ControlAnswer, ExposureAnswer, HaltAnswer, RiskAnswer
from ibdesk_server.dependencies import Caller, TheDesk, api_router, needs
from ibdesk_server.security.principal import Role

router = api_router("risk")


class Reason(BaseModel):
    """A reason, which is recorded."""

    model_config = ConfigDict(
        extra="forbid",
        str_strip_whitespace=True,
        json_schema_extra={"examples": [{"reason": "the spread of AAPL looks wrong"}]},
    )

    reason: str = Field(
        min_length=1,
        max_length=500,
        # Control characters would affect the terminal that shows the reason.
        pattern=r"^[^\x00-\x1f\x7f-\x9f]*$",
        examples=["the spread of AAPL looks wrong"],
    )


class HaltRequest(Reason):
    """The reason, scope and kind of a trading halt."""

    scope: str = Field(
        "desk",
        min_length=1,
        max_length=250,
        description="desk, run:<id> or instrument:<name>",
        examples=["instrument:AAPL"],
    )
    state: Literal["reducing", "halted"] = Field(
        "halted",
        description="what stays allowed: reducing and protective orders, or what risk.halt_keeps_protection says",
        examples=["halted"],
    )


class ResumeRequest(Reason):
    """The halt to lift, and the reason."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"id": "20261130-143000-3", "reason": "the spread was right"}]}
    )

    id: str = Field(min_length=1, max_length=100, examples=["20261130-143000-3"])


class LimitsRequest(BaseModel):
    """Limits to change, by name; null switches one off, the others stay the same."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"limits": {"max_position_shares": 60_000, "price_collar": 0.05}}]},
    )

    limits: dict[str, StrictBool | Annotated[float, Field(allow_inf_nan=False, strict=True)] | str | None] = Field(
        min_length=1, max_length=200, examples=[{"max_position_shares": 60_000}]
    )


class OutsideTrade(BaseModel):
    """A trade outside the desk, and the run whose position it closed; an empty `run_id` means all runs that hold it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"symbol": "AAPL"}]})

    symbol: str = Field(min_length=1, max_length=64, examples=["AAPL"])
    run_id: str = Field("", max_length=200, examples=["EmaCross-t4x7k2"])


@router.get("/risk", summary="Show limits, exposures and halts")
async def risk(
    desk: TheDesk,
    owner: Annotated[str | None, Query(max_length=200, description="only exposures of this run")] = None,
) -> RiskAnswer:
    """Return the limits of the risk gate and their use."""
    found = _answer(await desk.aio.risk())
    if owner is None:
        return found
    return found.model_copy(update={"exposures": [each for each in found.exposures if each.owner == owner]})


@router.get("/risk/controls", summary="List the risk controls, their sources and tests")
async def controls() -> list[ControlAnswer]:
    """Return the table of `docs/risk-controls.md`: controls of FIA, SEC and RTS 6, and what is not covered."""
    return [ControlAnswer(**msgspec.to_builtins(control)) for control in CONTROLS]


@router.patch("/risk/limits", dependencies=[needs(Role.ADMIN)], summary="Change limits")
async def change_limits(request: LimitsRequest, caller: Caller, desk: TheDesk) -> RiskAnswer:
    """Change limits of the risk gate at run time. They persist over restarts, until the settings change."""
    return _answer(await desk.aio.change_limits(dict(request.limits), by=caller.name))


@router.post(
    "/risk/halt",
    dependencies=[needs(Role.TRADER)],
    summary="Halt trading",
)
async def halt(request: HaltRequest, caller: Caller, desk: TheDesk) -> HaltAnswer:
    """Halt trading until this halt is lifted. Open orders that would open a position are cancelled, new ones denied."""
    return _halt(await desk.aio.halt(request.reason, scope=request.scope, state=request.state, by=caller.name))


@router.post("/risk/resume", dependencies=[needs(Role.TRADER)], status_code=204, summary="Lift a halt")
async def resume(request: ResumeRequest, caller: Caller, desk: TheDesk) -> None:
    """Lift the halt with this id. Strategies trade again once no halt is left."""
    await desk.aio.resume(request.reason, id=request.id, by=caller.name)


def _halt(found: HaltInfo) -> HaltAnswer:
    return HaltAnswer(
        id=found.id,
        reason=found.reason,
        by=found.by,
        at=moment(found.at_ns),
        scope=found.scope,
        state=found.state,
    )


@router.post(
    "/risk/accept",
    dependencies=[needs(Role.TRADER)],
    status_code=204,
    summary="Accept trades made outside the desk",
)
async def accept_external(request: OutsideTrade, caller: Caller, desk: TheDesk) -> None:
    """Book the trades, at their price, to the runs whose positions they closed; see `uncovered` of `/risk`.

    These runs may then order in the instrument again.
    """
    await desk.aio.accept_external(request.symbol, run_id=request.run_id, by=caller.name)


def _answer(found: RiskInfo) -> RiskAnswer:
    return RiskAnswer(
        limits=found.limits,
        changed=found.changed,
        halts=[_halt(each) for each in found.halts],
        link_up=found.link_up,
        day_loss=found.day_loss,
        day_ends_at=moment(found.day_ends_ns) if found.day_ends_ns else None,
        orders_last_second=found.orders_last_second,
        exposures=[ExposureAnswer(**msgspec.structs.asdict(each)) for each in found.exposures],
        uncovered=found.uncovered,
    )
