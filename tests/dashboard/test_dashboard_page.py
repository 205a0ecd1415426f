from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from ibdesk.store.feed import Feed, Topic

pytestmark = pytest.mark.timeout(120)


async def test_a_reader_sees_the_numbers_move(
    browser: Any, feed_server: Any, start: Any, market: Any, tmp_path: Path
) -> None:
    feed = Feed()
    desk = market(feed)
    desk.open()
    for _ in range(500):
        desk.bar()
    await feed_server.start(feed)
    page = await browser.open((await start(feed_server.url)).address)
    profit, states = page.locator(".figure.large .value"), page.locator(".states")
    await expect(states).to_contain_text("feed live", timeout=20_000)
    await expect(profit).to_have_text("0.00")
    await expect(page.locator(".line .symbol")).to_have_text("AAPL")

    # 100 realized and 60 open, less 10 of commission.
    desk.position("AAPL", 100.0, unrealized=60.0, realized_pnl=100.0, commission=10.0)
    desk.quote("AAPL", 190.5)
    desk.progress("AAPL", 190.5)
    desk.order("order-new", "IBM", "sell", "working")
    await expect(profit).to_have_text("+150.00")
    await expect(page.locator(".line .last")).to_have_text("190.50")
    newest = page.locator(".activity .tabulator-row").first
    await expect(newest).to_contain_text("working")

    desk.order("order-new", "IBM", "sell", "cancelled")
    await expect(newest).to_contain_text("cancelled")
    for _ in range(20):
        desk.bar()
    await expect(page.locator(".line")).to_contain_text("520 bars of 5 s")

    await page.screenshot(path=tmp_path / "dashboard.png")
    assert browser.complaints == []
    assert browser.hosts <= {"127.0.0.1", ""}


async def test_another_instrument_is_one_click_away(browser: Any, feed_server: Any, start: Any, market: Any) -> None:
    feed = Feed()
    desk = market(feed)
    desk.open()
    for _ in range(100):
        desk.bar()
    await feed_server.start(feed)
    page = await browser.open((await start(feed_server.url)).address)
    await expect(page.locator(".line .symbol")).to_have_text("AAPL", timeout=20_000)

    await page.get_by_role("button", name="MSFT").click()
    await expect(page.locator(".line .symbol")).to_have_text("MSFT")
    desk.progress("MSFT", 432.1)
    await expect(page.locator(".line .last")).to_have_text("432.10")

    await page.get_by_role("button", name="AAPL").click()
    await expect(page.locator(".line .symbol")).to_have_text("AAPL")
    for title in ("Fills", "Strategies", "Messages", "Orders"):
        await page.get_by_text(title, exact=True).last.click()
    assert browser.complaints == []


async def test_an_empty_desk_is_explained(browser: Any, feed_server: Any, start: Any) -> None:
    page = await browser.open((await start(feed_server.url)).address)
    await expect(page.locator(".states")).to_contain_text("feed connecting", timeout=20_000)

    await feed_server.start(Feed())

    await expect(page.locator(".states")).to_contain_text("feed live", timeout=20_000)
    for sentence in ("No bars yet", "No profit or loss yet", "No positions yet", "No orders yet", "No quotes yet"):
        await expect(page.get_by_text(re.compile(sentence))).to_be_visible()
    assert browser.complaints == []


async def test_a_restarted_server_is_waited_for_and_its_new_state_replaces_the_old(
    browser: Any, feed_server: Any, start: Any, market: Any
) -> None:
    before, after = Feed(), Feed()
    for feed, account in ((before, "DU1"), (after, "DU2")):
        desk = market(feed, account=account)
        desk.open()
        desk.bar()
    market(before).trade("AAPL")
    await feed_server.start(before)
    page = await browser.open((await start(feed_server.url)).address)
    states, who = page.locator(".states"), page.locator(".who")
    await expect(who).to_contain_text("DU1", timeout=20_000)
    await page.get_by_role("button", name="IBM").click()

    await feed_server.stop()
    await expect(states).to_contain_text("feed reconnecting", timeout=20_000)
    await expect(who).to_contain_text("DU1")

    await feed_server.start(after)
    await expect(states).to_contain_text("feed live", timeout=20_000)
    await expect(who).to_contain_text("DU2")
    await expect(page.locator(".line .symbol")).to_have_text("IBM")
    await expect(page.get_by_text(re.compile("No orders yet"))).to_be_visible()
    assert browser.complaints == []


async def test_a_halt_shows_on_every_open_page(browser: Any, feed_server: Any, start: Any, market: Any) -> None:
    feed = Feed()
    market(feed).open()
    await feed_server.start(feed)
    address = (await start(feed_server.url)).address
    first = await browser.open(address)
    # The browser has the cookie now; the second tab needs no code.
    second = await browser.open(address.partition("/login")[0])
    for page in (first, second):
        await expect(page.locator(".states")).to_contain_text("TWS up", timeout=20_000)

    halt = {"id": "20261130-143000-3", "scope": "run:run-1", "state": "reducing", "reason": "daily loss"}
    link = {"link": "down", "at_ns": 1, "detail": "", "address": "127.0.0.1:4002", "mode": "paper"}
    feed.publish(Topic.LINK, "link", link | {"halts": [halt]})

    for page in (first, second):
        await expect(page.locator(".banner")).to_have_text("REDUCING, run:run-1: daily loss (halt 20261130-143000-3)")
        await expect(page.locator(".states")).to_contain_text("TWS down")


async def test_a_page_whose_dashboard_died_does_not_look_alive(browser: Any, feed_server: Any, start: Any) -> None:
    dashboard = await start(feed_server.url)
    page = await browser.open(dashboard.address)
    await expect(page.locator(".states")).to_be_visible(timeout=20_000)

    dashboard.close()

    await expect(page.locator("body.stale")).to_be_visible(timeout=20_000)
