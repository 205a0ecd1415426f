"""A trader reads the screen: figures are whole, tables can be sorted, charts stay where the data is."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Page, expect

from ibdesk.store.feed import Feed, Topic

pytestmark = pytest.mark.timeout(120)

CUT = """cells => cells.filter(cell => cell.scrollWidth > cell.clientWidth).map(cell => cell.innerText)"""
OUTSIDE = """cells => cells.filter(cell => cell.getBoundingClientRect().right >
  cell.closest(".tabulator-tableholder").getBoundingClientRect().right).map(cell => cell.innerText)"""
RANGE = """() => {
  for (const view of Object.values(Bokeh.index)) {
    const figures = [...view.model.document._all_models.values()].filter(m => m.type === "Figure");
    const prices = figures.find(f => "volume" in f.extra_y_ranges);
    if (prices) return [prices.x_range.start, prices.x_range.end];
  }
  return null;
}"""
READOUT = """() => {
  for (const view of Object.values(Bokeh.index)) {
    const labels = [...view.model.document._all_models.values()].filter(m => m.type === "Label" && m.visible);
    const shown = labels.filter(label => label.text.includes("Open "));
    if (shown.length) return shown[0].text;
  }
  return "";
}"""


@pytest.fixture
async def page(browser: Any, feed_server: Any, start: Any, market: Any) -> Any:
    """Return an open dashboard with 300 bars; `page.desk` publishes more."""
    feed = Feed()
    desk = market(feed)
    desk.open()
    for _ in range(300):
        desk.bar()
    await feed_server.start(feed)
    opened = await browser.open((await start(feed_server.url)).address)
    await expect(opened.locator(".line .symbol")).to_have_text("AAPL", timeout=20_000)
    opened.desk, opened.feed = desk, feed
    return opened


async def test_no_figure_is_cut(page: Any, tmp_path: Any) -> None:
    page.desk.position(
        "AAPL",
        -12_500.0,
        unrealized=-1_234_567.89,
        realized_pnl=24_719.25,
        average_price=118_242.6,
        last_price=18_242.6,
    )
    row = {"symbol": "AAPL", "at_ns": page.desk.at_ns, "bid": 118_242.6, "ask": 118_242.7}
    page.feed.publish(Topic.QUOTES, "AAPL", row | {"bid_size": 1_250_000.0, "ask_size": 980_000.0})
    await expect(page.locator(".side")).to_contain_text("-1,234,567.89")
    await expect(page.locator(".side")).to_contain_text("1,250,000")

    for width in (1400, 1120, 900):
        await page.set_viewport_size({"width": width, "height": 900})
        figures = page.locator(".side .tabulator-cell[style*='right']")
        assert await figures.count() > 10
        await page.screenshot(path=tmp_path / f"figures-{width}.png")
        assert await figures.evaluate_all(CUT) == []
        assert await figures.evaluate_all(OUTSIDE) == []


async def test_a_denied_order_shows_its_reason_first(page: Any) -> None:
    row = page.desk.order("order-denied", "IBM", "buy", "denied")
    page.feed.publish(
        Topic.ORDERS, "order-denied", row | {"reason": "max_position_shares allows 500 shares, asked 600"}
    )

    newest = page.locator(".activity .tabulator-row").first
    await expect(newest).to_contain_text("max_position_shares allows 500 shares, asked 600")
    reason = newest.locator(".tabulator-cell[tabulator-field=Reason]")
    assert await reason.evaluate_all(CUT) == []


async def test_a_table_sorts_numbers_as_numbers_and_goes_on_patching_the_right_rows(page: Any) -> None:
    for number, quantity in (("a", 9.0), ("b", 1_200.0), ("c", 100.0)):
        row = page.desk.order(f"order-{number}", "IBM", "sell", "working")
        page.feed.publish(Topic.ORDERS, f"order-{number}", row | {"quantity": quantity, "created_ns": page.desk.at_ns})
    await expect(page.locator(".activity .tabulator-row").first).to_contain_text("working")

    header = page.locator(".activity .tabulator-col[tabulator-field=Quantity]").first
    await header.click()
    await expect(header).to_have_attribute("aria-sort", "ascending")
    await header.click()
    await expect(header).to_have_attribute("aria-sort", "descending")
    first = page.locator(".activity .tabulator-row").first
    await expect(first).to_contain_text("1,200")

    row = page.desk.order("order-b", "IBM", "sell", "cancelled")
    page.feed.publish(Topic.ORDERS, "order-b", row | {"quantity": 1_200.0})
    await expect(first).to_contain_text("cancelled")
    page.desk.order("order-d", "IBM", "buy", "filled")
    await expect(page.locator(".activity .tabulator-row")).to_contain_text(["filled"])
    await expect(page.locator(".activity .tabulator-row").first).to_contain_text("1,200")


async def test_the_figures_under_the_pointer_stay_while_bars_come_in(page: Any) -> None:
    await _point_into_the_chart(page)
    await page.wait_for_function(f"({READOUT})() !== ''")

    for _ in range(5):
        page.desk.bar()
    await expect(page.locator(".line")).to_contain_text("305 bars")

    assert "Open 1" in await page.evaluate(READOUT)


async def test_the_wheel_does_not_leave_the_bars_that_there_are(page: Any) -> None:
    await _point_into_the_chart(page)
    for delta in (240, -240):
        for _ in range(60):
            await page.mouse.wheel(0, delta)
        start, end = await page.evaluate(RANGE)
        bar = 5_000
        assert start >= page.desk.at_ns / 1e6 - 300 * bar - 121 * bar
        assert end <= page.desk.at_ns / 1e6 + 121 * bar
        assert end - start >= 10 * bar * 0.99


async def _point_into_the_chart(page: Page) -> None:
    box = await page.locator(".price .bk-Figure").first.bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    await page.mouse.move(box["x"] + box["width"] / 2 + 5, box["y"] + box["height"] / 2 + 5)
