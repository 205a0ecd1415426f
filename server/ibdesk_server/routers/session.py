"""Browser logins: a one-time URL or an access token is exchanged for a cookie."""

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


@router.get("/login", status_code=303, response_class=RedirectResponse, summary="Log a browser in by a one-time code")
async def login(
    code: Annotated[str, Query(max_length=200, description="one-time code printed by `ibdesk login`")],
    login_service: TheLoginService,
    settings: TheSettings,
) -> RedirectResponse:
    """Exchange a one-time code for a cookie and redirect."""
    session = await login_service.open_session(code)
    if session is None:
        raise HTTPException(401, "this login link has been used or has expired: ask the server for another")
    response = RedirectResponse(settings.server.landing, 303)
    _give_cookie(response, session, settings)
    return response


@router.post(
    "/session", status_code=204, dependencies=[needs(Role.VIEWER)], summary="Log a browser in by its access token"
)
async def begin(caller: Caller, login_service: TheLoginService, settings: TheSettings) -> Response:
    """Set a cookie for a user who has logged in by password, for requests that cannot send headers."""
    response = Response(status_code=204)
    _give_cookie(response, await login_service.begin_session(caller), settings)
    return response


@router.post("/logout", status_code=204, dependencies=[needs(Role.VIEWER)], summary="Log a browser out")
async def logout(request: Request, login_service: TheLoginService, settings: TheSettings) -> Response:
    """End the browser's session and delete its cookie."""
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
