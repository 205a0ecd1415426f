"""The web application: a thin shell around a desk. The desk does not know about it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.middleware.cors import CORSMiddleware

from ibdesk.desk import DeskHandle, DeskState
from ibdesk.store import MarketCache, MemoryCache, RedisCache
from ibdesk.store.redis.pool import RedisPool
from ibdesk_server import problems
from ibdesk_server.backtests.service import Backtests
from ibdesk_server.content import PackingMiddleware, UnpackingMiddleware
from ibdesk_server.dependencies import ServerContext
from ibdesk_server.document import document_router
from ibdesk_server.feed.endpoint import FeedEndpoint, FeedMiddleware
from ibdesk_server.feed.hub import FeedHub
from ibdesk_server.feed.metrics import FeedMetrics
from ibdesk_server.idempotency import IdempotencyStore
from ibdesk_server.limits import LimitsMiddleware
from ibdesk_server.middleware import REQUEST_ID_HEADER, RequestMiddleware
from ibdesk_server.observability.requests import RequestMetrics
from ibdesk_server.observability.watch import ServerMonitor
from ibdesk_server.routers import (
    auth,
    backtests,
    book,
    events,
    feed,
    health,
    instruments,
    journal,
    keys,
    landing,
    market,
    orders,
    risk,
    runs,
    session,
    stop,
    strategies,
    users,
)
from ibdesk_server.routers import settings as settings_router
from ibdesk_server.security.budget_middleware import BudgetMiddleware
from ibdesk_server.security.budgets import Budgets
from ibdesk_server.security.guard import Security
from ibdesk_server.security.hosts import HostMiddleware
from ibdesk_server.security.login_service import LoginService
from ibdesk_server.security.presented import KEY_HEADER
from ibdesk_server.security.revocations import RevocationMonitor
from ibdesk_server.settings import Settings
from ibdesk_server.strategy_folder import StrategyFolder

# The parts of the API, in the order of its documentation.
_PARTS = (
    orders,
    book,
    runs,
    strategies,
    market,
    instruments,
    risk,
    stop,
    backtests,
    events,
    feed,
    journal,
    settings_router,
    users,
    keys,
    auth,
    session,
    landing,
    health,
)
_ROUTERS = (*(part.router for part in _PARTS), backtests.pages_router, events.module_router)
# FastAPI rebuilds the routes of an included router for each app, at the first request, which blocks the loop for
# up to 0.2 s. All apps share the routers' own routes instead.
_ROUTES = [route for router in (*_ROUTERS, document_router(_ROUTERS)) for route in router.routes]
# How long to wait until feed clients have received the message that the server ends.
_FAREWELL_SECONDS = 0.5
# What pages of the origins in `server.cors` may do. Browsers do not send the login cookie.
_CORS: dict[str, Any] = {
    "allow_methods": ["GET", "POST", "PUT", "PATCH", "DELETE"],
    "allow_headers": ["Authorization", "Content-Type", "If-Match", "If-None-Match", "Idempotency-Key", KEY_HEADER],
    "expose_headers": ["ETag", "Link", "Retry-After", REQUEST_ID_HEADER],
}


def create_app(desk: DeskHandle, settings: Settings, *, security: Security | None = None, worker: str = "1") -> FastAPI:
    """Return a new application around a desk, which the caller opens and closes.

    `worker` names this server among several of one desk.

    Raises:
        ConfigError: If the API key cannot be read or made (when no `security` is given).
    """
    registry = CollectorRegistry()
    strategy_folder, kept = StrategyFolder(settings.server.strategies, settings.strategy_trial), settings.state_folder
    security = security or Security.open(settings.server)
    # The one pool of this loop, shared by the rate limits, the cache and the Redis health check.
    redis = None if settings.redis.url is None else RedisPool(settings.redis)
    watch = ServerMonitor(
        performance=settings.performance,
        audit_folder=settings.state_folder / "audit",
        redis=redis,
        worker=worker,
    )
    budgets = Budgets(settings.server.limits, redis)
    cache = MemoryCache() if redis is None else RedisCache(redis, name=settings.stream.name)
    services = ServerContext(
        desk=desk,
        settings=settings,
        security=security,
        login_service=LoginService(security),
        budgets=budgets,
        revocations=RevocationMonitor(security),
        hub=FeedHub(
            desk.batches(),
            limits=settings.server.feed.limits,
            metrics=FeedMetrics(registry),
            is_reachable=lambda: desk.state is DeskState.OPEN,
        ),
        strategies=strategy_folder,
        backtests=Backtests(kept / "backtests", settings.server.backtests, strategy_folder, settings.risk),
        idempotency=IdempotencyStore(kept / "replays"),
        cache=cache,
        # The engine publishes market data to servers over Redis only.
        market=None if redis is None else MarketCache(cache),
        registry=registry,
        watch=watch,
    )
    watch.keep(services.hub)
    app = FastAPI(
        lifespan=_lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        routes=list(_ROUTES),
    )
    app.state.services = services
    app.add_middleware(UnpackingMiddleware)
    app.add_middleware(LimitsMiddleware, limits=settings.server.requests)
    if settings.server.cors:
        app.add_middleware(CORSMiddleware, allow_origins=list(settings.server.cors), **_CORS)
    app.add_middleware(BudgetMiddleware, budgets=budgets, addresses=security.addresses)
    app.add_middleware(HostMiddleware, addresses=security.addresses, is_encrypted=settings.server.tls.encrypted)
    app.add_middleware(RequestMiddleware, metrics=RequestMetrics(registry, watch.performance, watch.trail))
    app.add_middleware(PackingMiddleware)
    app.add_middleware(
        FeedMiddleware,
        feed=FeedEndpoint(services.hub, security, budgets=budgets, revocations=services.revocations),
    )
    problems.install(app)
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    services: ServerContext = app.state.services
    watching = asyncio.create_task(services.watch.run(), name="watch")
    try:
        yield
    finally:
        services.hub.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL_SECONDS):
                await services.hub.until_deserted()
        watching.cancel()
        await asyncio.wait({watching})
        await services.backtests.close()
        if services.watch.redis is not None:
            await services.watch.redis.close()
