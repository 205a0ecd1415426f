"""The check of the ``Host`` header: a foreign name indicates DNS rebinding by another site."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ibdesk_server.problems import problem_response
from ibdesk_server.security.addresses import Addresses

_MISDIRECTED = 421
_ONE_YEAR = "max-age=31536000"


class HostMiddleware:
    """Refuses requests with a foreign ``Host``, and sends HSTS if connections are encrypted."""

    def __init__(self, app: ASGIApp, *, addresses: Addresses, is_encrypted: bool) -> None:
        self._app, self._addresses, self._is_encrypted = app, addresses, is_encrypted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve an ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if not self._addresses.knows_host(Headers(scope=scope)):
            refusal = problem_response(
                _MISDIRECTED,
                "this server does not have the requested host name: add it to server.security.hosts",
                path=scope["path"],
            )
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, self._insisting(send) if self._is_encrypted else send)

    def _insisting(self, send: Send) -> Send:
        async def insist(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Strict-Transport-Security"] = _ONE_YEAR
            await send(message)

        return insist
