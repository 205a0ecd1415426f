"""What a call of the REST interface is, before anybody makes it."""

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
    """One request, and how its answer is read; `body` goes as JSON."""

    method: str
    path: str
    read: Callable[[bytes], T]
    params: dict[str, Any] = {}
    body: dict[str, Any] | None = None
    headers: dict[str, str] = {}

    @property
    def may_be_repeated(self) -> bool:
        """Return whether sending it twice does no more than sending it once."""
        return self.method == "GET" or IDEMPOTENCY_KEY in self.headers

    def at(self, cursor: str) -> ApiCall[T]:
        """Return the call for the page of a list that begins at `cursor`."""
        return msgspec.structs.replace(self, params=self.params | {"cursor": cursor})


def get(path: str, answer: type[T], /, **params: Any) -> ApiCall[T]:
    """Return the call that reads what stands at a path."""
    return ask("GET", path, answer, params=params)


def do(method: str, path: str, *, body: dict[str, Any] | None = None) -> ApiCall[None]:
    """Return a call that has no answer but that it was done."""
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
    """Return a call whose answer is of a kind; parameters that are None are left out, `key` makes it repeatable."""
    given = {name: _text(value) for name, value in (params or {}).items() if value is not None}
    headers = {IDEMPOTENCY_KEY: key} if key else {}
    read = TypeAdapter(kind).validate_json
    return ApiCall(method=method, path=f"{API}/{path}", read=read, params=given, body=body, headers=headers)


def key_or_new(given: str | None) -> str:
    """Return the caller's own key of what is asked for, or one that nobody has used."""
    return given or uuid.uuid4().hex


def _nothing(_: bytes) -> None:
    return None


def _text(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.datetime) else value
