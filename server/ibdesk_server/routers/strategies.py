"""Strategy files, and the runs started from them."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import HTTPException, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from ibdesk.desk import RunInfo
from ibdesk.model import moment
from ibdesk_server.answers import RunAnswer, StrategyAnswer
from ibdesk_server.dependencies import TheDesk, TheStrategies, api_router, needs
from ibdesk_server.security.principal import Role

router = api_router("strategies")

RunId = Annotated[str, Path(min_length=1, max_length=200, description="as given when it was started")]


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
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*\.py$",
        description="name of a file of the server's strategies folder",
    )
    parameters: dict[str, Any] = Field({}, description="those not given have their defaults")
    symbols: list[Annotated[str, Field(min_length=1, max_length=64)]] = Field(min_length=1, max_length=1_000)
    bar: str = Field("5 secs", max_length=20, description="the interval of the bars")
    warm_up: int = Field(300, ge=0, le=100_000, description="how many past bars its features begin with")


@router.get("/strategies", summary="Strategy files that can be started")
async def strategies(folder: TheStrategies) -> list[StrategyAnswer]:
    """Return each file with the JSON schema of its parameters; a broken one with what is wrong with it."""
    return [StrategyAnswer.model_validate(file) for file in await asyncio.to_thread(folder.files)]


@router.get("/runs", summary="Strategies that run or have run")
async def runs(desk: TheDesk) -> list[RunAnswer]:
    """Return the runs of this session, in the order in which they were started."""
    return [_answer(run) for run in await desk.aio.runs()]


@router.post("/runs", status_code=201, dependencies=[needs(Role.TRADER)], summary="Start a strategy")
async def start(request: StartRequest, response: Response, desk: TheDesk, folder: TheStrategies) -> RunAnswer:
    """Start a strategy on some instruments; it is warmed up from history first."""
    path = await asyncio.to_thread(folder.path_of, request.file)
    run_id = await desk.aio.start(
        path,
        on=request.symbols,
        bar=request.bar,
        warm_up=request.warm_up,
        parameters=request.parameters,
    )
    response.headers["Location"] = f"/api/v1/runs/{run_id}"
    return await _run(desk, run_id)


@router.get("/runs/{run_id}", summary="One run")
async def run(run_id: RunId, desk: TheDesk) -> RunAnswer:
    """Return what the run was started with and how it is."""
    return await _run(desk, run_id)


@router.post("/runs/{run_id}/stop", dependencies=[needs(Role.TRADER)], summary="Stop a strategy")
async def stop(
    run_id: RunId,
    desk: TheDesk,
    flatten: Annotated[bool, Query(description="also close its positions at the market")] = False,
) -> RunAnswer:
    """Stop a run; its open orders are cancelled."""
    await _run(desk, run_id)
    await desk.aio.stop(run_id, flatten=flatten)
    return await _run(desk, run_id)


async def _run(desk: TheDesk, run_id: str) -> RunAnswer:
    for found in await desk.aio.runs():
        if found.run_id == run_id:
            return _answer(found)
    raise HTTPException(404, f"there is no run {run_id!r}: /api/v1/runs lists them")


def _answer(run: RunInfo) -> RunAnswer:
    return RunAnswer(
        run_id=run.run_id,
        class_name=run.class_name,
        sha256=run.sha256,
        parameters=run.parameters,
        symbols=run.symbols,
        bar=run.bar,
        state=run.state,
        started_at=moment(run.started_ns),
        note=run.note,
    )
