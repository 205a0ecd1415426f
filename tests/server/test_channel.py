"""Whatever is published and however seldom a client reads: what it has adds up to what there is."""

from __future__ import annotations

import itertools
from fnmatch import fnmatch
from typing import Any

import msgpack  # type: ignore[import-untyped] # it ships no types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.store.batches import Batch, TopicState
from ibdesk.store.feed import Row, Topic
from ibdesk.store.layout import LAYOUTS
from ibdesk_server.client import Table
from ibdesk_server.feed.channel import Channel, Channels
from ibdesk_server.feed.coding import Coding
from ibdesk_server.feed.filter import Filters

SYMBOLS = ["AAPL", "MSFT", "IBM"]

# A step publishes batches (of symbols), lets a client read (None), or has the channel start over (True).
BATCHES = st.lists(st.lists(st.sampled_from(SYMBOLS), min_size=1, max_size=4), min_size=1, max_size=3)
STEPS = st.lists(BATCHES | st.none() | st.just(True), max_size=40)
WORDS = st.none() | st.lists(st.sampled_from([*SYMBOLS, "M*", "?????"]))


def make(topic: Topic, *, replay_bytes: int = 1_000) -> Channel:
    channel = Channels(replay_bytes=replay_bytes)[topic]
    channel.begin(TopicState(0, []), "one")
    return channel


class Reader:
    """A client that reads now and then, by the channel's cursor, and checks that each message continues the last."""

    def __init__(self, channel: Channel, words: list[str] | None) -> None:
        self._channel, self._filter = channel, Filters().get(words, None, channel.layout)
        self._told = self._looked = -1
        self.table = Table(channel.layout.key)
        self.rows: list[Row] = []

    def read(self) -> None:
        channel = self._channel
        if not channel.reaches(self._looked):
            self.table.clear()
            self.rows.clear()
            self._looked, frame = channel.snapshot(self._filter, Coding.MSGPACK)
            self._take(frame)
            self._told = self._looked
        while self._looked < channel.seq:
            self._looked, delta = channel.after(self._told, self._looked, self._filter, Coding.MSGPACK)
            if delta is not None:
                message = self._take(delta)
                assert (message["after"], message["seq"]) == (self._told, self._looked)
                self._told = self._looked
        assert channel.backlog(self._looked) == 0

    def _take(self, frame: bytes) -> dict[str, Any]:
        message = payload(frame)
        rows = rows_of(message["columns"])
        self.table.update(rows)
        self.rows += rows
        return message


@pytest.mark.parametrize("topic", [Topic.QUOTES, Topic.ORDERS])
@given(steps=STEPS, words=WORDS, replay_bytes=st.sampled_from([1, 300, 100_000]))
def test_a_client_ends_up_with_the_newest_row_of_everything(
    topic: Topic, steps: list[list[list[str]] | bool | None], words: list[str] | None, replay_bytes: int
) -> None:
    channel = make(topic, replay_bytes=replay_bytes)
    reader = Reader(channel, words)
    truth: dict[str, Row] = {}
    everything: list[Row] = []
    numbers = itertools.count()

    reader.read()
    for step in steps:
        if isinstance(step, list):
            batches = []
            for number, symbols in enumerate(step, start=1):
                rows = [_row(topic, symbol, next(numbers)) for symbol in symbols]
                truth |= {row["symbol"]: row for row in rows}
                everything += rows
                batches.append(Batch(topic, channel.seq + number, rows))
            channel.append(batches)
        elif step is True:
            channel.begin(TopicState(channel.seq + 1, list(truth.values())), "one")
        else:
            reader.read()
    reader.read()

    wanted = [row for row in everything if words is None or any(fnmatch(row["symbol"], word) for word in words)]
    newest = {row["symbol"]: row for row in wanted}
    assert sorted(reader.table, key=_symbol) == sorted(newest.values(), key=_symbol)
    if True not in steps:
        # Nothing is sent twice, not even of what is conflated.
        assert len({tuple(row.items()) for row in reader.rows}) == len(reader.rows)
    if topic is Topic.ORDERS and True not in steps and replay_bytes == 100_000:
        assert reader.rows == wanted


def test_every_topic_has_a_layout() -> None:
    assert set(LAYOUTS) == set(Topic)


def test_a_frame_is_encoded_once_for_all_who_are_at_the_same_place() -> None:
    for topic in (Topic.QUOTES, Topic.ORDERS):
        channel = make(topic)
        channel.append([Batch(topic, 1, [_row(topic, "AAPL", 1)])])

        for chosen in (None, Filters().get(["AAPL"], None, channel.layout)):
            for coding in Coding:
                assert channel.after(0, 0, chosen, coding)[1] is channel.after(0, 0, chosen, coding)[1]
                assert channel.snapshot(chosen, coding)[1] is channel.snapshot(chosen, coding)[1]


def test_batches_of_one_flush_travel_as_one_frame_and_a_client_in_their_middle_gets_the_rest() -> None:
    channel = make(Topic.ORDERS)
    channel.append([Batch(Topic.ORDERS, seq, [_row(Topic.ORDERS, "AAPL", seq)]) for seq in (1, 2, 3)])

    whole, rest = (channel.after(cursor, cursor, None, Coding.MSGPACK) for cursor in (0, 2))

    assert (whole[0], rest[0]) == (3, 3)
    assert payload(whole[1])["columns"]["value"] == [1, 2, 3]
    assert payload(rest[1])["columns"]["value"] == [3]


def test_old_batches_are_read_from_their_bytes() -> None:
    channel = make(Topic.ORDERS, replay_bytes=100_000)
    for seq in range(1, 201):
        channel.append([Batch(Topic.ORDERS, seq, [_row(Topic.ORDERS, "AAPL" if seq % 2 else "IBM", seq)])])

    seq, frame = channel.after(0, 0, Filters().get(["IBM"], None, channel.layout), Coding.MSGPACK)

    assert seq == 200
    assert payload(frame)["columns"]["value"] == list(range(2, 201, 2))


@pytest.mark.parametrize("topic", [Topic.QUOTES, Topic.ORDERS])
def test_a_later_state_of_the_same_epoch_is_joined_without_starting_over(topic: Topic) -> None:
    channel = make(topic)
    first, second = ([Batch(topic, seq, [_row(topic, "AAPL", seq)])] for seq in (1, 2))
    channel.append(first)
    generation = channel.generation

    kept = channel.begin(TopicState(2, second[0].rows, [] if topic.conflated else [*first, *second]), "one")
    seq, frame = channel.after(1, 1, None, Coding.MSGPACK)

    assert (kept, channel.generation, seq) == (True, generation, 2)
    assert rows_of(payload(frame)["columns"]) == second[0].rows


@pytest.mark.parametrize("topic", [Topic.QUOTES, Topic.ORDERS])
def test_a_state_with_a_hole_before_it_or_of_another_epoch_starts_over(topic: Topic) -> None:
    channel = make(topic)
    channel.append([Batch(topic, 1, [_row(topic, "AAPL", 1), _row(topic, "IBM", 1)])])
    later = [Batch(topic, 5, [_row(topic, "IBM", 5)])]

    assert not channel.begin(TopicState(5, later[0].rows, later if topic is Topic.ORDERS else []), "one")
    assert not channel.reaches(1)
    generation = channel.generation
    assert not channel.begin(TopicState(5, later[0].rows), "two")
    assert channel.generation == generation + 1


def test_a_long_snapshot_is_given_out_again_with_what_came_since_as_deltas() -> None:
    channel = make(Topic.ORDERS, replay_bytes=1_000_000)
    many = [_row(Topic.ORDERS, f"S{number}", number) for number in range(5_000)]
    channel.append([Batch(Topic.ORDERS, 1, many)])
    seq, frame = channel.snapshot(None, Coding.MSGPACK)

    channel.append([Batch(Topic.ORDERS, 2, [_row(Topic.ORDERS, "S1", 7)])])

    assert (seq, channel.snapshot(None, Coding.MSGPACK)[1] is frame) == (1, True)
    channel.append([Batch(Topic.ORDERS, 3, many)])
    assert channel.snapshot(None, Coding.MSGPACK)[0] == 3


def test_a_snapshot_of_bars_holds_each_bar_once_and_the_newest_thousand() -> None:
    channel = make(Topic.BARS)
    bars: list[Row] = [
        {"symbol": "AAPL", "interval_ns": 5, "opened_ns": number, "close": 1.0} for number in range(1_010)
    ]

    channel.append([Batch(Topic.BARS, 1, bars)])
    channel.append([Batch(Topic.BARS, 2, [bars[-1] | {"close": 2.0}])])
    columns = payload(channel.snapshot(None, Coding.MSGPACK)[1])["columns"]

    assert columns["opened_ns"] == list(range(10, 1_010))
    assert columns["close"][-2:] == [1.0, 2.0]


def payload(frame: bytes | None) -> dict[str, Any]:
    """Return the message in a WebSocket frame."""
    assert frame is not None
    start = {126: 4, 127: 10}.get(frame[1], 2)
    message: dict[str, Any] = msgpack.unpackb(frame[start:])
    return message


def rows_of(columns: dict[str, list[Any]]) -> list[Row]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _row(topic: Topic, symbol: str, number: int) -> Row:
    return (
        {"id": symbol, "symbol": symbol, "value": number}
        if topic is Topic.ORDERS
        else {"symbol": symbol, "bid": number}
    )


def _symbol(row: Row) -> str:
    symbol: str = row["symbol"]
    return symbol
