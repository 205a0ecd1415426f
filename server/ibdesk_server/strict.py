"""Strict requests: unknown and repeated names are refused, with a suggestion.

If a misspelled `flaten` were ignored, the request would seem to be carried out although it was not.
"""

from __future__ import annotations

import difflib
import json
import typing
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any

from fastapi import Depends, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

_LONGEST_NAME = 100
_CUTOFF = 0.6


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint at the known name most similar to `name`, or a list of all known names."""
    names = sorted(known)
    if not names:
        return "no names are known here"
    close = difflib.get_close_matches(name, names, n=1, cutoff=_CUTOFF)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(names)}"


class StrictRoute(APIRoute):
    """A route that refuses unknown and repeated query names, unknown body fields, and an unexpected body.

    The caller is authenticated first, so that strangers do not learn the names.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        """Make a route.

        Raises:
            TypeError: If the model of its body accepts unknown fields.
        """
        options["dependencies"] = [*(options.get("dependencies") or ()), Depends(_require_known_names)]
        super().__init__(path, endpoint, **options)
        self.query_names = {field.alias: _is_list(field.field_info.annotation) for field in _query(self.dependant)}
        self.body_model: Any = None if self.body_field is None else self.body_field.field_info.annotation
        for model in _models(self.body_model):
            if model.model_config.get("extra") != "forbid":
                raise TypeError(f'{model.__name__}, the body of {path}, must have extra="forbid"')

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the route's handler."""
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            return await handle(_StrictRequest(request.scope, request.receive))

        return handle_strictly

    def body_names(self, path: tuple[str | int, ...] = ()) -> set[str]:
        """Return the names of the body's fields at a path, such as ``("bars", "sample")``."""
        return _names_at([self.body_model], path)


class _StrictRequest(Request):
    """A request that refuses JSON objects with a repeated name, because parsers differ in which value they take."""

    async def json(self) -> Any:
        """Return the body.

        Raises:
            JSONDecodeError: If it is not valid JSON.
            HTTPException: 422, if an object repeats a name.
        """
        if not hasattr(self, "_json"):
            self._json = json.loads(await self.body(), object_pairs_hook=_unique)
        return self._json


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise HTTPException(422, f"body.{twice[:_LONGEST_NAME]}: the name is given {names.count(twice)} times")
    return found


async def _require_known_names(request: Request) -> None:
    """Check the names in the request.

    Raises:
        RequestValidationError: If the route does not know some.
    """
    route = request.scope["route"]
    assert isinstance(route, StrictRoute)  # noqa: S101 - for the type checker; no other route has this dependency
    names = [name for name, _ in request.query_params.multi_items()]
    faults = []
    for name in dict.fromkeys(names):
        if name not in route.query_names:
            is_of_body = name in route.body_names()
            what = "it belongs in the body" if is_of_body else did_you_mean(name, route.query_names)
            faults.append(_fault("query", name, f"unknown name: {what}"))
        elif names.count(name) > 1 and not route.query_names[name]:
            faults.append(_fault("query", name, f"the name is given {names.count(name)} times, and takes one value"))
    if route.body_field is None:
        faults += await _unexpected_body(request, route)
    if faults:
        raise RequestValidationError(faults)


async def _unexpected_body(request: Request, route: StrictRoute) -> list[dict[str, Any]]:
    """Return the faults of a body where none is expected; an empty ``{}`` is accepted."""
    try:
        # A body beyond the limit reads as a disconnect; the outer middleware answers 413.
        data = await request.body()
    except ClientDisconnect:
        raise HTTPException(400, "the body cannot be read") from None
    if not data.strip():
        return []
    what = f"{request.method} {request.url.path} does not accept a body"
    try:
        given = json.loads(data)
    except ValueError:
        return [_fault("body", "", what)]
    if not isinstance(given, dict):
        return [_fault("body", "", what)]
    return [_fault("body", name, what + _hint(name, route)) for name in given]


def _hint(name: str, route: StrictRoute) -> str:
    if name in route.query_names:
        return ": put it in the query"
    close = difflib.get_close_matches(name, route.query_names, n=1, cutoff=_CUTOFF)
    return f": did you mean {close[0]} in the query?" if close else ""


def _fault(place: str, name: str, what: str) -> dict[str, Any]:
    return {"type": "unknown_name", "loc": (place, name) if name else (place,), "msg": what, "input": None}


def _query(dependant: Dependant) -> Iterator[Any]:
    yield from dependant.query_params
    for each in dependant.dependencies:
        yield from _query(each)


def _is_list(annotation: Any) -> bool:
    return any(typing.get_origin(part) is list for part in (annotation, *typing.get_args(annotation)))


def _parts(annotation: Any) -> Iterator[Any]:
    """Return an annotation and all types in it."""
    yield annotation
    for part in typing.get_args(annotation):
        yield from _parts(part)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Return all models that an annotation reaches."""
    for part in _parts(annotation):
        if isinstance(part, type) and issubclass(part, BaseModel):
            yield part
            for field in part.model_fields.values():
                yield from _models(field.annotation)


def _names_at(annotations: list[Any], path: tuple[str | int, ...]) -> set[str]:
    """Return the field names of the models at a path; parts that select a union member are skipped."""
    models = [
        part
        for annotation in annotations
        for part in _parts(annotation)
        if isinstance(part, type) and issubclass(part, BaseModel)
    ]
    if not path:
        return {field.alias or name for model in models for name, field in model.model_fields.items()}
    inner = [model.model_fields[path[0]].annotation for model in models if path[0] in model.model_fields]
    return _names_at(inner, path[1:]) if inner else _names_at(_chosen(models, path[0]), path[1:])


def _chosen(models: list[type[BaseModel]], tag: str | int) -> list[Any]:
    """Return the models of a union that a tag selects; all of them if it selects none."""
    chosen = [
        model for model in models if any(tag in typing.get_args(f.annotation) for f in model.model_fields.values())
    ]
    return [*(chosen or models)]
