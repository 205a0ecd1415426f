"""The averages that watchers are shown: all symbols at once, and the same bits as the whole series gives."""

from __future__ import annotations

import threading

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.desk.emas import EmaBoard, EmaMonitor
from ibdesk.indicators import Ema, ema
from ibdesk.store import Feed, Row, Topic

SPANS = (1, 3, 12)


def bar(symbol: str, number: int, close: float) -> Row:
    return {"symbol": symbol, "interval_ns": 5, "opened_ns": number * 5, "close": close}


prices = st.floats(1, 1_000, allow_nan=False)
flushes = st.lists(st.lists(st.tuples(st.sampled_from("ABC"), prices), max_size=8), max_size=12)


@given(flushes)
def test_averages_are_bit_equal_to_those_of_the_whole_series_however_the_bars_arrive(
    flushes: list[list[tuple[str, float]]],
) -> None:
    board = EmaBoard(SPANS)
    averages = {symbol: [Ema(span) for span in SPANS] for symbol in "ABC"}
    counts = dict.fromkeys("ABC", 0)

    for flush in flushes:
        bars, expected = [], {}
        for symbol, close in flush:
            bars.append(bar(symbol, counts[symbol], close))
            counts[symbol] += 1
            expected[symbol] = [average.update(close) for average in averages[symbol]]
        rows = {row["symbol"]: [row[f"ema_{span}"] for span in SPANS] for row in board.take(bars)}

        assert rows == expected


def test_a_bar_told_twice_counts_once_and_an_older_or_corrected_one_has_the_series_averaged_anew() -> None:
    board = EmaBoard((3,))
    closes = [10.0, 11.0, 12.5, 12.0]
    board.take([bar("A", number, close) for number, close in enumerate(closes) if number])

    told_twice = board.take([bar("A", 3, closes[3])])
    older = board.take([bar("A", 0, closes[0])])
    corrected = board.take([bar("A", 2, 99.0)])

    def whole(closes: list[float]) -> float:
        return float(pl.DataFrame({"close": closes}).select(ema("close", 3).last()).item())

    assert told_twice == []
    assert [row["ema_3"] for row in older] == [whole(closes)]
    assert [row["ema_3"] for row in corrected] == [whole([10.0, 11.0, 99.0, 12.0])]
    assert corrected[0]["opened_ns"] == 15


def test_nothing_is_told_before_there_are_enough_bars() -> None:
    board = EmaBoard((2, 3))

    rows = [board.take([bar("A", number, 1.0)])[0] for number in range(3)]

    assert [(row["ema_2"], row["ema_3"]) for row in rows] == [(None, None), (1.0, None), (1.0, 1.0)]


@pytest.mark.timeout(20)
def test_the_monitor_follows_the_bars_of_a_feed_and_publishes_beside_them() -> None:
    feed, changed = Feed(), threading.Event()
    feed.publish(Topic.BARS, "A/5", bar("A", 0, 1.0))
    reader, _ = feed.subscribe(changed.set, topics=[Topic.EMAS])

    with EmaMonitor(feed, (1,)):
        seen = [row["ema_1"] for row in reader.drain()[0][Topic.EMAS]]
        for number in range(1, 4):
            changed.clear()
            feed.publish(Topic.BARS, "A/5", bar("A", number, float(number)))
            feed.publish(Topic.QUOTES, "A", {"symbol": "A"})
            assert changed.wait(10)
            seen += [row["ema_1"] for row in reader.drain()[0][Topic.EMAS]]

    assert seen == [1.0, 1.0, 2.0, 3.0]
    assert feed.snapshot([Topic.EMAS])[Topic.EMAS] == [{"symbol": "A", "interval_ns": 5, "opened_ns": 15, "ema_1": 3.0}]
