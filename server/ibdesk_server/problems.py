"""Errors as answers: one shape for all of them, problem details (RFC 9457), with the id to find them in the log by."""

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
# What a caller sent wrong is told as far as a person can read it.
_MOST_FAULTS, _LONGEST_NAME = 50, 100
# An absolute path: not a part of an address, and more than one name.
_FILE_PATH = re.compile(r"(?<![\w:/.])/(?:[^\s/:'\",;]+/)+[^\s/:'\",;]+")

# The first class that fits tells the status.
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
    """What is wrong with one field of a request."""

    where: str = Field(description="the field, as a path", examples=["body.parameters.fast"])
    what: str = Field(examples=["Input should be greater than or equal to 1"])


class Problem(BaseModel):
    """An error, as RFC 9457 has it."""

    type: str = Field("about:blank", description="the kind of problem; `about:blank` says no more than the status")
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(description="one sentence that names the thing and what to do")
    instance: str = Field(description="the path of the request")
    correlation_id: str = Field(description="find the request in the server's log by this id")
    errors: list[FieldProblem] = Field([], description="for a request that is not valid: each fault")
    facts: dict[str, str | float | None] = Field(
        {},
        description="the figures behind the sentence, by name",
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
    """Have all errors of the app answered as problems."""
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(IbdeskError, _on_ours)


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - for the type checker; Starlette calls by class
    detail, headers = error.detail, dict(error.headers) if error.headers else {}
    if detail == HTTPStatus(error.status_code).phrase:
        # The framework's own words say no more than the status.
        match error.status_code:
            case HTTPStatus.NOT_FOUND:
                detail = f"there is nothing at {request.url.path}"
            case HTTPStatus.METHOD_NOT_ALLOWED:
                detail = f"{request.url.path} takes no {request.method}: it takes {headers.get('Allow', 'GET')}"
    if error.status_code == HTTPStatus.BAD_REQUEST and detail == _UNREADABLE_BODY:
        detail = "the body cannot be read: send JSON in UTF-8"
    return _answer(request, error.status_code, detail, headers=headers or None)


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - for the type checker; as above
    for fault in error.errors():
        if fault["type"] == "json_invalid":
            reason = fault.get("ctx", {}).get("error", "it cannot be read")
            return problem_response(400, f"the body is no JSON: {reason}", path=request.url.path)
    faults = [
        FieldProblem(where=".".join(str(part)[:_LONGEST_NAME] for part in fault["loc"]), what=_what(fault, request))
        for fault in error.errors()[:_MOST_FAULTS]
    ]
    detail = "; ".join(f"{fault.where}: {fault.what}" for fault in faults)
    return _answer(request, 422, detail, errors=faults)


def _what(fault: dict[str, Any], request: Request) -> str:
    """Return what is wrong in a sentence; an unknown field is told with the one that was probably meant."""
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
    # Why a desk has failed and where it lives is for its log, and for who may read it.
    if isinstance(error, OutcomeUnknownError):
        detail = (
            "the engine has not answered: whether the command was carried out is not known; look at orders, runs and "
            "risk before you give it again"
        )
    elif isinstance(error, DetachedError):
        detail = "the engine is away: nothing was done, and nothing of this will be done later; try again"
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
    """Return a problem: a page for a browser that shows what it gets, JSON for programs."""
    if wants_page(request):
        return problem_page(status, HTTPStatus(status).phrase, detail, correlation_id.get(), headers or {})
    return problem_response(status, detail, path=request.url.path, headers=headers, **others)


def without_paths(text: str) -> str:
    """Return a sentence in which files go by their names alone: where they are is nobody's business."""
    return _FILE_PATH.sub(lambda found: found[0].rpartition("/")[2], text)


def _facts(error: Exception) -> dict[str, str | float | None]:
    """Return what the error says in figures and names; a figure without end is none in JSON."""
    return {name: _fact(value) for name, value in vars(error).items() if isinstance(value, str | float | int)}


def _fact(value: str | float) -> str | float | None:
    if isinstance(value, str):
        return without_paths(value)
    return value if math.isfinite(value) else None
