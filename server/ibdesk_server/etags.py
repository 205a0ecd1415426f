"""Entity tags for conditional requests: 304 for an unchanged answer, 412 for a change based on an old state.

The tag of a list, file or document is a hash of the answer. An order's tag is made of its fields that can change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from starlette.exceptions import HTTPException

from ibdesk_server.content import unpacked_tag
from ibdesk_server.strict import StrictRoute

_KEPT_IF_KNOWN = ("etag", "cache-control", "vary", "link", "age")

REVALIDATE = "private, no-cache"
"""The `Cache-Control` of an answer with a tag: keep it, and revalidate it each time."""


class TaggedRoute(StrictRoute):
    """A route whose answers to GET carry an entity tag, and are 304 if the caller has them already."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the route's handler."""
        handle = super().get_route_handler()

        async def handle_tagged(request: Request) -> Response:
            response = await handle(request)
            return tagged(request, response) if request.method in {"GET", "HEAD"} else response

        return handle_tagged


def tagged(request: Request, response: Response) -> Response:
    """Return the response with an entity tag, its own or a hash of its body; 304 if the caller has it already."""
    if response.status_code != 200 or not hasattr(response, "body"):
        return response
    # Weak, because the JSON and msgpack forms of an answer share it.
    tag = response.headers.setdefault("ETag", f'W/"{fingerprint(bytes(response.body))}"')
    response.headers["Cache-Control"] = REVALIDATE
    response.headers.add_vary_header("Accept")
    if not is_known(request, tag):
        return response
    kept = {name: response.headers[name] for name in _KEPT_IF_KNOWN if name in response.headers}
    return Response(status_code=304, headers=kept)


def fingerprint(data: bytes) -> str:
    """Return a short hash (24 hex digits) of `data`."""
    return hashlib.sha256(data).hexdigest()[:24]


def is_known(request: Request, tag: str) -> bool:
    """Return whether `If-None-Match` names the tag (weak comparison)."""
    given = _tags(request, "if-none-match")
    return "*" in given or tag.removeprefix("W/") in {known.removeprefix("W/") for known in given}


def require_unchanged(request: Request, tag: str, *, what: str) -> None:
    """Check that `If-Match`, if given, names the newest state.

    Raises:
        HTTPException: 412, if it names other states only: `what` has changed meanwhile.
    """
    # The part after the version only separates states that do not matter for a change.
    given = {_version_of(each) for each in _tags(request, "if-match")}
    # Strong comparison: a weak tag never matches.
    if given and "*" not in given and _version_of(tag) not in given:
        raise HTTPException(
            412,
            f"{what} has changed since you read it: read it again, then repeat the request if it still applies",
            {"ETag": tag},
        )


def _version_of(tag: str) -> str:
    return f'{tag.partition("-")[0].rstrip(chr(34))}"' if tag.startswith('"') else tag


def _tags(request: Request, header: str) -> set[str]:
    text = ",".join(request.headers.getlist(header))
    return {unpacked_tag(tag.strip()) for tag in text.split(",") if tag.strip()}
