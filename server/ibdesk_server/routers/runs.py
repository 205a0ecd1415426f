"""Runs: strategies that trade, or have traded."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

import msgspec
import polars as pl
from fastapi import HTTPException, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from ibdesk.desk import RunInfo
from ibdesk.model import moment
from ibdesk_server.answers import (
    LaneAnswer,
    Listing,
    LogLineAnswer,
    RunAnswer,
    RunLogAnswer,
    RunStateAnswer,
    finite_plain,
)
from ibdesk_server.backtests.request import STRATEGY_FILE
from ibdesk_server.dependencies import Caller, TheDesk, TheIdempotencyStore, TheStrategies, api_router, needs
from ibdesk_server.idempotency import REPLAYED, IdempotencyKey
from ibdesk_server.paging import Cursor, Pages, link_to_next
from ibdesk_server.routers.journal import EarlierJournal, Rows, numbered
from ibdesk_server.security.principal import Role

router = api_router("runs")

RunId = Annotated[
    str,
    Path(min_length=1, max_length=200, description="as given when it was started", examples=["EmaCross-t4x7k2"]),
]


class StartRequest(BaseModel):
    """Which strategy to run, how, and on what."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "file": "ema_cross.py",
                    "parameters": {"fast": 12, "slow": 26, "size": 100},
                    "symbols": ["AAPL", "MSFT"],
                    "bar": "5 secs",
                }
            ]
        },
    )

    file: str = Field(
        max_length=100,
        pattern=STRATEGY_FILE,
        description="name of a file of the server's strategies folder",
        examples=["ema_cross.py"],
    )
    parameters: dict[str, Any] = Field(
        {}, description="those not given have their defaults", examples=[{"fast": 12, "slow": 26, "size": 100}]
    )
    symbols: list[Annotated[str, Field(min_length=1, max_length=64)]] = Field(
        min_length=1, max_length=1_000, examples=[["AAPL", "MSFT"]]
    )
    bar: str = Field("5 secs", max_length=20, description="the interval of the bars", examples=["5 secs"])
    warm_up: int = Field(
        300, ge=0, le=100_000, strict=True, description="how many past bars its features begin with", examples=[300]
    )
    name: str = Field(
        "",
        max_length=40,
        pattern="^[A-Za-z0-9_-]*$",
        description="for a second run of a strategy on the same instrument, on purpose; without one, a strategy that "
        "runs already is not started twice",
        examples=[""],
    )
    budget: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]] | None = Field(
        None,
        max_length=20,
        description="limits of this run beside those of the account, by name: max_order, max_position, max_notional, "
        "max_gross_exposure, max_net_exposure, max_open_orders, max_orders_per_minute, max_cancels_per_minute, "
        "max_daily_loss, max_drawdown",
        examples=[{"max_daily_loss": 500, "max_position": 1_000}],
    )
    run_id: str = Field(
        "",
        max_length=200,
        description="a run that an earlier desk left, or that has ended, to be taken over: its book, orders and state "
        "go on with what is asked for here",
        examples=[""],
    )


class ParametersRequest(BaseModel):
    """Parameters to be changed, by name; those not named stay."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"parameters": {"size": 50}}]})

    parameters: dict[str, Any] = Field(min_length=1, max_length=200, examples=[{"size": 50}])


class RunStopRequest(BaseModel):
    """How to stop a run; the same may stand in the query."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"flatten": True}]})

    flatten: bool = Field(False, description="also close its positions at the market", examples=[True])


@router.get("/runs", summary="Strategies that run or have run")
async def runs(
    desk: TheDesk,
    pages: Pages,
    state: Annotated[
        Literal["running", "stopped", "failed", "orphaned"] | None,
        Query(description="only in this state", examples=["running"]),
    ] = None,
    sort: Annotated[Literal["started_at", "-started_at"], Query(description="minus for the newest first")] = (
        "-started_at"
    ),
) -> Listing[RunAnswer]:
    """Return the runs of this desk, also those of its earlier journals."""
    found = {run.run_id: run for run in await desk.aio.runs() if state is None or run.state == state}
    rows = [(run_id, run.started_ns) for run_id, run in found.items()]
    frame = pl.DataFrame(rows, schema={"run_id": pl.String, "started_at": pl.Datetime("ns", "UTC")}, orient="row")
    page, following = pages.page(frame, sort=sort, key=pl.col("run_id"))
    return Listing(items=[_answer(found[run_id]) for run_id in page["run_id"]], total=len(found), next=following)


@router.post("/runs", status_code=201, dependencies=[needs(Role.TRADER)], summary="Start a strategy")
async def start(
    request: StartRequest,
    response: Response,
    caller: Caller,
    desk: TheDesk,
    folder: TheStrategies,
    idempotency: TheIdempotencyStore,
    key: IdempotencyKey = None,
) -> RunAnswer:
    """Start a strategy on some instruments; it is warmed up from history first."""
    async with idempotency.once(RunAnswer, asker=caller.name, operation="run", key=key, asked=request) as once:
        if once.answer is None:
            once.answer = await _start(request, desk, folder, by=caller.name)
        else:
            response.headers.update(REPLAYED)
    response.headers["Location"] = f"/api/v1/runs/{once.answer.run_id}"
    return once.answer


@router.get("/runs/{run_id}", summary="One run")
async def run(run_id: RunId, desk: TheDesk) -> RunAnswer:
    """Return what the run was started with and how it is."""
    return await _run(desk, run_id)


@router.get("/runs/{run_id}/state", summary="A run from inside")
async def state(run_id: RunId, desk: TheDesk) -> RunStateAnswer:
    """Return what the strategy keeps, and for each instrument what it holds, saw and ordered."""
    await _run(desk, run_id)
    found = await desk.aio.run_state(run_id)
    return RunStateAnswer(
        run=_answer(found.run),
        kept=finite_plain(found.kept),
        cash=found.cash,
        pnl=found.pnl,
        orders_made=found.orders_made,
        lanes=[LaneAnswer(**finite_plain(msgspec.structs.asdict(lane))) for lane in found.lanes],
        open_orders=[order.id for order in found.open_orders],
    )


@router.get("/runs/{run_id}/log", summary="What a run said, did and suffered")
async def log(
    run_id: RunId,
    request: Request,
    response: Response,
    desk: TheDesk,
    limit: Rows = 100,
    cursor: Cursor = None,
    journal: EarlierJournal = "",
) -> RunLogAnswer:
    """Return the newest lines of a run's log, the oldest of them first; the next page has older ones."""
    found = await desk.aio.run_log(run_id, limit=limit, before=numbered(cursor), journal=journal)
    lines = [
        LogLineAnswer(number=line.number, at=moment(line.at_ns), severity=line.severity, text=line.text)
        for line in found.lines
    ]
    following = str(found.next) if found.next else None
    link_to_next(request, response, following)
    return RunLogAnswer(items=lines, next=following)


@router.patch("/runs/{run_id}/parameters", dependencies=[needs(Role.TRADER)], summary="Change parameters of a run")
async def change_parameters(run_id: RunId, request: ParametersRequest, caller: Caller, desk: TheDesk) -> RunAnswer:
    """Have a run go on with other parameters from its next bar on; a wrong one refuses them all."""
    await _run(desk, run_id)
    return _answer(await desk.aio.change_parameters(run_id, dict(request.parameters), by=caller.name))


@router.post("/runs/{run_id}/stop", dependencies=[needs(Role.TRADER)], summary="Stop a strategy")
async def stop(
    run_id: RunId,
    caller: Caller,
    desk: TheDesk,
    request: RunStopRequest | None = None,
    flatten: Annotated[bool | None, Query(description="as in the body", examples=[True])] = None,
) -> RunAnswer:
    """Stop a run; its open orders are cancelled, and its positions closed where `flatten` says so."""
    asked = {each for each in (flatten, None if request is None else request.flatten) if each is not None}
    if len(asked) > 1:
        raise HTTPException(422, "flatten is true in one of body and query and false in the other: say it once")
    await _run(desk, run_id)
    await desk.aio.stop(run_id, flatten=True in asked, by=caller.name)
    return await _run(desk, run_id)


async def _start(request: StartRequest, desk: TheDesk, folder: TheStrategies, *, by: str) -> RunAnswer:
    path = await asyncio.to_thread(folder.path_of, request.file)
    run_id = await desk.aio.start(
        path,
        on=request.symbols,
        bar=request.bar,
        warm_up=request.warm_up,
        parameters=request.parameters,
        name=request.name,
        run_id=request.run_id,
        budget=request.budget,
        by=by,
    )
    return await _run(desk, run_id)


async def _run(desk: TheDesk, run_id: str) -> RunAnswer:
    for found in await desk.aio.runs():
        if found.run_id == run_id:
            return _answer(found)
    raise HTTPException(404, f"there is no run {run_id!r}: /api/v1/runs lists them")


def _answer(run: RunInfo) -> RunAnswer:
    return RunAnswer(**(msgspec.structs.asdict(run) | {"started_at": moment(run.started_ns)}))
