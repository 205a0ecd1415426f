"""Errors as problem details (RFC 9457), with the id to find them in the log."""

from __future__ import annotations

import math
import re
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ibdesk.desk import DeskState
from ibdesk.errors import (
    AddressInUseError,
    CommandExpiredError,
    ConfigError,
    DataError,
    DeskError,
    DetachedError,
    HistoryError,
    IbdeskError,
    InstrumentError,
    JournalError,
    LinkError,
    OrderChangedError,
    OrderDeniedError,
    OrderError,
    OutcomeUnknownError,
    StrategyError,
)
from ibdesk.store import AccountHaltsError
from ibdesk.telemetry import correlation_id
from ibdesk_server.backtests.service import QueueFullError
from ibdesk_server.pages import problem_page, wants_page
from ibdesk_server.security.errors import AccessError, NameTakenError, UnknownNameError
from ibdesk_server.strict import StrictRoute, did_you_mean

MEDIA_TYPE = "application/problem+json"

_RETRY_SECONDS = "1"
_UNREADABLE_BODY = "There was an error parsing the body"
# How many faults of a request are reported, and how many characters of a faulty name.
_MOST_FAULTS, _LONGEST_NAME = 50, 100
# An absolute path of at least two names that is not part of a URL.
_FILE_PATH = re.compile(r"(?<![\w:/.])/(?:[^\s/:'\",;]+/)+[^\s/:'\",;]+")

# The first matching class determines the status.
_STATUS_OF: tuple[tuple[type[IbdeskError], HTTPStatus], ...] = (
    (UnknownNameError, HTTPStatus.NOT_FOUND),
    (NameTakenError, HTTPStatus.CONFLICT),
    (AccessError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (InstrumentError, HTTPStatus.NOT_FOUND),
    (AccountHaltsError, HTTPStatus.SERVICE_UNAVAILABLE),
    (JournalError, HTTPStatus.NOT_FOUND),
    (StrategyError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (ConfigError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (DataError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (OrderChangedError, HTTPStatus.PRECONDITION_FAILED),
    (OrderDeniedError, HTTPStatus.CONFLICT),
    (OrderError, HTTPStatus.CONFLICT),
    (HistoryError, HTTPStatus.BAD_GATEWAY),
    (LinkError, HTTPStatus.SERVICE_UNAVAILABLE),
    (AddressInUseError, HTTPStatus.CONFLICT),
    (QueueFullError, HTTPStatus.SERVICE_UNAVAILABLE),
    (OutcomeUnknownError, HTTPStatus.GATEWAY_TIMEOUT),
    (DetachedError, HTTPStatus.SERVICE_UNAVAILABLE),
    (CommandExpiredError, HTTPStatus.SERVICE_UNAVAILABLE),
    (DeskError, HTTPStatus.CONFLICT),
)


class FieldProblem(BaseModel):
    """A fault in one field of a request."""

    where: str = Field(description="path of the field", examples=["body.parameters.fast"])
    what: str = Field(examples=["Input should be greater than or equal to 1"])


class Problem(BaseModel):
    """An error as RFC 9457 defines it."""

    type: str = Field("about:blank", description="URI of the kind of problem; `about:blank` if the status says it all")
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(description="one sentence: the cause and the remedy")
    instance: str = Field(description="path of the request")
    correlation_id: str = Field(description="id of the request in the server's log")
    errors: list[FieldProblem] = Field([], description="each fault of an invalid request")
    facts: dict[str, str | float | None] = Field(
        {},
        description="figures of the error, by name",
        examples=[{"order_id": "manual-h1k2", "rule": "max_position_shares", "limit": 500, "asked": 700}],
    )


def problem_response(
    status: int,
    detail: str,
    *,
    path: str,
    kind: str = "about:blank",
    errors: list[FieldProblem] | None = None,
    facts: dict[str, str | float | None] | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """Return a problem as a response."""
    problem = Problem(
        type=kind,
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=path,
        correlation_id=correlation_id.get(),
        errors=errors or [],
        facts=facts or {},
    )
    return JSONResponse(problem.model_dump(), status, headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Answer all errors of the app as problems."""
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(IbdeskError, _on_ours)


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - for the type checker; Starlette calls by class
    detail, headers = error.detail, dict(error.headers) if error.headers else {}
    if detail == HTTPStatus(error.status_code).phrase:
        # FastAPI's own text only repeats the status.
        match error.status_code:
            case HTTPStatus.NOT_FOUND:
                detail = f"{request.url.path} does not exist"
            case HTTPStatus.METHOD_NOT_ALLOWED:
                detail = f"{request.url.path} does not support {request.method}: use {headers.get('Allow', 'GET')}"
    if error.status_code == HTTPStatus.BAD_REQUEST and detail == _UNREADABLE_BODY:
        detail = "the body cannot be read: send JSON in UTF-8"
    return _answer(request, error.status_code, detail, headers=headers or None)


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - for the type checker; as above
    for fault in error.errors():
        if fault["type"] == "json_invalid":
            reason = fault.get("ctx", {}).get("error", "it cannot be read")
            return problem_response(400, f"the body is not valid JSON: {reason}", path=request.url.path)
    faults = [
        FieldProblem(where=".".join(str(part)[:_LONGEST_NAME] for part in fault["loc"]), what=_what(fault, request))
        for fault in error.errors()[:_MOST_FAULTS]
    ]
    detail = "; ".join(f"{fault.where}: {fault.what}" for fault in faults)
    return _answer(request, 422, detail, errors=faults)


def _what(fault: dict[str, Any], request: Request) -> str:
    """Return the fault as a sentence; for an unknown field, it suggests a known one."""
    route = request.scope.get("route")
    if fault["type"] == "extra_forbidden" and isinstance(route, StrictRoute):
        _, *path, name = fault["loc"]
        return f"unknown name: {did_you_mean(str(name), route.body_names(tuple(path)))}"
    return str(fault["msg"]).removeprefix("Value error, ")


async def _on_ours(request: Request, error: Exception) -> Response:
    status = next((status for cls, status in _STATUS_OF if isinstance(error, cls)), None)
    if status is None:
        raise error
    detail, headers = without_paths(str(error)), None
    state: DeskState = request.app.state.services.desk.state
    if state is not DeskState.OPEN and status is not HTTPStatus.GATEWAY_TIMEOUT:
        status = HTTPStatus.SERVICE_UNAVAILABLE
    # The cause of a desk's failure and its address appear in the log only.
    if isinstance(error, OutcomeUnknownError):
        detail = (
            "the engine has not answered: it is not known whether the command was carried out; check orders, runs and "
            "risk before you repeat it"
        )
    elif isinstance(error, DetachedError):
        detail = "the engine is away: nothing was done, and nothing will be done later; try again"
    elif state is DeskState.FAILED:
        detail = "the desk has failed and stopped trading: its log says why"
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers = {"Retry-After": _RETRY_SECONDS}
    kind = f"urn:ibdesk:{type(error).__name__}"
    facts = {} if isinstance(error, DetachedError) else _facts(error)
    return _answer(request, status, detail, kind=kind, headers=headers, facts=facts)


def _answer(
    request: Request, status: int, detail: str, *, headers: dict[str, str] | None = None, **others: Any
) -> Response:
    """Return a problem as a page for browsers, as JSON for programs."""
    if wants_page(request):
        return problem_page(status, HTTPStatus(status).phrase, detail, correlation_id.get(), headers or {})
    return problem_response(status, detail, path=request.url.path, headers=headers, **others)


def without_paths(text: str) -> str:
    """Return a sentence in which absolute paths are reduced to file names, so that clients do not learn folders."""
    return _FILE_PATH.sub(lambda found: found[0].rpartition("/")[2], text)


def _facts(error: Exception) -> dict[str, str | float | None]:
    """Return the error's attributes that are text or numbers; infinite numbers become None, as JSON has no infinity."""
    return {name: _fact(value) for name, value in vars(error).items() if isinstance(value, str | float | int)}


def _fact(value: str | float) -> str | float | None:
    if isinstance(value, str):
        return without_paths(value)
    return value if math.isfinite(value) else None
