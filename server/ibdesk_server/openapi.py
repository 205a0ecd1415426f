"""The description of the interface for programs: what FastAPI knows of the routes, and what it cannot know.

That is: the role that each operation needs, every status it may answer with, msgpack beside JSON, the headers of
answers, and an example of each body, put together from the examples of its fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic.json_schema import models_json_schema

from ibdesk_server.content import JSON, MSGPACK, PROBLEM
from ibdesk_server.dependencies import RequiredRole
from ibdesk_server.idempotency import HEADER as IDEMPOTENCY_KEY
from ibdesk_server.problems import Problem
from ibdesk_server.security.principal import Role

Plain = dict[str, Any]

_TAGS = {
    "orders": "Orders: see, place, change, cancel. Those by hand pass the same risk gate as those of strategies.",
    "book": "The book: positions, fills, round trips, the account.",
    "runs": "Strategies that trade, or have traded: start, watch, change, stop.",
    "strategies": "The strategy files of the server's folder.",
    "market": "Quotes, bars, history. The caller says how old an answer may be.",
    "instruments": "What there is to trade.",
    "risk": "The limits of the risk gate, and the word that halts or resumes trading.",
    "backtests": "Backtests in the background, each in a process of its own.",
    "journal": "The record: every event that reached the engine, and what it did about it.",
    "settings": "The settings in effect.",
    "users": "Who may log in.",
    "keys": "Keys for programs.",
    "login": "Log in by password, and stay so.",
    "session": "A browser's way in and out.",
    "feed": "News as they happen, as server-sent events; the WebSocket at `/feed` says the same in msgpack.",
    "health": "Is it alive, is it ready, how is everything?",
}
_SAYS = {
    401: "Nobody knows who asks: send a key or a token.",
    403: "The role or the key's areas do not allow it, or another site's page asks.",
    404: "There is no such thing.",
    406: "`Accept` leaves neither JSON nor msgpack.",
    409: "It does not fit the state that the thing or the desk is in; a denied order, too.",
    412: "It has changed since it was seen.",
    413: "The body is too long.",
    415: "The body is neither JSON nor msgpack.",
    422: "The request is not valid; `errors` tells each fault.",
    429: "Too many requests: `Retry-After` tells when to come again.",
    502: "TWS refused, and its reason is told.",
    503: "The desk or TWS cannot be reached now, or a queue is full; nothing was done, and nothing will be.",
    504: "The engine has not answered: whether it was done is not known.",
}
_HEADERS = {
    "X-Request-ID": "find the request in the log by it",
    "ETag": "good for `If-None-Match`, that of an order also for `If-Match`",
    "Link": "the next page, as `rel=next`",
    "Location": "where the new thing is",
    "Idempotent-Replayed": "`true` when this is the answer of the first time",
    "Age": "how many seconds old the answer is",
    "Retry-After": "when to come again, in seconds",
}


def describe(routers: Sequence[APIRouter]) -> Plain:
    """Return the OpenAPI document of an app that has these routers."""
    routes = [route for router in routers for route in router.routes if isinstance(route, APIRoute)]
    document = get_openapi(
        title="ibdesk",
        version="1",
        summary="A trading desk on Interactive Brokers: strategies, book, market, control.",
        routes=routes,
        separate_input_output_schemas=False,
    )
    roles = {(route.path, method): _role(route.dependant) for route in routes for method in route.methods or ()}
    schemas: Plain = document["components"]["schemas"]
    _, problem = models_json_schema([(Problem, "serialization")], ref_template="#/components/schemas/{model}")
    schemas |= problem["$defs"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    tags = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _complete(operation, path, method, roles.get((path, method.upper())), schemas)
            tags += [tag for tag in operation["tags"] if tag not in tags]
    document["tags"] = [{"name": tag, "description": _TAGS.get(tag, "")} for tag in sorted(tags, key=_place)]
    return document


def _place(tag: str) -> int:
    return list(_TAGS).index(tag) if tag in _TAGS else len(_TAGS)


def _role(dependant: Dependant) -> Role | None:
    """Return the highest role that a route asks for, None when anybody may come."""
    roles = [_role(each) for each in dependant.dependencies]
    if isinstance(dependant.call, RequiredRole):
        roles.append(dependant.call.role)
    return max((role for role in roles if role is not None), default=None)


def _complete(operation: Plain, path: str, method: str, role: Role | None, schemas: Plain) -> None:
    if role is None:
        operation["security"] = []
    else:
        operation["x-role"] = role.value
        operation["description"] += f"\n\nNeeds the role **{role.value}**."
    is_api = path.startswith("/api/")
    operation["responses"].pop("422", None)
    for status, response in operation["responses"].items():
        _complete_answer(operation, path, method, int(status), response, schemas)
    if is_api and method == "get":
        operation["responses"]["304"] = {"description": "The caller has it already.", "headers": _headers("ETag")}
    for status in _failures(operation, path, method, role):
        operation["responses"][str(status)] = _problem(status, path)
    for parameter in operation.get("parameters", ()):
        _complete_parameter(parameter, schemas)
    if "requestBody" in operation:
        content = operation["requestBody"]["content"]
        if JSON in content:
            content[JSON]["example"] = example_of(content[JSON]["schema"], schemas)
            if is_api:
                content[MSGPACK] = dict(content[JSON])


def _complete_answer(operation: Plain, path: str, method: str, status: int, response: Plain, schemas: Plain) -> None:
    if response["description"] == "Successful Response":
        response["description"] = HTTPStatus(status).phrase
    names = {parameter["name"] for parameter in operation.get("parameters", ())}
    told = ["X-Request-ID"]
    if path.startswith("/api/") and method == "get":
        told.append("ETag")
    told += [header for header, sign in (("Link", "cursor"), ("Age", "max_age")) if sign in names]
    if IDEMPOTENCY_KEY in names:
        told += ["Location", "Idempotent-Replayed"]
    response["headers"] = _headers(*told)
    content = response.get("content", {})
    if JSON in content and content[JSON].get("schema"):
        content[JSON]["example"] = example_of(content[JSON]["schema"], schemas)
        if path.startswith("/api/"):
            content[MSGPACK] = dict(content[JSON])


def _complete_parameter(parameter: Plain, schemas: Plain) -> None:
    """Give a parameter the example of its schema, where the documents' readers look for it."""
    if "examples" in parameter["schema"] or not _is_null(parameter["schema"]):
        parameter["example"] = example_of(parameter["schema"], schemas)


def _is_null(schema: Plain) -> bool:
    return schema.get("default", ...) is None or {"type": "null"} in schema.get("anyOf", ())


def _failures(operation: Plain, path: str, method: str, role: Role | None) -> list[int]:
    """Return the statuses of the problems that an operation may answer with."""
    found = {429}
    if role is not None:
        found |= {401, 403}
    places = {parameter["in"] for parameter in operation.get("parameters", ())}
    if places or "requestBody" in operation:
        found.add(422)
    if "path" in places:
        found.add(404)
    if "requestBody" in operation:
        found |= {400, 413, 415}
    if path.startswith("/api/"):
        found |= {404, 406, 409, 502, 503}
        if method != "get":
            found.add(504)
    if path.endswith(("/login", "/refresh", "/session")):
        found |= {401, 403, 422}
    if path == "/health/ready":
        found.add(503)
    if any(parameter["name"] == "if-match" for parameter in operation.get("parameters", ())):
        found.add(412)
    return sorted(found)


def _problem(status: int, path: str) -> Plain:
    example = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": _SAYS.get(status, HTTPStatus(status).description),
        "instance": path,
        "correlation_id": "3f0c8f1b5d6e4b7a9c2d1e0f3a4b5c6d",
        "errors": [],
        "facts": {},
    }
    body = {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}
    told = ["X-Request-ID", "Retry-After"] if status in {429, 503} else ["X-Request-ID"]
    return {
        "description": _SAYS.get(status, HTTPStatus(status).phrase),
        "content": {PROBLEM: body, MSGPACK: dict(body)},
        "headers": _headers(*told),
    }


def _headers(*names: str) -> Plain:
    return {name: {"description": _HEADERS[name], "schema": {"type": "string"}} for name in names}


def example_of(schema: Plain, schemas: Plain) -> Any:
    """Return an example of what a schema describes: its own, or one made of those of its parts."""
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if schema.get("examples"):
        return schema["examples"][0]
    for choice in ("oneOf", "anyOf", "allOf"):
        if choice in schema:
            return example_of(next(each for each in schema[choice] if each.get("type") != "null"), schemas)
    for name in ("default", "const", "enum"):
        if name in schema:
            return schema[name][0] if name == "enum" else schema[name]
    if "properties" in schema:
        return {name: example_of(part, schemas) for name, part in schema["properties"].items()}
    if "items" in schema:
        return [example_of(schema["items"], schemas)]
    return {"object": {}, "array": [], "string": "text", "boolean": True}.get(schema.get("type", ""), 1)
