"""The report is one file that a browser shows without a network."""

from __future__ import annotations

import datetime as dt
import importlib
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from bokeh.models import ColumnDataSource, Plot, TabPanel
from bokeh.models.annotations import Title

from ibdesk import Strategy, ema
from ibdesk.backtest import Result, backtest
from ibdesk.data import sample_daily_bars

MakeBars = Callable[..., pl.DataFrame]
EMA_CROSS = Path(__file__).parents[2] / "strategies" / "ema_cross.py"


@pytest.fixture(scope="module")
def result() -> Result:
    """Return a backtest of the moving averages on the real prices."""
    return backtest(EMA_CROSS, sample_daily_bars())


def test_the_plot_has_a_tab_for_each_symbol(result: Result) -> None:
    tabs = result.plot().select({"type": TabPanel})

    assert sorted(tab.title for tab in tabs if isinstance(tab, TabPanel)) == ["AAPL", "GOOG", "IBM", "MSFT"]


def test_the_report_names_strategy_file_parameters_and_range(result: Result, tmp_path: Path) -> None:
    path = result.report(tmp_path / "report.html")
    page = path.read_text()

    for words in (result.source.sha256, "ema_cross.py", "2000-03-01 to 2013-03-01", "Sharpe", "By symbol"):
        assert words in page
    assert str(EMA_CROSS.parent) not in page
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_a_report_that_cannot_be_written_leaves_nothing_behind(result: Result, tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()

    with pytest.raises(OSError, match="directory"):
        result.report(tmp_path / "report.html")

    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_a_strategy_that_never_trades_has_a_report_too(make_bars: MakeBars, tmp_path: Path) -> None:
    result = backtest(EMA_CROSS, make_bars([10.0] * 5))

    assert result.report(tmp_path / "report.html").stat().st_size > 0
    assert "EmaCross" in result._repr_html_()


@pytest.mark.browser
def test_a_browser_draws_the_report_and_asks_nobody_for_anything(result: Result, tmp_path: Path) -> None:
    chromium = Path("/usr/bin/chromium")
    if not chromium.exists():
        pytest.skip("needs Debian's chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    # Panel adds scripts of its own to what Bokeh calls its resources; a notebook has it loaded.
    importlib.import_module("panel")
    path = result.report(tmp_path / "report.html")
    asked: list[str] = []
    said: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(chromium),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"],
        )
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.on("request", lambda request: asked.append(request.url))
        page.on(
            "console",
            lambda message: said.append(f"{message.text} {message.location}") if message.type == "error" else None,
        )
        page.goto(path.as_uri())
        page.locator(".bk-Figure canvas").first.wait_for(timeout=20_000)
        assert page.locator(".bk-tab").all_inner_texts() == ["AAPL", "GOOG", "IBM", "MSFT"]
        page.screenshot(path=tmp_path / "report.png", full_page=True)
        browser.close()

    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert said == []


# The ranges of the first price plot, and the glyphs that are shown.
PRICE_PLOT = """() => {
  const plot = Object.values(Bokeh.index)[0].model.document.roots()[0].children[0].tabs[0].child.children[0];
  const shown = plot.renderers.filter(r => r.visible).map(r => r.glyph.type);
  return [plot.x_range.start, plot.x_range.end, plot.y_range.start, plot.y_range.end, shown];
}"""


@pytest.mark.browser
def test_the_prices_follow_the_time_in_sight_and_the_wheel_stays_in_the_history(result: Result, tmp_path: Path) -> None:
    chromium = Path("/usr/bin/chromium")
    if not chromium.exists():
        pytest.skip("needs Debian's chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    bars = result.bars.filter(pl.col("symbol") == "AAPL")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(chromium),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"],
        )
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(result.report(tmp_path / "report.html").as_uri())
        plot = page.locator(".bk-Figure").first
        plot.wait_for(timeout=20_000)
        box = plot.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        *_, shown = page.evaluate(PRICE_PLOT)
        assert "VArea" in shown
        assert "VBar" not in shown

        for _ in range(60):
            page.mouse.wheel(0, -240)
        page.wait_for_function(f"({PRICE_PLOT})()[4].includes('VBar')")
        start, end, low, high, shown = page.evaluate(PRICE_PLOT)
        page.screenshot(path=tmp_path / "zoomed.png", full_page=True)
        assert "VArea" not in shown
        day = 86_400_000
        assert 9.9 * day <= end - start < 400 * day
        first, last = (dt.datetime.fromtimestamp(at / 1000, dt.UTC) for at in (start, end))
        in_sight = bars.filter(pl.col("opened_at").is_between(first, last))
        lowest, highest = in_sight["low"].min(), in_sight["high"].max()
        assert isinstance(lowest, float)
        assert isinstance(highest, float)
        assert lowest * 0.9 < low < lowest
        assert highest < high < highest * 1.1

        for _ in range(120):
            page.mouse.wheel(0, 240)
        page.wait_for_function(f"({PRICE_PLOT})()[4].includes('VArea')")
        start, end, *_ = page.evaluate(PRICE_PLOT)
        history = [at.timestamp() * 1000 for at in (bars["opened_at"][0], bars["opened_at"][-1])]
        assert start >= history[0] - 60 * day
        assert end <= history[1] + 60 * day
        browser.close()


class Oscillator(Strategy):
    """Buy after a fall; its feature is no price."""

    def features(self) -> dict[str, pl.Expr]:
        return {"momentum": pl.col("close").pct_change(10), "mean": ema("close", 20)}

    def target(self) -> pl.Expr:
        return (pl.col("momentum") < 0).cast(pl.Float64) * 10


def test_long_histories_are_drawn_in_buckets_and_oscillators_below_the_price(make_bars: MakeBars) -> None:
    bars = make_bars([100 + (i % 97) / 10 for i in range(9000)], step=dt.timedelta(minutes=1))

    layout = backtest(Oscillator(), bars).plot()

    titles = [title.text for title in layout.select({"type": Title}) if isinstance(title, Title)]
    assert any("each point 3 bars" in str(title) for title in titles)
    sources = [s.data for s in layout.select({"type": ColumnDataSource}) if isinstance(s, ColumnDataSource)]
    assert {len(data["momentum"]) for data in sources if "momentum" in data} == {3000}
    assert len(list(layout.select({"type": Plot}))) == 4
