"""A feed on a real socket that can be restarted, a dashboard process that reads it, and a real browser."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import BrowserContext, Page, async_playwright
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from tests.ports import free_port

from ibdesk.store.batches import Sequencer
from ibdesk.store.feed import Feed, Row, Topic
from ibdesk_server.dashboard import DashboardProcess, start_dashboard
from ibdesk_server.feed.endpoint import FeedEndpoint
from ibdesk_server.feed.hub import FeedHub
from ibdesk_server.feed.limits import FeedLimits
from ibdesk_server.feed.metrics import FeedMetrics
from ibdesk_server.listener import WebListener
from ibdesk_server.security.guard import Security
from ibdesk_server.security.keyfile import obtain_key

CHROMIUM = "/usr/bin/chromium"
CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
FIVE_SECONDS = 5_000_000_000
START = 1_717_405_200_000_000_000


class Market:
    """Four random walks, a strategy that changes its mind about them, and the rows a desk would publish."""

    SYMBOLS = ("AAPL", "GOOG", "IBM", "MSFT")

    def __init__(self, feed: Feed, *, account: str = "DU1234567") -> None:
        self._feed, self._random, self._account = feed, random.Random(7), account
        self._prices = dict(zip(self.SYMBOLS, (184.2, 171.5, 168.9, 421.3), strict=True))
        self._held = dict.fromkeys(self.SYMBOLS, 0.0)
        self._trades = 0
        self.at_ns = START

    def open(self) -> None:
        """Publish the link, the account and a running strategy."""
        link = {"link": "up", "at_ns": START, "detail": "", "address": "127.0.0.1:4002", "mode": "paper"}
        self._feed.publish(Topic.LINK, "link", link | {"halts": []})
        account = {"id": self._account, "currency": "USD", "net_liquidation": 1_000_000.0, "updated_ns": START}
        self._feed.publish(Topic.ACCOUNT, self._account, account)
        run: Row = {"run_id": "run-1", "class_name": "EmaCross", "parameters": {"fast": 12}, "symbols": ["AAPL"]}
        run |= {"bar": "5 secs", "state": "running", "started_ns": START, "note": ""}
        self._feed.publish(Topic.RUNS, "run-1", run)

    def bar(self) -> None:
        """Publish the next bar of each symbol; every so often there is a trade."""
        for symbol, opened in self._prices.items():
            path = [opened]
            for _ in range(8):
                path.append(path[-1] * (1 + self._random.gauss(0, 0.0002)))
            self._prices[symbol] = path[-1]
            row = {"symbol": symbol, "opened_ns": self.at_ns, "interval_ns": FIVE_SECONDS, "volume": 100.0}
            row |= {"open": opened, "high": max(path), "low": min(path), "close": path[-1]}
            self._feed.publish(Topic.BARS, symbol, row)
            value = sum(path) / len(path)
            row = {"run_id": "run-1", "symbol": symbol, "opened_ns": self.at_ns, "name": "fast", "value": value}
            self._feed.publish(Topic.INDICATORS, symbol, row)
            if self._random.random() < 0.02:
                self.trade(symbol)
            self.quote(symbol, self._prices[symbol])
        self.at_ns += FIVE_SECONDS
        equity = {"owner": "", "at_ns": self.at_ns, "pnl": self._random.gauss(0, 100)}
        self._feed.publish(Topic.EQUITY, "", equity)

    def trade(self, symbol: str) -> None:
        """Publish an order and its fill, in or out."""
        self._trades += 1
        side = "sell" if self._held[symbol] else "buy"
        self._held[symbol] = 100.0 - self._held[symbol]
        order = self.order(f"order-{self._trades}", symbol, side, "filled")
        fill = {name: order[name] for name in ("owner", "symbol", "side", "quantity")}
        fill |= {"execution_id": order["id"], "order_id": order["id"], "price": self._prices[symbol]}
        self._feed.publish(Topic.FILLS, order["id"], fill | {"commission": 1.0, "at_ns": self.at_ns})
        self.position(symbol, self._held[symbol], unrealized=0.0)

    def order(self, order_id: str, symbol: str, side: str, status: str) -> Row:
        """Publish an order as it stands and return its row."""
        row = {"id": order_id, "owner": "run-1", "symbol": symbol, "side": side, "quantity": 100.0, "type": "market"}
        row |= {"filled": 0.0, "limit_price": None, "stop_price": None, "time_in_force": "day", "status": status}
        row |= {"average_price": None, "reason": "", "created_ns": self.at_ns, "updated_ns": self.at_ns}
        self._feed.publish(Topic.ORDERS, order_id, row)
        return row

    def position(self, symbol: str, quantity: float, *, unrealized: float, **columns: Any) -> None:
        """Publish a position as it stands."""
        row = {"owner": "run-1", "symbol": symbol, "quantity": quantity, "average_price": 100.0, "last_price": 101.0}
        row |= {"unrealized_pnl": unrealized, "realized_pnl": 0.0, "commission": 0.0} | columns
        self._feed.publish(Topic.POSITIONS, symbol, row)

    def progress(self, symbol: str, price: float) -> None:
        """Publish the bar in progress, whose last trade was at this price."""
        row = {"symbol": symbol, "opened_ns": self.at_ns, "interval_ns": FIVE_SECONDS, "volume": 100.0}
        self._feed.publish(Topic.PROGRESS, symbol, row | dict.fromkeys(("open", "high", "low", "close"), price))

    def quote(self, symbol: str, middle: float) -> None:
        """Publish a quote two cents wide."""
        row = {"symbol": symbol, "at_ns": self.at_ns, "bid": middle - 0.01, "ask": middle + 0.01}
        self._feed.publish(Topic.QUOTES, symbol, row | {"bid_size": 200.0, "ask_size": 300.0})


class FeedServer:
    """A feed served on a port of its own; stopping and starting it is what a restart of the server is to a client."""

    def __init__(self, key_file: Path) -> None:
        self._port = free_port()
        self._key_file = key_file
        self._task: asyncio.Task[None] | None = None
        self.url = f"ws://127.0.0.1:{self._port}/feed"

    async def start(self, feed: Feed) -> None:
        """Serve this feed."""
        listener = WebListener("127.0.0.1", self._port, setting="port")
        self._task = asyncio.create_task(self._run(feed, listener))
        await asyncio.wait_for(listener.answering.wait(), 10)

    async def stop(self) -> None:
        """Stop serving, as a process that is ended does."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _run(self, feed: Feed, listener: WebListener) -> None:
        security = Security(obtain_key(self._key_file))
        hub = FeedHub(Sequencer(feed), limits=FeedLimits(), metrics=FeedMetrics(CollectorRegistry()))

        serving = asyncio.create_task(hub.run())
        try:
            await listener.run(Starlette(routes=[WebSocketRoute("/feed", FeedEndpoint(hub, security))]))
        finally:
            hub.close()
            serving.cancel()
            await asyncio.wait({serving})


class Browser:
    """A browser of its own that notes what a page complains about and whom it asks."""

    def __init__(self, context: BrowserContext) -> None:
        self._context = context
        self.complaints: list[str] = []
        self.hosts: set[str] = set()

    async def open(self, address: str) -> Page:
        """Open an address in a new tab."""
        page = await self._context.new_page()
        page.on("console", lambda said: self._note(said.type, said.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).hostname or ""))
        await page.goto(address)
        return page

    def _note(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.complaints.append(text)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """Return a file with an API key in it."""
    path = tmp_path / "api.key"
    obtain_key(path)
    return path


@pytest.fixture
async def feed_server(key_file: Path) -> AsyncIterator[FeedServer]:
    """Return a server that is not started."""
    server = FeedServer(key_file)
    yield server
    await server.stop()


@pytest.fixture
async def start(key_file: Path) -> AsyncIterator[Callable[[str], Awaitable[DashboardProcess]]]:
    """Return a starter of dashboards that read a feed; they are ended with the test."""
    with contextlib.ExitStack() as stack:

        async def make(feed: str) -> DashboardProcess:
            started = await asyncio.to_thread(start_dashboard, feed=feed, key_file=key_file, port=0)
            return stack.enter_context(started)

        yield make


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Browser]:
    """Return a real Chromium with a profile of its own."""
    if shutil.which(CHROMIUM) is None:
        pytest.skip(f"there is no {CHROMIUM}: apt-get install chromium")
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            tmp_path / "profile",
            executable_path=CHROMIUM,
            args=CHROMIUM_OPTIONS,
            viewport={"width": 1400, "height": 900},
        )
        yield Browser(context)
        await context.close()


@pytest.fixture
def market() -> type[Market]:
    """Return the maker of markets."""
    return Market
