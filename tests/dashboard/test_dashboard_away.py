"""While the engine is away the page says so, loudly, and nothing on it looks current."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect
from tests.desk.test_desk_port import Host

from ibdesk.desk import Desk
from ibdesk.desk.port.addresses import SocketAddress
from ibdesk.store.redis import RedisSettings
from ibdesk.views.summary import FeedStatus
from ibdesk_server.dashboard.page import stale_banner
from ibdesk_server.serve import WebServer
from ibdesk_server.settings import ServerSettings, Settings

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def engine(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A desk behind its port, which can be taken away and put back."""
    with Desk.open("embedded", state_folder=tmp_path / "state", gateway={"speed": 20, "port": 0}) as desk:
        host = Host(desk, SocketAddress(tmp_path_factory.mktemp("s") / "d"), RedisSettings())
        host.start()
        yield host
        host.stop()


@pytest.fixture
async def web(engine: Host, key_file: Path) -> AsyncIterator[WebServer]:
    with await asyncio.to_thread(engine.attach) as attached:
        server = WebServer(attached, Settings(server=ServerSettings(port=0, key_file=key_file)))
        task = asyncio.create_task(server.run())
        await asyncio.wait_for(server.until_answering(), 20)
        yield server
        task.cancel()
        await asyncio.wait({task})


async def test_a_page_says_that_the_engine_is_away_and_grays_what_is_old(
    engine: Host, web: WebServer, start: Any, browser: Any, tmp_path: Path
) -> None:
    page = await browser.open((await start(web.feed_url)).address)
    states, banner = page.locator(".states"), page.locator(".stale")
    await expect(states).to_contain_text("TWS up", timeout=30_000)
    await expect(banner).to_have_count(0)

    await asyncio.to_thread(engine.stop)

    await expect(banner).to_contain_text("The engine is away", timeout=30_000)
    await expect(banner).to_contain_text("open positions are unmanaged")
    await expect(banner).to_contain_text("The figures are from before")
    await expect(states).not_to_contain_text("TWS up")
    await expect(states).to_contain_text("TWS not known")
    # The figures are inside something gray.
    grays = "e => { for (; e; e = e.parentElement || e.getRootNode().host) " + (
        "if (getComputedStyle(e).filter.includes('grayscale')) return true; return false; }"
    )
    assert await states.evaluate(grays)
    await page.screenshot(path=tmp_path / "away.png")

    # Who comes only now is told the same.
    later = await browser.open(page.url)
    await expect(later.locator(".stale")).to_contain_text("The engine is away", timeout=30_000)

    await asyncio.to_thread(engine.start)

    await expect(banner).to_have_count(0, timeout=30_000)
    await expect(states).to_contain_text("TWS up")
    assert not await states.evaluate(grays)


@pytest.mark.parametrize(
    ("seconds", "age"), [(0, "0 s"), (59, "59 s"), (60, "1 min"), (7_199, "119 min"), (7_200, "2 h"), (-5, "0 s")]
)
def test_the_banner_tells_how_old_figures_are(seconds: int, age: str) -> None:
    since_ns = 1_764_500_000_000_000_000  # 2025-11-30 10:53:20 UTC

    told = stale_banner(FeedStatus.AWAY, since_ns, since_ns + seconds * 10**9)

    assert f"from before 10:53:20 UTC, {age} old" in told
    assert stale_banner(FeedStatus.LIVE, 0, since_ns) == ""
