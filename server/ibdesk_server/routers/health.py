"""How the server and the desk are: for people, for probes, and for Prometheus."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import msgspec
from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field

from ibdesk.model import Link
from ibdesk_server.dependencies import TheDesk, TheHub, TheRegistry, needs
from ibdesk_server.security.principal import Role

router = APIRouter(prefix="/health", tags=["health"])


class Health(BaseModel):
    """That the server answers; anybody may know."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """That orders may leave: book and venue agree."""

    status: Literal["ready"] = "ready"
    link: str = Field(examples=["up"])


class DetailedHealth(BaseModel):
    """How everything is."""

    status: Literal["ok", "degraded"]
    desk: dict[str, Any] = Field(description="link, account, mode, halt, counts")
    latency: dict[str, Any] = Field(description="tick to order, in milliseconds")
    feed_clients: int


@router.get("", summary="Does the server answer?")
async def health() -> Health:
    """Answer; needs no key and tells nothing else."""
    return Health()


@router.get("/live", summary="Liveness probe")
async def live() -> Health:
    """Answer while the server's loop turns; needs no key."""
    return Health()


@router.get("/ready", dependencies=[needs(Role.VIEWER, "health")], summary="Readiness probe")
async def ready(desk: TheDesk, hub: TheHub) -> Readiness:
    """Return 200 when the link to TWS is up, the book is reconciled, and clients can be told the news, else 503."""
    if hub.failed:
        raise HTTPException(503, "the feed has failed: restart the server, its log says why")
    link = (await desk.aio.health()).link
    if link is not Link.UP:
        raise HTTPException(503, f"the link to TWS is {link.value}: orders cannot leave")
    return Readiness(link=link.value)


@router.get("/detailed", dependencies=[needs(Role.VIEWER, "health")], summary="How everything is")
async def detailed(desk: TheDesk, hub: TheHub) -> DetailedHealth:
    """Return the state of the desk, its latency, and the feed."""
    found, latency = await desk.aio.health(), await desk.aio.latency()
    healthy = found.link is Link.UP and not found.halted and not hub.failed
    return DetailedHealth(
        status="ok" if healthy else "degraded",
        desk=_plain(found),
        latency=_plain(latency),
        feed_clients=hub.clients,
    )


@router.get(
    "/metrics",
    dependencies=[needs(Role.VIEWER, "health")],
    summary="Metrics, as JSON or for Prometheus",
    responses={200: {"content": {"text/plain": {}, "application/json": {}}}},
    response_class=Response,
)
async def metrics(request: Request, registry: TheRegistry) -> Response:
    """Return all metrics: as JSON when `Accept` asks for it, else in the text form of Prometheus."""
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse(await asyncio.to_thread(_samples, registry))
    return Response(await asyncio.to_thread(generate_latest, registry), media_type=CONTENT_TYPE_LATEST)


def _samples(registry: TheRegistry) -> dict[str, list[dict[str, Any]]]:
    return {
        family.name: [
            {"name": sample.name, "labels": sample.labels, "value": _finite(sample.value)} for sample in family.samples
        ]
        for family in registry.collect()
    }


def _plain(value: Any) -> dict[str, Any]:
    """Return a value of the desk as JSON takes it."""
    found: dict[str, Any] = msgspec.to_builtins(value, builtin_types=())
    return {name: _finite(item) for name, item in found.items()}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not -1e308 < value < 1e308 else value
