"""Entity tags: a caller that has an answer already is told so, and one that changes a thing says what it has seen.

The tag of a list, a file or a document is a hash of the answer; that of an order is made of what can change about it.
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
"""What `Cache-Control` says of an answer with a tag: keep it, and ask whether it still holds each time."""


class TaggedRoute(StrictRoute):
    """A route whose answers to GET carry an entity tag, and are 304 for a caller that has them already."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the route's handler."""
        handle = super().get_route_handler()

        async def handle_tagged(request: Request) -> Response:
            response = await handle(request)
            return tagged(request, response) if request.method in {"GET", "HEAD"} else response

        return handle_tagged


def tagged(request: Request, response: Response) -> Response:
    """Return the response with a tag, its own or one made of its body; 304 when the caller has it already."""
    if response.status_code != 200 or not hasattr(response, "body"):
        return response
    # Weak: the same answer in JSON and in msgpack has one tag.
    tag = response.headers.setdefault("ETag", f'W/"{fingerprint(bytes(response.body))}"')
    response.headers["Cache-Control"] = REVALIDATE
    response.headers.add_vary_header("Accept")
    if not is_known(request, tag):
        return response
    kept = {name: response.headers[name] for name in _KEPT_IF_KNOWN if name in response.headers}
    return Response(status_code=304, headers=kept)


def fingerprint(data: bytes) -> str:
    """Return a short hash."""
    return hashlib.sha256(data).hexdigest()[:24]


def is_known(request: Request, tag: str) -> bool:
    """Return whether the caller has what the tag stands for: the weak comparison of `If-None-Match`."""
    given = _tags(request, "if-none-match")
    return "*" in given or tag.removeprefix("W/") in {known.removeprefix("W/") for known in given}


def require_unchanged(request: Request, tag: str, *, what: str) -> None:
    """Let a change through when the caller has seen the newest state, or has not said what it has seen.

    Raises:
        HTTPException: 412, if `If-Match` names other states only: somebody changed `what` meanwhile.
    """
    # What follows the version tells states apart that differ in nothing that a change is decided on.
    given = {_version_of(each) for each in _tags(request, "if-match")}
    # The strong comparison: a weak tag fits nothing.
    if given and "*" not in given and _version_of(tag) not in given:
        raise HTTPException(412, f"{what} has changed since you read it: read it again and decide anew", {"ETag": tag})


def _version_of(tag: str) -> str:
    return f'{tag.partition("-")[0].rstrip(chr(34))}"' if tag.startswith('"') else tag


def _tags(request: Request, header: str) -> set[str]:
    text = ",".join(request.headers.getlist(header))
    return {unpacked_tag(tag.strip()) for tag in text.split(",") if tag.strip()}
