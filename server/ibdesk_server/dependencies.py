"""What the routes ask for: the desk, the settings, and proof of who is asking."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi import Security as Secured
from fastapi.security import APIKeyCookie, APIKeyHeader, HTTPBearer
from prometheus_client import CollectorRegistry
from starlette.requests import HTTPConnection

from ibdesk.desk import Desk
from ibdesk_server.feed.hub import FeedHub
from ibdesk_server.security import COOKIE, KEY_HEADER, Security
from ibdesk_server.settings import ServerSettings
from ibdesk_server.strategy_folder import StrategyFolder

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Services(msgspec.Struct, frozen=True):
    """Everything one app is made of; each app has its own."""

    desk: Desk
    settings: ServerSettings
    security: Security
    hub: FeedHub
    strategies: StrategyFolder
    registry: CollectorRegistry


def services(connection: HTTPConnection) -> Services:
    """Return what the app that serves this connection is made of."""
    found: Services = connection.app.state.services
    return found


AppServices = Annotated[Services, Depends(services)]


def _desk(found: AppServices) -> Desk:
    return found.desk


def _settings(found: AppServices) -> ServerSettings:
    return found.settings


def _security(found: AppServices) -> Security:
    return found.security


def _hub(found: AppServices) -> FeedHub:
    return found.hub


def _strategies(found: AppServices) -> StrategyFolder:
    return found.strategies


def _registry(found: AppServices) -> CollectorRegistry:
    return found.registry


TheDesk = Annotated[Desk, Depends(_desk)]
TheSettings = Annotated[ServerSettings, Depends(_settings)]
TheSecurity = Annotated[Security, Depends(_security)]
TheHub = Annotated[FeedHub, Depends(_hub)]
TheStrategies = Annotated[StrategyFolder, Depends(_strategies)]
TheRegistry = Annotated[CollectorRegistry, Depends(_registry)]

# The three ways in, as the OpenAPI page shows them; `require_login` does the checking.
_header = Secured(APIKeyHeader(name=KEY_HEADER, auto_error=False, description="the API key"))
_bearer = Secured(HTTPBearer(auto_error=False, description="the API key"))
_cookie = Secured(APIKeyCookie(name=COOKIE, auto_error=False, description="given by a one-time login"))


async def require_login(
    request: Request, security: TheSecurity, _one: str = _header, _two: object = _bearer, _three: str = _cookie
) -> None:
    """Let nobody through who is not known, and no other site's page act in the name of who is."""
    if not security.knows(request.headers):
        raise HTTPException(
            401,
            f"this needs the API key, as `{KEY_HEADER}` or as bearer token, or a login by a one-time address",
            {"WWW-Authenticate": "Bearer"},
        )
    if request.method not in _SAFE_METHODS and not security.allows_origin(request.headers):
        raise HTTPException(403, f"pages of {request.headers['origin']} may change nothing here")


Protected = Depends(require_login)


def api_router(tag: str) -> APIRouter:
    """Return a router for a part of the versioned interface, all of which needs to know who asks."""
    return APIRouter(prefix="/api/v1", tags=[tag], dependencies=[Protected])
