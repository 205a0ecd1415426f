"""The health of each part of a server and its desk, with its faults."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Literal

import msgspec
from pydantic import BaseModel, Field

from ibdesk.desk import DeskHealth, DeskState, ProcessInfo
from ibdesk.errors import IbdeskError
from ibdesk.model import Link
from ibdesk.store.lease_health import LeaseHealth, LeaseState
from ibdesk.store.redis import RedisHealth
from ibdesk.telemetry import Span, TaskInfo, vitals
from ibdesk_server.dependencies import ServerContext
from ibdesk_server.observability.families import finite

AWAY = "the engine is away: no orders are sent, open positions are unmanaged, and figures are old"
"""The message about a desk whose process cannot be reached."""

# How long to wait for the desk's report.
_PATIENCE_SECONDS = 2.0
# The folders before a file name; they may contain spaces if quoted.
_FOLDERS = re.compile(r"""(?<=['"])/(?:[^/'"]+/)+|(?<![\w.:/'"-])/(?:[^\s/'"]+/)+""")


class Component(BaseModel):
    """One part: `degraded` works with restrictions, `down` does not work."""

    state: Literal["ok", "degraded", "down"] = "ok"
    reason: str = Field("", description="the fault; empty if there is none")
    facts: dict[str, Any] = Field({}, examples=[{"clients": 3}])


class TaskAnswer(BaseModel):
    """A background task."""

    name: str = Field(examples=["feed hub"])
    state: str = Field(description="running, waiting, done, failed or cancelled", examples=["running"])
    essential: bool = Field(description="whether the process ends if it fails permanently")
    restarts: int = Field(examples=[0])
    last_error: str
    seconds: float = Field(description="time in this state", examples=[12.5])


class SpanAnswer(BaseModel):
    """The durations of a step, in milliseconds."""

    count: int = Field(examples=[250])
    p50_ms: float | None = Field(examples=[0.48])
    p99_ms: float | None = Field(examples=[0.97])
    max_ms: float | None = Field(examples=[1.3])
    budget_ms: float | None = Field(description="duration above which a warning is logged", examples=[10])
    slow: int = Field(description="number of steps that took longer", examples=[0])


class DeskFigures(msgspec.Struct, frozen=True, kw_only=True):
    """A desk's report of itself; None where it is not available, with the reason."""

    health: DeskHealth | None = None
    spans: dict[str, Span] = {}
    process: ProcessInfo | None = None
    why_not: str = ""

    @property
    def tasks(self) -> list[TaskInfo]:
        """Return the background tasks of the desk's process."""
        return [] if self.process is None else self.process.tasks


async def ask_desk(found: ServerContext) -> DeskFigures:
    """Ask the desk for its report; also returns if the desk does not answer."""
    aio = found.desk.aio
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return DeskFigures(health=await aio.health(), spans=await aio.performance(), process=await aio.process())
    except TimeoutError:
        return DeskFigures(why_not=f"the desk did not answer within {_PATIENCE_SECONDS:g} s")
    except IbdeskError:
        # Addresses and causes appear in the log only.
        if found.desk.state is DeskState.DETACHED:
            return DeskFigures(why_not=AWAY)
        return DeskFigures(why_not=f"the desk is {found.desk.state.value}")


def not_ready(found: ServerContext, figures: DeskFigures) -> str:
    """Return why orders cannot be sent or the feed does not work; empty if both work."""
    if found.hub.failed:
        return "the feed has failed: restart the server; its log says why"
    if figures.health is None:
        return figures.why_not
    link = figures.health.link
    if link is Link.SYNCING:
        return "the desk is reconciling its book with TWS: orders cannot be sent yet"
    if link is not Link.UP:
        return f"the link to TWS is {link.value}: orders cannot be sent"
    return ""


def components(found: ServerContext, figures: DeskFigures) -> dict[str, Component]:
    """Return the health of each part."""
    parts = {
        "desk": _desk(figures),
        "link": _link(figures.health),
        "feed": _feed(found),
        "audit": _audit(found),
        "tasks": _tasks([*found.watch.supervisor.tasks(), *figures.tasks]),
        "process": Component(facts=plain(vitals())),
    }
    pools = pools_of(found, figures)
    if any(pools.values()):
        parts["redis"] = _redis(pools)
    engine = figures.process
    if engine is not None and engine.lease is not None:
        parts["lease"] = _lease(engine.lease)
    if engine is not None and engine.vitals.pid != vitals().pid:
        parts["engine"] = Component(facts=plain(engine.vitals))
    return parts


def pools_of(found: ServerContext, figures: DeskFigures) -> dict[str, list[RedisHealth]]:
    """Return the health of all Redis connection pools, by process."""
    redis = found.watch.redis
    engine = [] if figures.process is None else figures.process.pools
    return {"web": [*([] if redis is None else [redis.health]), *found.desk.pools], "engine": engine}


def reasons(parts: dict[str, Component]) -> list[str]:
    """Return the faults, part by part."""
    return [f"{name}: {part.reason or part.state}" for name, part in parts.items() if part.state != "ok"]


def tasks_of(found: list[TaskInfo]) -> list[TaskAnswer]:
    """Convert background tasks to answers, without paths in their errors."""
    return [
        TaskAnswer.model_validate(plain(task) | {"last_error": _FOLDERS.sub("", task.last_error)}) for task in found
    ]


def spans_of(found: dict[str, Span]) -> dict[str, SpanAnswer]:
    """Convert spans to answers."""
    return {name: SpanAnswer.model_validate(plain(span.summary())) for name, span in sorted(found.items())}


def plain(value: Any) -> dict[str, Any]:
    """Convert a value of the desk to JSON data."""
    found: dict[str, Any] = msgspec.to_builtins(value, builtin_types=())
    return {name: finite(item) for name, item in found.items()}


def _desk(figures: DeskFigures) -> Component:
    health = figures.health
    if health is None:
        return Component(state="down", reason=figures.why_not)
    facts = {
        "running": health.running,
        "open_orders": health.open_orders,
        "events": health.events,
        "differences": health.differences,
    }
    if health.halted:
        return Component(state="degraded", reason=f"trading is halted: {health.halted}", facts=facts)
    if health.differences:
        reason = f"books and account have {health.differences} differences: see /api/v1/reconciliation"
        return Component(state="degraded", reason=reason, facts=facts)
    return Component(facts=facts)


def _link(health: DeskHealth | None) -> Component:
    if health is None:
        return Component(state="down", reason="unknown: the desk does not answer")
    facts = {
        "link": health.link.value,
        "address": health.address,
        "reconnects": health.reconnects,
        "messages_sent": health.messages_sent,
        "messages_waiting": health.messages_waiting,
        "clock_drift_seconds": health.clock_drift_seconds,
        "next_window": None if health.window is None else health.window.words,
    }
    if health.link is Link.UP:
        return Component(facts=facts)
    state: Literal["degraded", "down"] = "degraded" if health.link is Link.SYNCING else "down"
    return Component(state=state, reason=f"the link to TWS is {health.link.value}", facts=facts)


def _feed(found: ServerContext) -> Component:
    hub = found.hub
    lags = hub.lags()
    furthest = max((lag.lag_ms for lag in lags), default=0.0)
    facts = {"clients": hub.clients, "epoch": hub.epoch, "longest_lag_ms": finite(furthest)}
    if hub.failed:
        return Component(state="down", reason="the feed has failed: restart the server", facts=facts)
    if not hub.attached:
        return Component(
            state="degraded", reason="no updates from the desk: the feed continues from memory", facts=facts
        )
    return Component(facts=facts)


def _redis(pools: dict[str, list[RedisHealth]]) -> Component:
    facts = {process: {pool.name: _pool_facts(pool) for pool in found} for process, found in pools.items() if found}
    if any(pool.is_degraded for found in pools.values() for pool in found):
        return Component(state="degraded", reason="Redis does not answer: the server works without it", facts=facts)
    return Component(facts=facts)


def _pool_facts(pool: RedisHealth) -> dict[str, Any]:
    return {
        "circuit": pool.circuit.value,
        "connections_in_use": pool.connections_in_use,
        "dedicated": pool.dedicated,
        "calls": pool.calls,
        "failures": pool.failures,
        "refused": pool.refused,
    }


def _lease(health: LeaseHealth) -> Component:
    facts = {
        "office": health.name,
        "state": health.state.value,
        "token": health.token,
        "held_by": health.held_by.partition(" ")[2],
        "standbys": list(health.standbys),
    }
    match health.state:
        case LeaseState.HELD:
            return Component(facts=facts)
        case LeaseState.ADRIFT:
            return Component(
                state="degraded", reason="Redis cannot confirm the leader: no standby can take over", facts=facts
            )
        case LeaseState.WAITING | LeaseState.LOST:
            return Component(state="down", reason="this engine is not the leader: it sends nothing", facts=facts)


def _audit(found: ServerContext) -> Component:
    trail = found.watch.trail
    facts = {"written": trail.written, "waiting": trail.waiting, "dropped": trail.dropped}
    if trail.failure:
        return Component(state="degraded", reason="the audit log cannot be written: its log says why", facts=facts)
    return Component(facts=facts)


def _tasks(tasks: list[TaskInfo]) -> Component:
    failing = [task.name for task in tasks if task.state in ("failed", "waiting")]
    facts = {"running": sum(task.state == "running" for task in tasks), "restarts": sum(t.restarts for t in tasks)}
    if failing:
        return Component(state="degraded", reason=f"{', '.join(failing)} failed", facts=facts)
    return Component(facts=facts)
