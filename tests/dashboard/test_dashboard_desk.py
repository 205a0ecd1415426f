"""The whole way: embedded gateway, TWS protocol, engine, feed, server, dashboard process, browser."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from ibdesk.desk import Desk
from ibdesk_server.serve import WebServer
from ibdesk_server.settings import ServerSettings, Settings

pytestmark = pytest.mark.timeout(180)

STRATEGY = Path(__file__).parents[2] / "strategies" / "ema_cross.py"
SYMBOLS = ["AAPL", "GOOG", "IBM", "MSFT"]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """Return a desk on its own gateway, whose market runs twenty times as fast as ours."""
    opened = await asyncio.to_thread(
        Desk.open, "embedded", gateway={"speed": 20.0, "seed": 3}, state_folder=tmp_path / "state"
    )
    yield opened
    await opened.aio.close()


@pytest.fixture
async def web(desk: Desk, key_file: Path) -> AsyncIterator[WebServer]:
    """Return a server of the desk that answers."""
    server = WebServer(desk, Settings(server=ServerSettings(port=0, key_file=key_file, strategies=STRATEGY.parent)))
    task = asyncio.create_task(server.run())
    await asyncio.wait_for(server.until_answering(), 20)
    yield server
    task.cancel()
    await asyncio.wait({task})


async def test_a_strategy_trades_and_the_screen_follows(
    desk: Desk, web: WebServer, start: Any, browser: Any, tmp_path: Path
) -> None:
    page = await browser.open((await start(web.feed_url)).address)
    await expect(page.locator(".states")).to_contain_text("TWS up", timeout=30_000)
    await expect(page.get_by_text(re.compile("No orders yet"))).to_be_visible()

    await desk.aio.start(str(STRATEGY), on=SYMBOLS, bar="5 secs")

    await expect(page.locator(".line .symbol")).to_have_text("AAPL", timeout=30_000)
    price = page.locator(".line .last")
    before = await price.inner_text()
    await expect(price).not_to_have_text(before, timeout=30_000)
    await expect(page.locator(".activity .tabulator-row", has_text="filled").first).to_be_visible(timeout=60_000)
    await expect(page.locator(".side .tabulator-row", has_text="EmaCross").first).to_be_visible()

    await page.screenshot(path=tmp_path / "desk.png")
    await page.set_viewport_size({"width": 1000, "height": 700})
    await page.screenshot(path=tmp_path / "desk-small.png")
    assert browser.complaints == []
    assert browser.hosts <= {"127.0.0.1", ""}
