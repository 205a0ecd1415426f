"""The dashboard's requests to the server for logins and commands; the dashboard does not store passwords."""

from __future__ import annotations

import enum
import json
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec
from tornado.httpclient import AsyncHTTPClient, HTTPError, HTTPRequest

_SECONDS = 15.0


class Refusal(enum.Enum):
    """Why a login is refused; the values are shown to the reader."""

    WRONG = "Wrong name or password."
    """The server does not accept the name and password."""
    WRONG_KEY = "This key is not valid: it may be mistyped, expired or revoked."
    """The server does not accept the key."""
    SLOWER = "Too many logins have failed: wait a moment before you try again."
    """Too many logins have failed."""
    AWAY = "The server does not answer now: try again in a moment."
    """The server does not answer, or answers unexpectedly."""


class DashboardUser(msgspec.Struct, frozen=True):
    """A reader authenticated by the server, with the tokens of the login; they are empty for an API key."""

    name: str
    role: str
    access_token: str = ""
    refresh_token: str = ""
    seconds: float = 0.0

    def __repr__(self) -> str:
        return f"DashboardUser(name={self.name!r}, role={self.role!r})"


class Counter:
    """Asks the server whose feed is at `feed`, such as ``ws://127.0.0.1:8000/feed``."""

    def __init__(self, feed: str) -> None:
        parts = urlsplit(feed)
        self._root = urlunsplit((parts.scheme.replace("ws", "http", 1), parts.netloc, "/api/v1/auth/", "", ""))

    async def sign_in(self, name: str, password: str, *, address: str) -> DashboardUser | Refusal:
        """Log in by name and password; `address` is the browser's."""
        return _reader(await self._post("login", {"name": name, "password": password}, {"X-Forwarded-For": address}))

    async def refresh(self, reader: DashboardUser) -> DashboardUser | Refusal:
        """Return the same reader with the next tokens, if the login is still active."""
        return _reader(await self._post("refresh", {"refresh_token": reader.refresh_token}, {}))

    async def sign_out(self, reader: DashboardUser) -> None:
        """End the login of a reader."""
        await self._post("logout", {}, {"Authorization": f"Bearer {reader.access_token}"})

    async def recognize(self, key: str) -> DashboardUser | Refusal:
        """Return the owner of an API key."""
        found = _reader(await self._ask(HTTPRequest(f"{self._root}me", headers={"X-API-Key": key})))
        return Refusal.WRONG_KEY if found is Refusal.WRONG else found

    async def stop(self, level: str, *, reason: str, account: str, headers: dict[str, str]) -> str:
        """Ask the server to stop the account, with the credentials in `headers`; return the outcome as a sentence."""
        found = await self._command(
            "stop", {"level": level, "reason": reason, "account": account}, headers, seconds=2 * _SECONDS
        )
        if found is None:
            return "The server does not answer: type ibdesk stop on its machine, or touch the file STOP there."
        if isinstance(found, str):
            return found
        if not found["done"]:
            return f"Halted as {found['halt_id']}. {found['failure']}"
        return f"Done in {found['seconds']:.1f} s. The halt {found['halt_id']} stands until it is lifted."

    async def resume(self, halt_id: str, *, reason: str, headers: dict[str, str]) -> str:
        """Ask the server to lift a halt, with the credentials in `headers`; return the outcome as a sentence."""
        found = await self._command("risk/resume", {"id": halt_id, "reason": reason}, headers, seconds=_SECONDS)
        if found is None:
            return "The server does not answer: type ibdesk resume on its machine."
        return found if isinstance(found, str) else f"The halt {halt_id} is lifted."

    async def _command(
        self, path: str, body: dict[str, str], headers: dict[str, str], *, seconds: float
    ) -> dict[str, Any] | str | None:
        """Return the server's answer to a command, or its refusal as a sentence; None if it does not answer."""
        address = f"{self._root.removesuffix('auth/')}{path}"
        request = HTTPRequest(address, "POST", headers | {"Content-Type": "application/json"}, body=json.dumps(body))
        request.connect_timeout, request.request_timeout = _SECONDS, seconds
        try:
            found: dict[str, Any] = json.loads((await AsyncHTTPClient().fetch(request)).body or b"{}")
        except HTTPError as error:
            return f"The server refuses: {_detail_of(error)}"
        except (OSError, ValueError):
            return None
        return found

    async def _post(self, path: str, body: dict[str, str], headers: dict[str, str]) -> dict[str, Any] | Refusal:
        headers = headers | {"Content-Type": "application/json"}
        return await self._ask(HTTPRequest(self._root + path, "POST", headers, body=json.dumps(body)))

    async def _ask(self, request: HTTPRequest) -> dict[str, Any] | Refusal:
        request.connect_timeout = request.request_timeout = _SECONDS
        try:
            answer = await AsyncHTTPClient().fetch(request)
            found = json.loads(answer.body or b"{}")
        except HTTPError as error:
            refusals = {401: Refusal.WRONG, 403: Refusal.WRONG, 422: Refusal.WRONG, 429: Refusal.SLOWER}
            return refusals.get(error.code, Refusal.AWAY)
        except (OSError, ValueError):
            return Refusal.AWAY
        return found if isinstance(found, dict) else Refusal.AWAY


def _detail_of(error: HTTPError) -> str:
    try:
        return str(json.loads(error.response.body)["detail"]) if error.response else error.message
    except (ValueError, KeyError, TypeError):
        return f"{error.code} {error.message}"


def _reader(found: dict[str, Any] | Refusal) -> DashboardUser | Refusal:
    if isinstance(found, Refusal):
        return found
    try:
        return DashboardUser(
            name=str(found["name"]),
            role=str(found["role"]),
            access_token=str(found.get("access_token", "")),
            refresh_token=str(found.get("refresh_token", "")),
            seconds=float(found.get("expires_in", 0)),
        )
    except (KeyError, TypeError, ValueError):
        return Refusal.AWAY
