"""Limits on the size and duration of requests. Requests beyond them are refused before they are processed."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ibdesk_server.problems import problem_response
from ibdesk_server.settings import RequestSettings


class LimitsMiddleware:
    """Refuses requests beyond the limits with 408, 413, 414 or 431, including bodies of undeclared length."""

    def __init__(self, app: ASGIApp, limits: RequestSettings) -> None:
        self._app, self._limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve an ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await _refuse(*refusal, scope, receive, send)
            return
        body = _Body(receive, self._limits)
        response = _Response(send, body)
        await self._app(scope, body, response)
        if body.refusal is not None and not response.begun:
            await _refuse(*body.refusal, scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Return status and sentence for a request whose head is beyond the limits."""
        limits, fields = self._limits, scope["headers"]
        if len(scope["raw_path"]) + len(scope["query_string"]) > limits.url_bytes:
            return 414, f"path and query together may have at most {limits.url_bytes:,} bytes"
        if len(fields) > limits.header_count:
            return 431, f"a request may have at most {limits.header_count:,} header fields"
        if sum(len(name) + len(value) for name, value in fields) > limits.header_bytes:
            return 431, f"all header fields together may have at most {limits.header_bytes:,} bytes"
        # uvicorn has already refused a length that is not a number.
        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isdecimal() and int(declared) > limits.body_bytes:
            return 413, f"the body may have at most {limits.body_bytes:,} bytes"
        return None


class _Body:
    """Receives a body. A body that is too long or too slow reads as a disconnect."""

    def __init__(self, receive: Receive, limits: RequestSettings) -> None:
        self._receive, self._limits = receive, limits
        self._received, self._whole = 0, False
        self._ends = asyncio.get_running_loop().time() + limits.body_seconds
        self.refusal: tuple[int, str] | None = None

    async def __call__(self) -> Message:
        if self._whole:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._ends):
                message = await self._receive()
        except TimeoutError:
            return self._refuse(408, f"the body did not arrive within {self._limits.body_seconds:g} s")
        self._received += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._received > self._limits.body_bytes:
            return self._refuse(413, f"the body may have at most {self._limits.body_bytes:,} bytes")
        return message

    def _refuse(self, status: int, detail: str) -> Message:
        self.refusal = status, detail
        return {"type": "http.disconnect"}


class _Response:
    """Forwards a response, unless the body was refused before the response began."""

    def __init__(self, send: Send, body: _Body) -> None:
        self._send, self._body = send, body
        self.begun = False

    async def __call__(self, message: Message) -> None:
        if self._body.refusal is not None and not self.begun:
            return
        self.begun = True
        await self._send(message)


async def _refuse(status: int, detail: str, scope: Scope, receive: Receive, send: Send) -> None:
    # Closing stops a caller that keeps sending.
    headers = {"Connection": "close"} if status == 408 else None
    answer = problem_response(status, detail, path=scope["path"][:200], headers=headers)
    await answer(scope, receive, send)
