"""The REST API from Python; an error of the server becomes an `ApiError` with its message.

::

    with ApiClient("http://127.0.0.1:8000", key) as desk:
        order = desk.place("AAPL", "buy", 100, limit=187.40)

`AioApiClient` has the same methods as coroutines. Connections stay open between calls. If a connection breaks, a call
that can be repeated safely (a read, or a command with an idempotency key) is sent again.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx
import msgspec
from pydantic import BaseModel

from ibdesk.errors import IbdeskError
from ibdesk_server.answers import Listing
from ibdesk_server.client import backtest_calls, calls
from ibdesk_server.client.call import ApiCall
from ibdesk_server.security.presented import KEY_HEADER

P = ParamSpec("P")
T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

# The pauses before each repetition of a call.
_PAUSES = (0.1, 0.4)


class ApiError(IbdeskError):
    """The server refused a request or failed; `correlation_id` is its id in the server's log.

    `status` is 0 if the server could not be reached. `kind` names ibdesk's class of the error, such as
    ``OrderDeniedError``, if it has one, and `facts` its figures.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        correlation_id: str = "",
        kind: str = "",
        facts: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(status, detail, correlation_id, kind, facts)
        self.status, self.detail, self.correlation_id = status, detail, correlation_id
        self.kind, self.facts = kind, facts or {}

    def __str__(self) -> str:
        return self.detail


def _blocking(call: Callable[P, ApiCall[T]]) -> Callable[Concatenate[ApiClient, P], T]:
    """Return a method that sends the call and waits for the answer."""

    @functools.wraps(call)
    def send(client: ApiClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return client.send(call(*args, **kwargs))

    return send


def _awaitable(call: Callable[P, ApiCall[T]]) -> Callable[Concatenate[AioApiClient, P], Coroutine[Any, Any, T]]:
    """Return the coroutine method that sends the call."""

    @functools.wraps(call)
    async def send(client: AioApiClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await client.send(call(*args, **kwargs))

    return send


class ApiClient:
    """A client of the server at `url`, such as ``http://127.0.0.1:8000``; a context manager.

    Every method raises `ApiError`, also if the server cannot be reached (status 0).
    """

    def __init__(self, url: str, key: str, *, timeout_seconds: float = 30.0) -> None:
        self._http = httpx.Client(**_options(url, key, timeout_seconds))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    health = _blocking(calls.health)
    account = _blocking(calls.account)
    positions = _blocking(calls.positions)
    reconciliation = _blocking(calls.reconciliation)
    fills = _blocking(calls.fills)
    round_trips = _blocking(calls.round_trips)
    orders = _blocking(calls.orders)
    order = _blocking(calls.order)
    place = _blocking(calls.place)
    modify = _blocking(calls.modify)
    cancel = _blocking(calls.cancel)
    cancel_all = _blocking(calls.cancel_all)
    flatten = _blocking(calls.flatten)
    quotes = _blocking(calls.quotes)
    bars = _blocking(calls.bars)
    history = _blocking(calls.history)
    search_instruments = _blocking(calls.search_instruments)
    instrument = _blocking(calls.instrument)
    strategies = _blocking(calls.strategies)
    strategy = _blocking(calls.strategy)
    runs = _blocking(calls.runs)
    run = _blocking(calls.run)
    start = _blocking(calls.start)
    run_state = _blocking(calls.run_state)
    run_log = _blocking(calls.run_log)
    change_parameters = _blocking(calls.change_parameters)
    stop = _blocking(calls.stop)
    start_backtest = _blocking(backtest_calls.start_backtest)
    backtests = _blocking(backtest_calls.backtests)
    backtest = _blocking(backtest_calls.backtest)
    backtest_trades = _blocking(backtest_calls.backtest_trades)
    backtest_report = _blocking(backtest_calls.backtest_report)
    cancel_backtest = _blocking(backtest_calls.cancel_backtest)
    delete_backtest = _blocking(backtest_calls.delete_backtest)
    risk = _blocking(calls.risk)
    change_limits = _blocking(calls.change_limits)
    stop_account = _blocking(calls.stop_account)
    halt = _blocking(calls.halt)
    resume = _blocking(calls.resume)
    accept_external = _blocking(calls.accept_external)
    journal = _blocking(calls.journal)
    journals = _blocking(calls.journals)
    feed_clients = _blocking(calls.feed_clients)
    settings = _blocking(calls.settings)

    def walk(self, call: ApiCall[Listing[M]]) -> Iterator[M]:
        """Iterate over all items of a list, page by page: ``client.walk(calls.orders(symbol="AAPL"))``."""
        while True:
            page = self.send(call)
            yield from page.items
            if page.next is None:
                return
            call = call.at(page.next)

    def send(self, call: ApiCall[T]) -> T:
        """Send a call and return its answer."""
        pauses = iter(_PAUSES)
        while True:
            try:
                return _read(call, self._http.send(_request(self._http, call)))
            except httpx.TransportError as error:
                pause = _pause_after(error, call, pauses, self._http.base_url)
            time.sleep(pause)


class AioApiClient:
    """The asynchronous `ApiClient`; an async context manager."""

    def __init__(self, url: str, key: str, *, timeout_seconds: float = 30.0) -> None:
        self._http = httpx.AsyncClient(**_options(url, key, timeout_seconds))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection."""
        await self._http.aclose()

    health = _awaitable(calls.health)
    account = _awaitable(calls.account)
    positions = _awaitable(calls.positions)
    reconciliation = _awaitable(calls.reconciliation)
    fills = _awaitable(calls.fills)
    round_trips = _awaitable(calls.round_trips)
    orders = _awaitable(calls.orders)
    order = _awaitable(calls.order)
    place = _awaitable(calls.place)
    modify = _awaitable(calls.modify)
    cancel = _awaitable(calls.cancel)
    cancel_all = _awaitable(calls.cancel_all)
    flatten = _awaitable(calls.flatten)
    quotes = _awaitable(calls.quotes)
    bars = _awaitable(calls.bars)
    history = _awaitable(calls.history)
    search_instruments = _awaitable(calls.search_instruments)
    instrument = _awaitable(calls.instrument)
    strategies = _awaitable(calls.strategies)
    strategy = _awaitable(calls.strategy)
    runs = _awaitable(calls.runs)
    run = _awaitable(calls.run)
    start = _awaitable(calls.start)
    run_state = _awaitable(calls.run_state)
    run_log = _awaitable(calls.run_log)
    change_parameters = _awaitable(calls.change_parameters)
    stop = _awaitable(calls.stop)
    start_backtest = _awaitable(backtest_calls.start_backtest)
    backtests = _awaitable(backtest_calls.backtests)
    backtest = _awaitable(backtest_calls.backtest)
    backtest_trades = _awaitable(backtest_calls.backtest_trades)
    backtest_report = _awaitable(backtest_calls.backtest_report)
    cancel_backtest = _awaitable(backtest_calls.cancel_backtest)
    delete_backtest = _awaitable(backtest_calls.delete_backtest)
    risk = _awaitable(calls.risk)
    change_limits = _awaitable(calls.change_limits)
    stop_account = _awaitable(calls.stop_account)
    halt = _awaitable(calls.halt)
    resume = _awaitable(calls.resume)
    accept_external = _awaitable(calls.accept_external)
    journal = _awaitable(calls.journal)
    journals = _awaitable(calls.journals)
    feed_clients = _awaitable(calls.feed_clients)
    settings = _awaitable(calls.settings)

    async def walk(self, call: ApiCall[Listing[M]]) -> AsyncIterator[M]:
        """Iterate over all items of a list, page by page: ``async for order in client.walk(calls.orders())``."""
        while True:
            page = await self.send(call)
            for item in page.items:
                yield item
            if page.next is None:
                return
            call = call.at(page.next)

    async def send(self, call: ApiCall[T]) -> T:
        """Send a call and return its answer."""
        pauses = iter(_PAUSES)
        while True:
            try:
                return _read(call, await self._http.send(_request(self._http, call)))
            except httpx.TransportError as error:
                pause = _pause_after(error, call, pauses, self._http.base_url)
            await asyncio.sleep(pause)


def _options(url: str, key: str, timeout_seconds: float) -> dict[str, Any]:
    headers = {KEY_HEADER: key, "Accept": "application/json"}
    options = {"base_url": url, "headers": headers, "timeout": timeout_seconds, "trust_env": False}
    # Reading the trusted certificates takes 0.1 s, which is not needed for a server without TLS.
    return options if httpx.URL(url).scheme == "https" else options | {"verify": False}


def _request(http: httpx.Client | httpx.AsyncClient, call: ApiCall[Any]) -> httpx.Request:
    return http.build_request(call.method, call.path, params=call.params, json=call.body, headers=call.headers)


def _pause_after(error: httpx.TransportError, call: ApiCall[Any], pauses: Iterator[float], url: httpx.URL) -> float:
    """Return how many seconds to wait before the call is sent again.

    Raises:
        ApiError: If it must not be repeated, or has been repeated often enough.
    """
    pause = next(pauses, None) if call.may_be_repeated else None
    if pause is None:
        raise ApiError(0, f"the server at {url} cannot be reached: {error}") from None
    return pause


def _read(call: ApiCall[T], response: httpx.Response) -> T:
    if response.is_success:
        return call.read(response.content)
    if response.headers.get("content-type") != "application/problem+json":
        raise ApiError(response.status_code, f"{call.method} {call.path}: HTTP status {response.status_code}")
    problem = msgspec.json.decode(response.content)
    raise ApiError(
        response.status_code,
        problem["detail"],
        problem["correlation_id"],
        problem["type"].removeprefix("urn:ibdesk:"),
        problem.get("facts"),
    )
