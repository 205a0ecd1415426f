"""What the routes ask for: the desk, the settings, and who is asking."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi import Security as Secured
from fastapi.security import APIKeyCookie, APIKeyHeader, HTTPBearer
from prometheus_client import CollectorRegistry
from starlette.requests import HTTPConnection

from ibdesk.desk import DeskHandle
from ibdesk.store import Cache, MarketCache
from ibdesk_server.backtests.service import Backtests
from ibdesk_server.content import require_readable_answer
from ibdesk_server.etags import TaggedRoute
from ibdesk_server.feed.hub import FeedHub
from ibdesk_server.idempotency import IdempotencyStore
from ibdesk_server.observability.watch import ServerMonitor
from ibdesk_server.security.budgets import Budgets
from ibdesk_server.security.guard import Security
from ibdesk_server.security.login_service import LoginService
from ibdesk_server.security.presented import COOKIE, KEY_HEADER, presented_cookie, presented_secret
from ibdesk_server.security.principal import AREAS, Principal, Role
from ibdesk_server.security.revocations import RevocationMonitor
from ibdesk_server.settings import Settings
from ibdesk_server.strategy_folder import StrategyFolder

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class ServerContext(msgspec.Struct, frozen=True):
    """Everything one app is made of; each app has its own."""

    desk: DeskHandle
    settings: Settings
    security: Security
    login_service: LoginService
    budgets: Budgets
    revocations: RevocationMonitor
    hub: FeedHub
    strategies: StrategyFolder
    backtests: Backtests
    idempotency: IdempotencyStore
    cache: Cache
    market: MarketCache | None
    registry: CollectorRegistry
    watch: ServerMonitor


def services(connection: HTTPConnection) -> ServerContext:
    """Return what the app that serves this connection is made of."""
    found: ServerContext = connection.app.state.services
    return found


AppServices = Annotated[ServerContext, Depends(services)]


def _desk(found: AppServices) -> DeskHandle:
    return found.desk


def _settings(found: AppServices) -> Settings:
    return found.settings


def _security(found: AppServices) -> Security:
    return found.security


def _login_service(found: AppServices) -> LoginService:
    return found.login_service


def _budgets(found: AppServices) -> Budgets:
    return found.budgets


def _revocations(found: AppServices) -> RevocationMonitor:
    return found.revocations


def _hub(found: AppServices) -> FeedHub:
    return found.hub


def _strategies(found: AppServices) -> StrategyFolder:
    return found.strategies


def _backtests(found: AppServices) -> Backtests:
    return found.backtests


def _idempotency(found: AppServices) -> IdempotencyStore:
    return found.idempotency


def _cache(found: AppServices) -> Cache:
    return found.cache


def _market(found: AppServices) -> MarketCache | None:
    return found.market


def _registry(found: AppServices) -> CollectorRegistry:
    return found.registry


TheDesk = Annotated[DeskHandle, Depends(_desk)]
TheSettings = Annotated[Settings, Depends(_settings)]
TheSecurity = Annotated[Security, Depends(_security)]
TheLoginService = Annotated[LoginService, Depends(_login_service)]
TheBudgets = Annotated[Budgets, Depends(_budgets)]
TheRevocationMonitor = Annotated[RevocationMonitor, Depends(_revocations)]
TheHub = Annotated[FeedHub, Depends(_hub)]
TheStrategies = Annotated[StrategyFolder, Depends(_strategies)]
TheBacktests = Annotated[Backtests, Depends(_backtests)]
TheIdempotencyStore = Annotated[IdempotencyStore, Depends(_idempotency)]
TheCache = Annotated[Cache, Depends(_cache)]
TheMarket = Annotated[MarketCache | None, Depends(_market)]
TheRegistry = Annotated[CollectorRegistry, Depends(_registry)]

# The ways in, as the OpenAPI page shows them; `_caller` does the checking.
_header = Secured(APIKeyHeader(name=KEY_HEADER, auto_error=False, description="an API key, or the key of the machine"))
_bearer = Secured(HTTPBearer(auto_error=False, description="an access token of a login by password, or a key"))
_cookie = Secured(APIKeyCookie(name=COOKIE, auto_error=False, description="the cookie of a browser's login"))


async def _caller(
    request: Request,
    security: TheSecurity,
    budgets: TheBudgets,
    _one: str = _header,
    _two: object = _bearer,
    _three: str = _cookie,
) -> Principal:
    """Return who asks; nobody unknown gets through, and no other site's page acts in the name of who is known."""
    principal = await security.identify(request.headers)
    if principal is None:
        raise HTTPException(401, _why_unknown(request), {"WWW-Authenticate": "Bearer"})
    # For the audit log, which is written around the request.
    request.state.principal = principal
    is_change = request.method not in _SAFE_METHODS
    if is_change and not security.allows_origin(request.headers):
        raise HTTPException(403, "pages of another site may change nothing here")
    standing = await budgets.spend(budgets.writes if is_change else budgets.reads, principal.name)
    request.state.standing = standing
    if not standing.allowed:
        raise HTTPException(429, f"{principal.name} asks too much: {standing.limit:,} requests a minute are allowed")
    return principal


def _why_unknown(request: Request) -> str:
    """Return why nobody is known by what a request carries; a wrong secret is told like an old one."""
    if presented_secret(request.headers) is not None:
        return "this key or token is not valid: it may be mistyped, expired or revoked (`ibdesk keys list` shows keys)"
    if presented_cookie(request.headers):
        return "this browser's login has ended: log in again"
    return f"this needs a key as `{KEY_HEADER}`, an access token as bearer token, or a browser's login"


Caller = Annotated[Principal, Depends(_caller)]


class RequiredRole:
    """What a route asks of its caller: a role or one above it, and of a narrowed key an area (None asks for none)."""

    def __init__(self, role: Role, area: str | None) -> None:
        self.role, self.area = role, area

    async def __call__(self, request: Request, caller: Caller) -> None:
        """Let the caller through.

        Raises:
            HTTPException: 403, if the caller lacks the role, or the key is narrowed to other areas.
        """
        if not caller.may(self.role):
            wanted, held = self.role.value, caller.role.value
            raise HTTPException(403, f"this needs the role {wanted}, and {caller.name} is a {held}")
        if self.area is not None and not caller.reaches(self.area, writing=request.method not in _SAFE_METHODS):
            scopes = ", ".join(sorted(caller.scopes or ())) or "nothing"
            raise HTTPException(403, f"this is about {self.area}, and {caller.name} is narrowed to {scopes}")


def needs(role: Role, area: str | None = None) -> Any:
    """Return the dependency of a route or router that lets through only who meets the demand."""
    return Depends(RequiredRole(role, area))


def api_router(tag: str, *, role: Role = Role.VIEWER) -> APIRouter:
    """Return a router for a part of the versioned interface; all of its routes need at least this role.

    Raises:
        ValueError: If the tag is not among `AREAS`, so that no key could be narrowed to this part.
    """
    if tag not in AREAS:
        raise ValueError(f"{tag!r} is no area of the interface: add it to AREAS in security/principal.py")
    return APIRouter(
        prefix="/api/v1",
        tags=[tag],
        dependencies=[needs(role, tag), Depends(require_readable_answer)],
        route_class=TaggedRoute,
    )


def page_router(tag: str, *, role: Role = Role.VIEWER) -> APIRouter:
    """Return a router for what the interface answers with as pages of HTML."""
    return APIRouter(prefix="/api/v1", tags=[tag], dependencies=[needs(role, tag)], route_class=TaggedRoute)
