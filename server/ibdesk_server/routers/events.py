"""The feed as server-sent events, for clients without msgpack or WebSockets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from fastapi import APIRouter, Header, HTTPException, Query
from starlette.responses import FileResponse, Response

import ibdesk_server
from ibdesk_server.dependencies import Caller, TheHub, TheRevocationMonitor, needs
from ibdesk_server.feed.events import EVENT_STREAM, EventResponse
from ibdesk_server.feed.protocol import FeedProtocolError, Subscribe
from ibdesk_server.feed.subscriber import check
from ibdesk_server.security.principal import Role
from ibdesk_server.strict import StrictRoute

# The answers are not JSON, so the requirements of `api_router` do not apply.
router = APIRouter(prefix="/api/v1", tags=["feed"], dependencies=[needs(Role.VIEWER, "feed")], route_class=StrictRoute)

# The browser module contains only public source, and is fetched before login.
module_router = APIRouter(route_class=StrictRoute)

_MODULE = Path(ibdesk_server.__file__).parent / "static" / "feed.js"

_Words = Annotated[list[str] | None, Query(max_length=1_000, description="only these; all by default")]


@router.get(
    "/events",
    summary="Follow the feed as server-sent events",
    response_class=Response,
    responses={
        200: {
            "description": "events named hello, snapshot, delta, status and bye; the data is JSON, the id a token",
            "content": {EVENT_STREAM: {"schema": {"type": "string"}}},
        }
    },
)
async def events(
    hub: TheHub,
    caller: Caller,
    revocations: TheRevocationMonitor,
    topics: _Words = None,
    symbols: _Words = None,
    owners: _Words = None,
    token: Annotated[
        str, Query(max_length=16_384, description="id of the last received event, to continue after it")
    ] = "",
    last_event_id: Annotated[str, Header(max_length=16_384, description="the same as `token`; browsers send it")] = "",
) -> Response:
    """Send a snapshot of each topic and every change after it, as on the WebSocket at ``/feed``.

    `topics`, `symbols` and `owners` may be repeated, or hold several names separated by commas. Symbols and owners may
    be patterns. With the id of an earlier event, the stream continues right after it: nothing is lost or repeated. The
    subscription is then that of the id.
    """
    # A browser that reconnects sends the id in addition to its original URL.
    if token and not last_event_id and (topics, symbols, owners) != (None, None, None):
        raise HTTPException(422, "a token contains the subscription: leave out topics, symbols and owners")
    token = last_event_id or token
    words = {"topics": _split(topics), "symbols": _split(symbols), "owners": _split(owners)}
    try:
        asked = msgspec.convert({"type": "subscribe"} | ({"token": token} if token else words), Subscribe)
        check(asked)
    except (FeedProtocolError, msgspec.ValidationError) as error:
        raise HTTPException(422, str(error)) from None
    return EventResponse(hub, asked, reader=caller, revocations=revocations)


@module_router.get("/feed.js", include_in_schema=False)
async def module() -> FileResponse:
    """Return the JavaScript module of the feed's client."""
    return FileResponse(_MODULE, media_type="text/javascript", headers={"Cache-Control": "no-cache"})


def _split(words: list[str] | None) -> list[str] | None:
    return None if words is None else [word for text in words for word in text.split(",") if word]
