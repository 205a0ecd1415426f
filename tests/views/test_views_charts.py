from __future__ import annotations

import math
from typing import Any

from bokeh.models import ColumnDataSource

from ibdesk.backtest import palette
from ibdesk.views.equity_chart import EquityChart
from ibdesk.views.price_chart import PriceChart

FIVE_SECONDS = 5_000_000_000


def source_with(chart: Any, column: str) -> ColumnDataSource:
    """Return the data of the first renderer that holds this column."""
    sources = [renderer.data_source for renderer in chart.renderers if column in renderer.data_source.data]
    assert isinstance(sources[0], ColumnDataSource)
    return sources[0]


def test_bars_are_streamed_into_one_source_that_is_never_replaced(bar: Any) -> None:
    chart = PriceChart("AAPL", FIVE_SECONDS)
    before = source_with(chart.figure, "close")
    renderers = list(chart.figure.renderers)

    chart.stream_bars([bar(0, 105.0), bar(1, 95.0)])
    chart.stream_bars([bar(2, 100.0)])

    assert source_with(chart.figure, "close") is before
    assert chart.figure.renderers == renderers
    assert before.data["close"] == [105.0, 95.0, 100.0]
    assert before.data["color"] == [palette.GAIN, palette.LOSS, palette.GAIN]


def test_a_body_spans_open_and_close_and_one_without_height_is_a_thin_stroke(bar: Any) -> None:
    chart = PriceChart("AAPL", FIVE_SECONDS)

    chart.stream_bars([bar(0, 105.0), bar(1, 95.0), bar(2, 100.0)])

    data = source_with(chart.figure, "close").data
    assert list(zip(data["bottom"], data["top"], strict=True))[:2] == [(100.0, 105.0), (95.0, 100.0)]
    # Two percent of the bar's range of 20 on either side of the price.
    assert (data["bottom"][2], data["top"][2]) == (99.6, 100.4)


def test_bars_of_others_and_bars_sent_again_are_left_out(bar: Any) -> None:
    chart = PriceChart("AAPL", FIVE_SECONDS)

    chart.stream_bars([bar(0, 101.0), bar(0, 101.0), bar(1, 102.0, symbol="MSFT"), bar(1, 103.0, interval_ns=1)])
    chart.stream_bars([bar(0, 101.0), bar(1, 104.0)])

    assert source_with(chart.figure, "close").data["close"] == [101.0, 104.0]


def test_a_history_that_comes_late_is_put_before_what_is_there(bar: Any) -> None:
    chart = PriceChart("AAPL", FIVE_SECONDS)
    chart.stream_bars([bar(5, 105.0)])

    chart.stream_bars([bar(3, 103.0), bar(4, 104.0), bar(5, 999.0)])

    assert source_with(chart.figure, "close").data["close"] == [103.0, 104.0, 105.0]


def test_the_oldest_bars_leave(bar: Any) -> None:
    chart = PriceChart("AAPL", FIVE_SECONDS, kept=2)

    chart.stream_bars([bar(0, 100.0), bar(1, 101.0)])
    chart.stream_bars([bar(2, 102.0)])

    assert source_with(chart.figure, "close").data["close"] == [101.0, 102.0]


def test_every_indicator_gets_a_line_and_a_name(indicator: Any) -> None:
    chart = PriceChart("AAPL", FIVE_SECONDS)

    chart.stream_indicators([indicator(0, "fast", None), indicator(1, "fast", 101.0), indicator(1, "slow", 99.0)])
    chart.stream_indicators([indicator(2, "fast", 102.0), indicator(2, "fast", 7.0, run_id="run-2")])
    chart.stream_indicators([indicator(2, "fast", 1.0, symbol="MSFT")])

    drawn: Any = chart.figure
    values = [r.data_source.data["value"] for r in drawn.renderers if "value" in r.data_source.data]
    assert [len(line) for line in values] == [3, 1, 1]
    assert math.isnan(values[0][0])
    assert values[0][1:] == [101.0, 102.0]
    assert [item.label.value for item in drawn.legend[0].items] == ["fast", "slow", "fast (run-2)"]


def test_a_fill_is_marked_once_though_it_comes_again_with_its_commission(fill: Any) -> None:
    chart = PriceChart("AAPL", FIVE_SECONDS)

    chart.mark_fills([fill(1), fill(2, side="sell"), fill(3, symbol="MSFT")])
    chart.mark_fills([fill(1, commission=1.0)])

    markers = source_with(chart.figure, "marker").data
    assert markers["marker"] == ["triangle", "inverted_triangle"]
    assert markers["price"] == [101.0, 101.0]


def test_equity_is_drawn_in_order_and_its_owners_apart() -> None:
    chart = EquityChart()

    chart.stream([{"owner": "", "at_ns": 1_000_000, "pnl": -5.0}, {"owner": "", "at_ns": 2_000_000, "pnl": 7.5}])
    chart.stream([{"owner": "", "at_ns": 1_000_000, "pnl": -5.0}, {"owner": "run-1", "at_ns": 2_000_000, "pnl": 3.0}])
    chart.stream([{"owner": "", "at_ns": 3_000_000, "pnl": None}])

    total = source_with(chart.figure, "gain").data
    assert total["at"] == [1.0, 2.0]
    assert total["pnl"] == [-5.0, 7.5]
    assert (total["gain"], total["loss"]) == ([0.0, 7.5], [-5.0, 0.0])
    drawn: Any = chart.figure
    owners = [r.data_source.data["pnl"] for r in drawn.renderers if "gain" not in r.data_source.data]
    assert owners == [[3.0]]


def test_one_owner_has_no_line_of_its_own_and_two_have() -> None:
    chart: Any = EquityChart()

    chart.stream([{"owner": "run-1", "at_ns": 1_000_000, "pnl": 3.0}])
    assert [item.renderers[0].visible for item in chart.figure.legend[0].items] == [False]

    chart.stream([{"owner": "run-2", "at_ns": 1_000_000, "pnl": 4.0}])
    assert [item.renderers[0].visible for item in chart.figure.legend[0].items] == [True, True]
    assert [item.label.value for item in chart.figure.legend[0].items] == ["run-1", "run-2"]
