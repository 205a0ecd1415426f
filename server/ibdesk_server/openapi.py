"""The OpenAPI document: FastAPI's, completed with what FastAPI cannot know.

Added are the role that each operation requires, every status that it may return, msgpack beside JSON, the headers of
answers, and an example of each body, assembled from the examples of its fields.
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
    "orders": "List, place, change and cancel orders. Orders by hand pass the same risk gate as those of strategies.",
    "book": "Positions, fills, round trips and the account.",
    "runs": "Strategy runs: start, watch, change and stop them.",
    "strategies": "The strategy files of the server's folder.",
    "market": "Quotes, bars and history. The caller sets the maximum age of an answer.",
    "instruments": "Instruments that can be traded.",
    "risk": "The limits of the risk gate; halt and resume trading.",
    "backtests": "Backtests in the background, each in its own process.",
    "journal": "Every event that reached the engine, and the engine's actions.",
    "settings": "The settings in effect.",
    "users": "Users who may log in.",
    "keys": "API keys for programs.",
    "login": "Log in by password and renew the login.",
    "session": "Log a browser in and out.",
    "feed": "Updates as server-sent events. The WebSocket at `/feed` sends the same in msgpack.",
    "health": "Liveness, readiness, component health and metrics.",
}
_SAYS = {
    401: "Not authenticated: send a key or a token.",
    403: "The caller's role or the key's scopes do not allow it, or a page of another site asks.",
    404: "Not found.",
    406: "`Accept` allows neither JSON nor msgpack.",
    409: "Not possible in the present state of the resource or desk; also a denied order.",
    412: "The resource has changed since the caller read it.",
    413: "The body is too long.",
    415: "The body is neither JSON nor msgpack.",
    422: "The request is not valid; `errors` lists each fault.",
    429: "Too many requests: try again after `Retry-After` seconds.",
    502: "TWS refused; `detail` quotes its reason.",
    503: "The desk or TWS cannot be reached, or a queue is full. Nothing was done, and nothing will be done later.",
    504: "The engine has not answered: it is not known whether the command was carried out.",
}
_HEADERS = {
    "X-Request-ID": "the id of the request in the log",
    "ETag": "for `If-None-Match`; an order's also for `If-Match`",
    "Link": "the next page, as `rel=next`",
    "Location": "the path of the new resource",
    "Idempotent-Replayed": "`true` if this is the stored answer to an earlier request",
    "Age": "the age of the answer in seconds",
    "Retry-After": "how many seconds to wait before the next try",
}


def describe(routers: Sequence[APIRouter]) -> Plain:
    """Return the OpenAPI document of an app with these routers."""
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
    """Return the highest role that a route requires, None if it is open to everybody."""
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
        operation["responses"]["304"] = {"description": "The caller's copy is current.", "headers": _headers("ETag")}
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
    """Copy the example of a parameter's schema to the parameter, where viewers look for it."""
    if "examples" in parameter["schema"] or not _is_null(parameter["schema"]):
        parameter["example"] = example_of(parameter["schema"], schemas)


def _is_null(schema: Plain) -> bool:
    return schema.get("default", ...) is None or {"type": "null"} in schema.get("anyOf", ())


def _failures(operation: Plain, path: str, method: str, role: Role | None) -> list[int]:
    """Return the error statuses that an operation may return."""
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
    """Return a schema's own example, or one assembled from the examples of its parts."""
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
