"""How a browser gets in and out: a one-time address, or an access token, becomes a cookie."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import RedirectResponse, Response

from ibdesk_server.dependencies import Caller, TheLoginService, TheSettings, needs
from ibdesk_server.security.presented import COOKIE
from ibdesk_server.security.principal import Role
from ibdesk_server.settings import Settings
from ibdesk_server.strict import StrictRoute

router = APIRouter(tags=["session"], route_class=StrictRoute)


@router.get("/login", status_code=303, response_class=RedirectResponse, summary="Log a browser in, once")
async def login(
    code: Annotated[str, Query(max_length=200, description="the one-time code that the server printed")],
    login_service: TheLoginService,
    settings: TheSettings,
) -> RedirectResponse:
    """Exchange a code for a cookie and go on; the code is then used up."""
    session = await login_service.open_session(code)
    if session is None:
        raise HTTPException(401, "this login has been used or has run out: ask the server for another")
    response = RedirectResponse(settings.server.landing, 303)
    _give_cookie(response, session, settings)
    return response


@router.post("/session", status_code=204, dependencies=[needs(Role.VIEWER)], summary="Log a browser in by its token")
async def begin(caller: Caller, login_service: TheLoginService, settings: TheSettings) -> Response:
    """Give the browser of somebody who has logged in by password a cookie, for what can send no header."""
    response = Response(status_code=204)
    _give_cookie(response, await login_service.begin_session(caller), settings)
    return response


@router.post("/logout", status_code=204, dependencies=[needs(Role.VIEWER)], summary="End a browser's login")
async def logout(request: Request, login_service: TheLoginService, settings: TheSettings) -> Response:
    """Make the cookie worthless and have the browser forget it."""
    await login_service.close_session(request.headers)
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=settings.server.tls.encrypted)
    return response


def _give_cookie(response: Response, session: str, settings: Settings) -> None:
    response.set_cookie(
        COOKIE,
        session,
        max_age=int(settings.server.security.session_seconds),
        httponly=True,
        samesite="strict",
        secure=settings.server.tls.encrypted,
    )
