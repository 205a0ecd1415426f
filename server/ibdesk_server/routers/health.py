"""The health of server and desk, for people, probes and Prometheus."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field

from ibdesk.desk import DeskHealth
from ibdesk.guardian.drills import drills_in
from ibdesk.model import moment
from ibdesk.telemetry import vitals
from ibdesk_server.answers import Moment
from ibdesk_server.dependencies import AppServices, ServerContext, needs
from ibdesk_server.observability.families import Labeled, as_plain, as_text
from ibdesk_server.observability.figures import (
    audit_families,
    desk_families,
    lease_families,
    process_families,
    redis_families,
    span_families,
    task_families,
)
from ibdesk_server.observability.health import (
    Component,
    DeskFigures,
    SpanAnswer,
    TaskAnswer,
    ask_desk,
    components,
    not_ready,
    plain,
    pools_of,
    reasons,
    spans_of,
    tasks_of,
)
from ibdesk_server.problems import Problem
from ibdesk_server.security.principal import Role
from ibdesk_server.strict import StrictRoute

router = APIRouter(prefix="/health", tags=["health"], route_class=StrictRoute)


class Health(BaseModel):
    """The answer that the server is alive; needs no key."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """The answer that orders can be sent: the book is reconciled with the venue."""

    status: Literal["ready"] = "ready"
    link: str = Field(examples=["up"])


class DrillAnswer(BaseModel):
    """The last drill (`ibdesk stop --drill`), which proves that the account can be stopped."""

    at: Moment
    where: str = Field(examples=["gateway"])
    account: str
    seconds: float = Field(description="time from the command until the account was flat", examples=[3.3])
    failure: str = Field(description="empty if the drill succeeded")


class DetailedHealth(BaseModel):
    """The health of all parts."""

    status: Literal["ok", "degraded", "down"] = Field(description="worst status of all parts", examples=["ok"])
    reasons: list[str] = Field(description="faults, part by part", examples=[[]])
    worker: str = Field(description="name of the web server that answers", examples=["1"])
    components: dict[str, Component]
    tasks: list[TaskAnswer] = Field(description="background tasks of this server")
    engine_tasks: list[TaskAnswer] = Field(description="background tasks of the engine; empty if unknown")
    spans: dict[str, SpanAnswer] = Field(description="durations of the desk's steps")
    server_spans: dict[str, SpanAnswer] = Field(description="durations of this server's steps")
    drill: DrillAnswer | None = Field(description="the last drill on record; null if there is none")
    desk: dict[str, Any] | None = Field(description="link, account, mode, halt and counts; null if unknown")


@router.get("", summary="Check that the server answers")
async def health() -> Health:
    """Answer without a key, and without details."""
    return Health()


@router.get("/live", summary="Liveness probe")
async def live() -> Health:
    """Answer while the server's event loop runs; needs no key."""
    return Health()


@router.get(
    "/ready",
    dependencies=[needs(Role.VIEWER, "health")],
    summary="Readiness probe",
    responses={503: {"model": Problem}},
)
async def ready(found: AppServices) -> Readiness:
    """Return 200 if the link to TWS is up, the book is reconciled and the feed works, else 503."""
    figures = await ask_desk(found)
    why_not = not_ready(found, figures)
    if why_not or figures.health is None:
        raise HTTPException(503, why_not, {"Retry-After": "1"})
    return Readiness(link=figures.health.link.value)


@router.get("/detailed", dependencies=[needs(Role.VIEWER, "health")], summary="Show the health of all parts")
async def detailed(found: AppServices) -> DetailedHealth:
    """Return the state of each part, its faults, and the durations of important steps."""
    figures = await ask_desk(found)
    parts = components(found, figures)
    return DetailedHealth(
        status=_worst(parts),
        reasons=reasons(parts),
        worker=found.watch.worker,
        components=parts,
        tasks=tasks_of(found.watch.supervisor.tasks()),
        engine_tasks=tasks_of(figures.tasks),
        spans=spans_of(figures.spans),
        server_spans=spans_of(found.watch.performance.spans()),
        drill=await asyncio.to_thread(_last_drill, found.settings.state_folder),
        desk=None if figures.health is None else _public(figures.health),
    )


@router.get(
    "/metrics",
    dependencies=[needs(Role.VIEWER, "health")],
    summary="Show metrics, as JSON or for Prometheus",
    responses={200: {"content": {"text/plain": {}, "application/json": {}}}},
    response_class=Response,
)
async def metrics(request: Request, found: AppServices) -> Response:
    """Return the metrics of this server and of the desk: as JSON if `Accept` asks for it, else for Prometheus.

    Each of several web servers reports its own metrics; `worker` names the server.
    """
    collector = _collector(found, await ask_desk(found))
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse(await asyncio.to_thread(as_plain, collector))
    return Response(await asyncio.to_thread(as_text, collector), media_type=CONTENT_TYPE_LATEST)


def _collector(found: ServerContext, figures: DeskFigures) -> Labeled:
    spans, processes = {"web": found.watch.performance.spans()}, {"web": vitals()}
    if figures.process is not None:
        spans["engine"], processes["engine"] = figures.spans, figures.process.vitals
    return Labeled(
        found.watch.worker,
        found.registry.collect(),
        desk_families(figures.health),
        span_families(spans),
        process_families(processes),
        task_families({"web": found.watch.supervisor.tasks(), "engine": figures.tasks}),
        audit_families(found.watch.trail),
        redis_families(pools_of(found, figures)),
        lease_families(None if figures.process is None else figures.process.lease),
    )


def _last_drill(folder: Path) -> DrillAnswer | None:
    found = drills_in(folder)
    if not found:
        return None
    last = found[-1]
    return DrillAnswer(
        at=moment(last.at_ns), where=last.where, account=last.account, seconds=last.seconds, failure=last.failure
    )


def _worst(parts: dict[str, Component]) -> Literal["ok", "degraded", "down"]:
    states = {part.state for part in parts.values()}
    return "down" if "down" in states else "degraded" if "degraded" in states else "ok"


def _public(health: DeskHealth) -> dict[str, Any]:
    """Return a desk's health without the paths of its files."""
    found = plain(health)
    found["journal"] = health.journal.rpartition("/")[2]
    return found
