"""The landing page: whether the engine is reachable, and links."""

from __future__ import annotations

from html import escape
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from ibdesk_server.dependencies import AppServices
from ibdesk_server.observability.health import ask_desk
from ibdesk_server.pages import page, wants_page
from ibdesk_server.strict import StrictRoute

router = APIRouter(tags=["session"], route_class=StrictRoute)


class Landing(BaseModel):
    """What this server is, and for authenticated callers the state of the engine."""

    name: Literal["ibdesk"] = "ibdesk"
    description: str = Field("/openapi.json", description="path of the API documentation")
    health: str = Field("/health/detailed", description="path of the health report")
    engine: str | None = Field(
        description="`here`, or why not; null for callers that are not authenticated", examples=["here"]
    )


@router.get("/", summary="Show the landing page", response_model=Landing)
async def landing(request: Request, found: AppServices) -> Response:
    """Return a page for browsers, JSON for programs. Needs no key."""
    is_known = await found.security.identify(request.headers) is not None
    why_not = (await ask_desk(found)).why_not if is_known else ""
    if not wants_page(request):
        return JSONResponse(Landing(engine=(why_not or "here") if is_known else None).model_dump())
    if not is_known:
        content = "<p>This is the API of a trading desk. Log in to see more: type <code>ibdesk login</code> on the "
        content += "server's machine and open what it prints, or send a key as <code>X-API-Key</code>.</p>"
    elif why_not:
        content = f'<p class="bad">{escape(why_not[:1].upper() + why_not[1:])}.</p>'
    else:
        content = '<p class="good">The engine is running.</p>'
    links = '<p><a href="/docs">The API</a> · <a href="/health/detailed">Health</a></p>'
    return page("ibdesk", content + (links if is_known else ""))
