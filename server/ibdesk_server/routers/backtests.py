"""Backtests in the background: start one, watch its progress, read its result."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

import polars as pl
from fastapi import Depends, HTTPException, Path, Query, Response
from fastapi.responses import HTMLResponse

from ibdesk.model import moment
from ibdesk_server.answers import (
    BacktestAnswer,
    BacktestFigures,
    BacktestResultAnswer,
    BacktestTradeAnswer,
    Listing,
    items_of,
)
from ibdesk_server.backtests.job import BacktestJob, BacktestOutcome, JobState
from ibdesk_server.backtests.jobs import JobFolder
from ibdesk_server.backtests.request import BacktestRequest
from ibdesk_server.dependencies import (
    Caller,
    TheBacktests,
    TheDesk,
    TheIdempotencyStore,
    api_router,
    needs,
    page_router,
)
from ibdesk_server.idempotency import REPLAYED, IdempotencyKey
from ibdesk_server.paging import Pages
from ibdesk_server.security.principal import Role

router = api_router("backtests")
pages_router = page_router("backtests")

_PATH = "/api/v1/backtests"


async def _found(
    backtest_id: Annotated[
        str,
        Path(
            min_length=1, max_length=40, description="id from the answer that started it", examples=["mf1v2k3x9q8w7e6r"]
        ),
    ],
    backtests: TheBacktests,
) -> JobFolder:
    folder = backtests.find(backtest_id)
    if folder is None:
        raise HTTPException(404, f"there is no backtest {backtest_id!r}: {_PATH} lists them")
    return folder


TheJob = Annotated[JobFolder, Depends(_found)]


@router.post("/backtests", status_code=202, dependencies=[needs(Role.TRADER)], summary="Start a backtest")
async def start(
    request: BacktestRequest,
    response: Response,
    caller: Caller,
    backtests: TheBacktests,
    desk: TheDesk,
    idempotency: TheIdempotencyStore,
    key: IdempotencyKey = None,
) -> BacktestAnswer:
    """Start a backtest in its own process, which runs at a lower priority than the desk."""
    async with idempotency.once(
        BacktestAnswer, asker=caller.name, operation="backtest", key=key, asked=request
    ) as once:
        if once.answer is None:
            once.answer = _answer(await backtests.start(request, by=caller.name, desk=desk))
        else:
            response.headers.update(REPLAYED)
    response.headers["Location"] = f"{_PATH}/{once.answer.id}"
    return once.answer


@router.get("/backtests", summary="List backtests")
async def backtests(
    backtests: TheBacktests,
    pages: Pages,
    state: Annotated[JobState | None, Query(description="only in this state", examples=["running"])] = None,
    sort: Annotated[Literal["id", "-id"], Query(description="sort order; a minus means newest first")] = "-id",
) -> Listing[BacktestAnswer]:
    """Return the backtests of this machine, including those of other web workers."""
    jobs = {job.id: job for job in await backtests.all() if state is None or job.state is state}
    ids = pl.DataFrame({"id": list(jobs)}, schema={"id": pl.String})
    page, following = pages.page(ids, sort=sort, key=pl.col("id"))
    return Listing(items=[_answer(jobs[job_id]) for job_id in page["id"]], total=len(jobs), next=following)


@router.get("/backtests/{backtest_id}", summary="Show a backtest")
async def backtest(folder: TheJob) -> BacktestAnswer:
    """Return a backtest's state and progress, and its result once it is done."""
    return _answer(await asyncio.to_thread(folder.read))


@router.get("/backtests/{backtest_id}/trades", summary="List the round trips of a backtest")
async def trades(
    folder: TheJob,
    pages: Pages,
    sort: Annotated[
        Literal["closed_at", "-closed_at"], Query(description="sort order; a minus means newest first")
    ] = "closed_at",
) -> Listing[BacktestTradeAnswer]:
    """Return the backtest's round trips and the profit of each."""
    await _outcome(folder)
    found = (await asyncio.to_thread(pl.read_parquet, folder.round_trips)).with_row_index("_number")
    page, following = pages.page(found, sort=sort, key=pl.col("_number").cast(pl.String).str.zfill(10))
    return Listing(items=items_of(BacktestTradeAnswer, page), total=found.height, next=following)


@pages_router.get(
    "/backtests/{backtest_id}/report",
    response_class=HTMLResponse,
    summary="Show the report of a backtest",
)
async def report(folder: TheJob) -> HTMLResponse:
    """Return figures and plots as one HTML page, which runs only its own scripts and loads nothing."""
    outcome = await _outcome(folder)
    page = await asyncio.to_thread(folder.report.read_bytes)
    return HTMLResponse(page, headers={"Content-Security-Policy": outcome.csp})


@router.post(
    "/backtests/{backtest_id}/cancel",
    status_code=202,
    dependencies=[needs(Role.TRADER)],
    summary="Cancel a backtest",
)
async def cancel(folder: TheJob) -> BacktestAnswer:
    """Cancel a backtest, whichever web worker runs it. A finished one does not change."""
    await asyncio.to_thread(folder.cancel)
    return _answer(await asyncio.to_thread(folder.read))


@router.delete(
    "/backtests/{backtest_id}", status_code=204, dependencies=[needs(Role.TRADER)], summary="Delete a backtest"
)
async def delete(folder: TheJob, backtests: TheBacktests) -> None:
    """Delete a backtest and its report; cancels it first if it runs."""
    await backtests.delete(folder)


async def _outcome(folder: JobFolder) -> BacktestOutcome:
    """Return the outcome of a finished backtest.

    Raises:
        HTTPException: 409, if the backtest is not done.
    """
    job = await asyncio.to_thread(folder.read)
    if job.state is not JobState.DONE or job.outcome is None:
        raise HTTPException(409, f"backtest {job.id} is {job.state.value}: this needs a backtest that is done")
    return job.outcome


def _answer(job: BacktestJob) -> BacktestAnswer:
    outcome, result = job.outcome, None
    if outcome is not None and outcome.stats is not None:
        result = BacktestResultAnswer(
            class_name=outcome.class_name,
            sha256=outcome.sha256,
            parameters=outcome.parameters,
            symbols=outcome.symbols,
            stats=BacktestFigures.model_validate(outcome.stats),
            warnings=outcome.warnings,
        )
    return BacktestAnswer(
        id=job.id,
        state=job.state.value,
        progress=job.progress,
        request=job.task.asked,
        by=job.task.by,
        created_at=moment(job.task.created_ns),
        started_at=None if job.started_ns is None else moment(job.started_ns),
        finished_at=None if outcome is None else moment(outcome.finished_ns),
        error=job.error,
        result=result,
    )
