"""The dependencies of the routes: desk, settings, services and the authenticated caller."""

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
    """The parts of one app; apps do not share them."""

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
    """Return the context of the app that serves this connection."""
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

# The authentication schemes shown in OpenAPI. `_caller` checks them.
_header = Secured(APIKeyHeader(name=KEY_HEADER, auto_error=False, description="an API key, or the machine's key"))
_bearer = Secured(HTTPBearer(auto_error=False, description="an access token from a password login, or an API key"))
_cookie = Secured(APIKeyCookie(name=COOKIE, auto_error=False, description="the cookie of a browser login"))


async def _caller(
    request: Request,
    security: TheSecurity,
    budgets: TheBudgets,
    _one: str = _header,
    _two: object = _bearer,
    _three: str = _cookie,
) -> Principal:
    """Authenticate the caller.

    Raises:
        HTTPException: 401, if the request carries no valid key, token or cookie; 403, if a page of another site asks
            for
            a change; 429, if the caller exceeds its request budget.
    """
    principal = await security.identify(request.headers)
    if principal is None:
        raise HTTPException(401, _why_unknown(request), {"WWW-Authenticate": "Bearer"})
    # The audit log reads this after the request.
    request.state.principal = principal
    is_change = request.method not in _SAFE_METHODS
    if is_change and not security.allows_origin(request.headers):
        raise HTTPException(403, "pages of another site may not change anything here")
    standing = await budgets.spend(budgets.writes if is_change else budgets.reads, principal.name)
    request.state.standing = standing
    if not standing.allowed:
        raise HTTPException(429, f"{principal.name} sends too many requests: {standing.limit:,} a minute are allowed")
    return principal


def _why_unknown(request: Request) -> str:
    """Return why a request is not authenticated. A wrong secret and an expired one give the same sentence."""
    if presented_secret(request.headers) is not None:
        return "this key or token is not valid: it may be mistyped, expired or revoked (`ibdesk keys list` shows keys)"
    if presented_cookie(request.headers):
        return "this browser's login has ended: log in again"
    return f"log in first: send a key as `{KEY_HEADER}` or an access token as bearer token, or log in with a browser"


Caller = Annotated[Principal, Depends(_caller)]


class RequiredRole:
    """A route's requirement: the lowest role, and for a key with scopes the area that they must include.

    An `area` of None accepts every scope.
    """

    def __init__(self, role: Role, area: str | None) -> None:
        self.role, self.area = role, area

    async def __call__(self, request: Request, caller: Caller) -> None:
        """Check the caller.

        Raises:
            HTTPException: 403, if the caller lacks the role, or the scopes of its key do not include the area.
        """
        if not caller.may(self.role):
            wanted, held = self.role.value, caller.role.value
            raise HTTPException(403, f"this needs the role {wanted}, and {caller.name} is a {held}")
        if self.area is not None and not caller.reaches(self.area, writing=request.method not in _SAFE_METHODS):
            scopes = ", ".join(sorted(caller.scopes or ())) or "nothing"
            raise HTTPException(403, f"this needs the scope {self.area}, and {caller.name} is limited to {scopes}")


def needs(role: Role, area: str | None = None) -> Any:
    """Return the dependency by which a route or router requires a role, and for keys with scopes an area."""
    return Depends(RequiredRole(role, area))


def api_router(tag: str, *, role: Role = Role.VIEWER) -> APIRouter:
    """Return a router for one part of the versioned API; all its routes require at least this role.

    Raises:
        ValueError: If the tag is not in `AREAS`: no key could be limited to this part.
    """
    if tag not in AREAS:
        raise ValueError(f"{tag!r} is not an area of the API: add it to AREAS in security/principal.py")
    return APIRouter(
        prefix="/api/v1",
        tags=[tag],
        dependencies=[needs(role, tag), Depends(require_readable_answer)],
        route_class=TaggedRoute,
    )


def page_router(tag: str, *, role: Role = Role.VIEWER) -> APIRouter:
    """Return a router for API routes that answer with HTML pages."""
    return APIRouter(prefix="/api/v1", tags=[tag], dependencies=[needs(role, tag)], route_class=TaggedRoute)
