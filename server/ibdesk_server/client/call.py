"""Calls of the REST API as values."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec
from pydantic import TypeAdapter

T = TypeVar("T")

API = "/api/v1"
IDEMPOTENCY_KEY = "Idempotency-Key"


class ApiCall(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A request and the decoder of its answer; `body` is sent as JSON."""

    method: str
    path: str
    read: Callable[[bytes], T]
    params: dict[str, Any] = {}
    body: dict[str, Any] | None = None
    headers: dict[str, str] = {}

    @property
    def may_be_repeated(self) -> bool:
        """Return whether the call may be sent twice: it is a GET or has an idempotency key."""
        return self.method == "GET" or IDEMPOTENCY_KEY in self.headers

    def at(self, cursor: str) -> ApiCall[T]:
        """Return the call for the page of the list at `cursor`."""
        return msgspec.structs.replace(self, params=self.params | {"cursor": cursor})


def get(path: str, answer: type[T], /, **params: Any) -> ApiCall[T]:
    """Return the GET call of a path."""
    return ask("GET", path, answer, params=params)


def do(method: str, path: str, *, body: dict[str, Any] | None = None) -> ApiCall[None]:
    """Return a call without an answer."""
    return ApiCall(method=method, path=f"{API}/{path}", read=_nothing, body=body)


def ask(
    method: str,
    path: str,
    kind: type[T],
    *,
    params: dict[str, Any] | None = None,
    body: dict[str, Any] | None = None,
    key: str = "",
) -> ApiCall[T]:
    """Return a call whose answer has type `kind`. None parameters are omitted; `key` makes the call repeatable."""
    given = {name: _text(value) for name, value in (params or {}).items() if value is not None}
    headers = {IDEMPOTENCY_KEY: key} if key else {}
    read = TypeAdapter(kind).validate_json
    return ApiCall(method=method, path=f"{API}/{path}", read=read, params=given, body=body, headers=headers)


def key_or_new(given: str | None) -> str:
    """Return the given idempotency key, or a new unique one."""
    return given or uuid.uuid4().hex


def _nothing(_: bytes) -> None:
    return None


def _text(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.datetime) else value
