"""How a browser gets in and out: a one-time address becomes a cookie."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import RedirectResponse, Response

from ibdesk_server.dependencies import TheSecurity, TheSettings, needs
from ibdesk_server.security.presented import COOKIE
from ibdesk_server.security.principal import Role

router = APIRouter(tags=["session"])


@router.get("/login", status_code=303, response_class=RedirectResponse, summary="Log a browser in, once")
async def login(
    code: Annotated[str, Query(max_length=200, description="the one-time code that the server printed")],
    request: Request,
    security: TheSecurity,
    settings: TheSettings,
) -> RedirectResponse:
    """Exchange a code for a cookie and go on; the code is then used up."""
    session = security.log_in(code)
    if session is None:
        raise HTTPException(401, "this login has been used or has run out: ask the server for another")
    response = RedirectResponse(settings.server.landing, 303)
    response.set_cookie(
        COOKIE,
        session,
        max_age=int(security.session_seconds),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


@router.post("/logout", status_code=204, dependencies=[needs(Role.VIEWER)], summary="End a browser's login")
async def logout(request: Request, security: TheSecurity) -> Response:
    """Make the cookie worthless and have the browser forget it."""
    security.log_out(request.headers)
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response
