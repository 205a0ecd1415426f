"""Rate limits by address, and the rate-limit headers of every answer."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ibdesk_server.problems import problem_response
from ibdesk_server.security.addresses import Addresses
from ibdesk_server.security.budgets import Budgets, Standing

# Probes and monitoring are never rate limited.
_UNCOUNTED = frozenset({"/health", "/health/live"})


class BudgetMiddleware:
    """Refuses requests beyond an address's budget, and adds ``RateLimit`` and ``Retry-After`` to answers.

    The headers are those of draft-ietf-httpapi-ratelimit-headers. The budgets of users and keys are counted after
    authentication, by the dependency `Caller`, which stores the standing in the request's state.
    """

    def __init__(self, app: ASGIApp, *, budgets: Budgets, addresses: Addresses) -> None:
        self._app, self._budgets, self._addresses = app, budgets, addresses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve an ASGI connection."""
        if scope["type"] != "http" or scope["path"] in _UNCOUNTED:
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["standing"] = standing = await self._budgets.spend(self._budgets.anything, self._addresses.client(scope))

        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_headers(state["standing"], message["status"])]
            await send(message)

        if standing.allowed:
            await self._app(scope, receive, telling)
            return
        refusal = problem_response(
            429, f"too many requests from this address: {standing.limit:,} a minute are allowed", path=scope["path"]
        )
        await refusal(scope, receive, telling)


def _headers(standing: Standing, status: int) -> list[tuple[bytes, bytes]]:
    found = [
        (b"ratelimit-policy", f'"{standing.budget}";q={standing.limit};w=60'.encode()),
        (b"ratelimit", f'"{standing.budget}";r={standing.left};t={standing.reset_seconds}'.encode()),
    ]
    if status == 429 and not standing.allowed:
        found.append((b"retry-after", str(standing.reset_seconds).encode()))
    return found
