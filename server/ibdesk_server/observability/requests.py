"""Request metrics by route, and audit entries for requests that changed something or were refused."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from starlette.types import Scope

from ibdesk.telemetry import Performance
from ibdesk.telemetry.histogram import Counts, Histogram
from ibdesk_server.observability.families import histogram_family
from ibdesk_server.observability.trail import AuditTrail
from ibdesk_server.security.principal import Principal

# Callers can send invented methods, which must not create new time series.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# With these statuses, reads are audited too.
_REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS})
UNMATCHED = "unmatched"


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """A finished request; a `status` of 0 means that the caller disconnected before the answer."""

    method: str
    path: str
    route: str
    action: str
    status: int
    ns: int
    address: str
    principal: Principal | None

    @classmethod
    def of(cls, scope: Scope, status: int, ns: int) -> Served:
        """Make the record from the scope of a finished request."""
        route = scope.get("route")
        client = scope.get("client")
        tags: list[Any] = getattr(route, "tags", None) or ["http"]
        return cls(
            method=scope["method"] if scope["method"] in _METHODS else "other",
            path=scope["path"],
            # By route, not by path: ids in paths must not create new time series.
            route=getattr(route, "path", UNMATCHED),
            action=f"{tags[0]}.{getattr(route, 'name', UNMATCHED)}",
            status=status,
            ns=ns,
            address=client[0] if client else "",
            principal=scope.get("state", {}).get("principal"),
        )

    @property
    def is_change(self) -> bool:
        """Return whether the request's method changes something."""
        return self.method not in _SAFE_METHODS

    @property
    def outcome(self) -> str:
        """Return the outcome in one word."""
        if self.status == 0:
            return "abandoned"
        if self.status < 400:
            return "done"
        if self.status >= 500:
            return "failed"
        return "refused" if self.status in _REFUSED else "rejected"

    @property
    def is_for_the_record(self) -> bool:
        """Return whether it belongs in the audit log: every change, refusal and failure."""
        return self.is_change or self.outcome in ("refused", "failed")


class RequestMetrics(Collector):
    """The metrics of all requests so far."""

    def __init__(self, registry: CollectorRegistry, performance: Performance, trail: AuditTrail | None = None) -> None:
        self.performance, self._trail = performance, trail
        self._requests = Counter(
            "ibdesk_http_requests", "HTTP requests", ["method", "route", "status"], registry=registry
        )
        self._times: dict[str, Histogram] = {}
        registry.register(self)

    def take(self, served: Served) -> None:
        """Count a finished request."""
        self._requests.labels(served.method, served.route, served.status).inc()
        times = self._times.get(served.route)
        if times is None:
            times = self._times[served.route] = Histogram()
        times.add(served.ns)
        self.performance.add("request", served.ns, route=served.route, method=served.method)
        if self._trail is not None and served.is_for_the_record:
            self._note(self._trail, served)

    def describe(self) -> list[Metric]:
        """Return nothing, so that registration does not trigger a collection."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the duration of requests by route."""
        times: dict[tuple[str, ...], Counts] = {(route,): found.counts() for route, found in self._times.items()}
        yield histogram_family("ibdesk_http_seconds", "Time to answer", ["route"], times)

    def _note(self, trail: AuditTrail, served: Served) -> None:
        who = served.principal
        trail.note(
            served.action,
            by=who.name if who else "",
            role=who.role.value if who else "",
            outcome=served.outcome,
            status=served.status,
            method=served.method,
            path=served.path[:200],
            address=served.address,
            latency_ms=round(served.ns / 1e6, 3),
        )
