"""The outer handling of every request: its id, its time, safe headers, and a 500 for a crash."""

from __future__ import annotations

import logging
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ibdesk.telemetry import correlated, new_correlation_id
from ibdesk.telemetry.trace import is_tame
from ibdesk_server.observability.requests import RequestMetrics, Served
from ibdesk_server.problems import problem_response

_log = logging.getLogger(__name__)

REQUEST_ID_HEADER = "X-Request-ID"

_SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # No page here needs a script or a resource from another host.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    # A login URL contains its code, which must not leak as a referrer.
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class RequestMiddleware:
    """Gives each HTTP request its id, measures its time, adds safe headers, and turns a crash into a plain 500."""

    def __init__(self, app: ASGIApp, metrics: RequestMetrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve an ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Created here, so that inner copies of the scope share it.
        scope.setdefault("state", {})
        with correlated(_request_id(Headers(scope=scope))) as request_id, self._metrics.performance.recording():
            answer = _Answer(send, request_id)
            try:
                await self._app(scope, receive, answer)
            except Exception:
                _log.exception("request %s %s failed", scope["method"], scope["path"])
                if answer.status:
                    raise
                problem = problem_response(500, "the server failed; its log says why", path=scope["path"])
                await problem(scope, receive, answer)
            finally:
                self._metrics.take(Served.of(scope, answer.status, answer.age_ns))


class _Answer:
    """Forwards a response with our headers; `status` is 0 until the response begins."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send, self._request_id = send, request_id
        self._began_ns = time.perf_counter_ns()
        self.status = 0

    @property
    def age_ns(self) -> int:
        """Return the time since the request arrived, in ns."""
        return time.perf_counter_ns() - self._began_ns

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in _SAFE_HEADERS.items():
                headers.setdefault(name, value)
            headers[REQUEST_ID_HEADER] = self._request_id
            headers["Server-Timing"] = f"app;dur={self.age_ns / 1e6:.2f}"
        await self._send(message)


def _request_id(headers: Headers) -> str:
    """Return the caller's own id if it is safe to log, else a new one."""
    given = headers.get(REQUEST_ID_HEADER, "")
    return given if is_tame(given) else new_correlation_id()
