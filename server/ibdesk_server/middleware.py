"""What happens around every request: an id for it, its time, limits, safe headers, and an answer to a crash."""

from __future__ import annotations

import json
import logging
import time
from http import HTTPStatus

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ibdesk.telemetry.trace import correlation_id, is_tame, new_correlation_id

_log = logging.getLogger(__name__)

REQUEST_ID_HEADER = "X-Request-ID"

# A caller may make up methods, but no series of the metrics.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Nothing here needs a script, or anything from another host.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    # The address of a login carries its code, which must not travel on.
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class RequestMetrics:
    """Counts and times requests, by route and not by path, so that ids in paths make no new series."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "ibdesk_http_requests", "HTTP requests", ["method", "route", "status"], registry=registry
        )
        self._seconds = Histogram("ibdesk_http_seconds", "Time to answer", ["route"], registry=registry)

    def observe(self, scope: Scope, status: int, seconds: float) -> None:
        """Take one finished request into account."""
        route = getattr(scope.get("route"), "path", "unmatched")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._requests.labels(method, route, status).inc()
        self._seconds.labels(route).observe(seconds)


class RequestMiddleware:
    """Gives each HTTP request its id, times it, adds safe headers, and turns a crash into a plain 500."""

    def __init__(self, app: ASGIApp, metrics: RequestMetrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve an ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope))
        token = correlation_id.set(request_id)
        started, status = time.perf_counter(), 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _SAFE_HEADERS.items():
                    headers.setdefault(name, value)
                headers[REQUEST_ID_HEADER] = request_id
                headers["Server-Timing"] = f"app;dur={(time.perf_counter() - started) * 1e3:.2f}"
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception:
            _log.exception("request %s %s %s failed", request_id, scope["method"], scope["path"])
            if status:
                raise
            await _send_problem(scope, send_with_headers, 500, "the server failed; its log says why")
        finally:
            self._metrics.observe(scope, status, time.perf_counter() - started)
            correlation_id.reset(token)


class BodyLimitMiddleware:
    """Refuses a request's body beyond `limit` bytes, declared or not, before it is read whole."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app, self._limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve an ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "0")
        # What is no number the server below has refused already.
        if declared.isdecimal() and int(declared) > self._limit:
            await self._refuse(scope, send)
            return
        received, started, refused = 0, False, False

        async def limited_receive() -> Message:
            nonlocal received, refused
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                refused = True
                return {"type": "http.disconnect"}
            return message

        async def limited_send(message: Message) -> None:
            nonlocal started
            if refused and not started:
                return
            started = True
            await send(message)

        await self._app(scope, limited_receive, limited_send)
        if refused and not started:
            await self._refuse(scope, send)

    async def _refuse(self, scope: Scope, send: Send) -> None:
        await _send_problem(scope, send, 413, f"the body may have {self._limit:,} bytes at most")


def _request_id(headers: Headers) -> str:
    """Return the caller's own id when it is a tame one, else a new one."""
    given = headers.get(REQUEST_ID_HEADER, "")
    return given if is_tame(given) else new_correlation_id()


async def _send_problem(scope: Scope, send: Send, status: int, detail: str) -> None:
    body = json.dumps(
        {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": detail,
            "instance": scope["path"],
            "correlation_id": correlation_id.get(),
            "errors": [],
            "facts": {},
        }
    ).encode()
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
