"""Whatever is published and however seldom a client reads: what it has adds up to what there is."""

from __future__ import annotations

from typing import Any

import msgpack  # type: ignore[import-untyped] # it ships no types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.store.feed import Row, Topic
from ibdesk.store.layout import LAYOUTS
from ibdesk_server.client import Table
from ibdesk_server.feed.channel import Channel, make_channel

SYMBOLS = ["AAPL", "MSFT", "IBM"]

# A step publishes a batch (symbols), lets a client read (None), or has the channel start over (True).
STEPS = st.lists(st.lists(st.sampled_from(SYMBOLS), min_size=1, max_size=4) | st.none() | st.just(True), max_size=40)
FILTERS = st.none() | st.frozensets(st.sampled_from(SYMBOLS))


class Reader:
    """A client that reads now and then, by the channel's cursor."""

    def __init__(self, channel: Channel, symbols: frozenset[str] | None) -> None:
        self._channel, self._symbols = channel, symbols
        self._cursor: int | None = None
        self.table = Table(channel.layout.key)
        self.seqs: list[int] = []

    def read(self) -> None:
        if self._cursor is None or not self._channel.reaches(self._cursor):
            self.table.clear()
            self._cursor = self._take(self._channel.snapshot(self._symbols))
            self.seqs.clear()
        while self._cursor < self._channel.seq:
            self._cursor, frame = self._channel.after(self._cursor, self._symbols)
            if frame is not None:
                self.seqs.append(self._take(frame))
        assert self._channel.backlog(self._cursor) == 0

    def _take(self, frame: bytes) -> int:
        message: dict[str, Any] = msgpack.unpackb(frame)
        columns = message["columns"]
        self.table.update(dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
        seq: int = message["seq"]
        return seq


@pytest.mark.parametrize("topic", [Topic.QUOTES, Topic.ORDERS])
@given(steps=STEPS, symbols=FILTERS, replay_bytes=st.sampled_from([1, 300, 100_000]))
def test_a_client_ends_up_with_the_newest_row_of_everything(
    topic: Topic, steps: list[list[str] | bool | None], symbols: frozenset[str] | None, replay_bytes: int
) -> None:
    channel = make_channel(topic, replay_bytes=replay_bytes)
    reader = Reader(channel, symbols)
    truth: dict[str, Row] = {}

    for number, step in enumerate(steps):
        if isinstance(step, list):
            rows = [_row(topic, symbol, number * 10 + place) for place, symbol in enumerate(step)]
            truth |= {row["symbol"]: row for row in rows}
            channel.append(rows)
        elif step is True:
            channel.reset(list(truth.values()))
        else:
            reader.read()
    reader.read()

    expected = [row for row in truth.values() if symbols is None or row["symbol"] in symbols]
    assert sorted(reader.table, key=_symbol) == sorted(expected, key=_symbol)
    if topic is Topic.ORDERS:
        assert reader.seqs == list(range(channel.seq - len(reader.seqs) + 1, channel.seq + 1))


def test_every_topic_has_a_layout() -> None:
    assert set(LAYOUTS) == set(Topic)


def test_a_frame_is_encoded_once_for_all_who_are_at_the_same_place() -> None:
    for topic in (Topic.QUOTES, Topic.ORDERS):
        channel = make_channel(topic, replay_bytes=1_000)
        channel.append([_row(topic, "AAPL", 1)])

        for symbols in (None, frozenset({"AAPL"})):
            assert channel.after(0, symbols)[1] is channel.after(0, symbols)[1]
            assert channel.snapshot(symbols) is channel.snapshot(symbols)


def test_a_snapshot_of_bars_holds_each_bar_once_and_the_newest_thousand() -> None:
    channel = make_channel(Topic.BARS, replay_bytes=1_000)
    bars: list[Row] = [
        {"symbol": "AAPL", "interval_ns": 5, "opened_ns": number, "close": 1.0} for number in range(1_010)
    ]

    channel.append(bars)
    channel.append([bars[-1] | {"close": 2.0}])
    columns = msgpack.unpackb(channel.snapshot(None))["columns"]

    assert columns["opened_ns"] == list(range(10, 1_010))
    assert columns["close"][-2:] == [1.0, 2.0]


def _row(topic: Topic, symbol: str, number: int) -> Row:
    return (
        {"id": symbol, "symbol": symbol, "value": number}
        if topic is Topic.ORDERS
        else {"symbol": symbol, "bid": number}
    )


def _symbol(row: Row) -> str:
    symbol: str = row["symbol"]
    return symbol
