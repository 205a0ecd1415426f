"""Runs of strategies, present and past."""

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
    Path(min_length=1, max_length=200, description="id from the answer that started it", examples=["EmaCross-t4x7k2"]),
]


class StartRequest(BaseModel):
    """The strategy to run, its instruments and its parameters."""

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
        description="name of a file in the server's strategy folder",
        examples=["ema_cross.py"],
    )
    parameters: dict[str, Any] = Field(
        {},
        description="parameters by name; the others have their defaults",
        examples=[{"fast": 12, "slow": 26, "size": 100}],
    )
    symbols: list[Annotated[str, Field(min_length=1, max_length=64)]] = Field(
        min_length=1, max_length=1_000, examples=[["AAPL", "MSFT"]]
    )
    bar: str = Field("5 secs", max_length=20, description="interval of the bars", examples=["5 secs"])
    warm_up: int = Field(
        300, ge=0, le=100_000, strict=True, description="number of past bars that warm up the features", examples=[300]
    )
    name: str = Field(
        "",
        max_length=40,
        pattern="^[A-Za-z0-9_-]*$",
        description="set it to run a strategy twice on the same instrument; without it, a strategy that is running "
        "is not started again",
        examples=[""],
    )
    budget: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]] | None = Field(
        None,
        max_length=20,
        description="limits of this run in addition to the account's, by name: max_order, max_position, max_notional, "
        "max_gross_exposure, max_net_exposure, max_open_orders, max_orders_per_minute, max_cancels_per_minute, "
        "max_daily_loss, max_drawdown",
        examples=[{"max_daily_loss": 500, "max_position": 1_000}],
    )
    run_id: str = Field(
        "",
        max_length=200,
        description="id of an orphaned or ended run to continue: its book, orders and state are kept, with the "
        "parameters given here",
        examples=[""],
    )


class ParametersRequest(BaseModel):
    """Parameters to change, by name; the others stay the same."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"parameters": {"size": 50}}]})

    parameters: dict[str, Any] = Field(min_length=1, max_length=200, examples=[{"size": 50}])


class RunStopRequest(BaseModel):
    """How to stop a run; the query may say the same."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"flatten": True}]})

    flatten: bool = Field(False, description="also close its positions at the market", examples=[True])


@router.get("/runs", summary="List runs")
async def runs(
    desk: TheDesk,
    pages: Pages,
    state: Annotated[
        Literal["running", "stopped", "failed", "orphaned"] | None,
        Query(description="only in this state", examples=["running"]),
    ] = None,
    sort: Annotated[
        Literal["started_at", "-started_at"], Query(description="sort order; a minus means newest first")
    ] = ("-started_at"),
) -> Listing[RunAnswer]:
    """Return the runs of this desk, including those of earlier journals."""
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
    """Start a strategy on some instruments, after a warm-up from history."""
    async with idempotency.once(RunAnswer, asker=caller.name, operation="run", key=key, asked=request) as once:
        if once.answer is None:
            once.answer = await _start(request, desk, folder, by=caller.name)
        else:
            response.headers.update(REPLAYED)
    response.headers["Location"] = f"/api/v1/runs/{once.answer.run_id}"
    return once.answer


@router.get("/runs/{run_id}", summary="Show a run")
async def run(run_id: RunId, desk: TheDesk) -> RunAnswer:
    """Return the run's start parameters and its state."""
    return await _run(desk, run_id)


@router.get("/runs/{run_id}/state", summary="Show the inner state of a run")
async def state(run_id: RunId, desk: TheDesk) -> RunStateAnswer:
    """Return the strategy's stored state, and for each instrument its position, last bar, features and orders."""
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


@router.get("/runs/{run_id}/log", summary="List the log of a run")
async def log(
    run_id: RunId,
    request: Request,
    response: Response,
    desk: TheDesk,
    limit: Rows = 100,
    cursor: Cursor = None,
    journal: EarlierJournal = "",
) -> RunLogAnswer:
    """Return the newest lines of a run's log, oldest first; the next page has older ones."""
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
    """Change parameters of a run from its next bar on. If one is not valid, none is changed."""
    await _run(desk, run_id)
    return _answer(await desk.aio.change_parameters(run_id, dict(request.parameters), by=caller.name))


@router.post("/runs/{run_id}/stop", dependencies=[needs(Role.TRADER)], summary="Stop a strategy")
async def stop(
    run_id: RunId,
    caller: Caller,
    desk: TheDesk,
    request: RunStopRequest | None = None,
    flatten: Annotated[bool | None, Query(description="the same as in the body", examples=[True])] = None,
) -> RunAnswer:
    """Stop a run and cancel its open orders; `flatten` also closes its positions."""
    asked = {each for each in (flatten, None if request is None else request.flatten) if each is not None}
    if len(asked) > 1:
        raise HTTPException(422, "flatten differs between body and query: give it once")
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
