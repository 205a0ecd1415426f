"""The feed: newest rows of conflated topics, every row of the others, and no reader delays the publisher."""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.store import Feed, Topic


def row(number: int) -> dict[str, int]:
    return {"n": number}


class Wakes:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def test_a_slow_reader_gets_the_newest_quote_of_each_symbol_once() -> None:
    feed, wake = Feed(), Wakes()
    reader, _ = feed.subscribe(wake)

    for number in range(100):
        feed.publish(Topic.QUOTES, "AAPL" if number % 2 else "GOOG", row(number))

    assert reader.drain() == ({Topic.QUOTES: [row(98), row(99)]}, False)
    assert reader.drain() == ({}, False)
    assert wake.count == 1


def test_no_change_of_an_order_is_dropped() -> None:
    feed = Feed()
    reader, _ = feed.subscribe(Wakes())

    for number in range(1000):
        feed.publish(Topic.ORDERS, "r.1", row(number))

    assert reader.drain() == ({Topic.ORDERS: [row(number) for number in range(1000)]}, False)


def test_a_reader_is_woken_once_until_it_has_looked() -> None:
    feed, wake = Feed(), Wakes()
    reader, _ = feed.subscribe(wake)

    for _ in range(3):
        feed.publish(Topic.FILLS, "1", row(1))
        feed.publish(Topic.LINK, "", row(1))
        reader.drain()

    assert wake.count == 3


@pytest.mark.parametrize("limit", [1, 10])
def test_a_reader_past_its_bound_is_told_and_starts_over(limit: int) -> None:
    feed = Feed()
    reader, _ = feed.subscribe(Wakes(), limit=limit)
    other, _ = feed.subscribe(Wakes())
    for number in range(limit):
        feed.publish(Topic.FILLS, str(number), row(number))
    assert len(reader.drain()[0][Topic.FILLS]) == limit

    for number in range(limit + 1):
        feed.publish(Topic.FILLS, str(number), row(number))
    feed.publish(Topic.QUOTES, "AAPL", row(7))

    assert reader.drain() == ({}, True)
    assert len(other.drain()[0][Topic.FILLS]) == 2 * limit + 1
    feed.publish(Topic.FILLS, "z", row(9))
    assert reader.drain() == ({Topic.FILLS: [row(9)]}, False)


def test_quotes_alone_never_overrun_a_reader() -> None:
    feed = Feed()
    reader, _ = feed.subscribe(Wakes(), limit=2)

    for number in range(10):
        feed.publish(Topic.QUOTES, str(number), row(number))

    assert reader.drain() == ({Topic.QUOTES: [row(number) for number in range(10)]}, False)


def test_a_snapshot_holds_the_last_row_of_each_key_and_the_history_of_bars() -> None:
    feed = Feed()
    for number in range(1_200):
        feed.publish(Topic.BARS, "AAPL/5", row(number))
        feed.publish(Topic.ORDERS, f"r.{number % 3}", row(number))

    snapshot = feed.snapshot()

    assert snapshot[Topic.BARS] == [row(number) for number in range(200, 1_200)]
    assert snapshot[Topic.ORDERS] == [row(1197), row(1198), row(1199)]
    assert set(snapshot) == set(Topic)
    assert feed.snapshot([Topic.LINK]) == {Topic.LINK: []}


def test_the_oldest_keys_leave_a_snapshot_that_grows_too_long() -> None:
    feed = Feed()
    for number in range(10_005):
        feed.publish(Topic.FILLS, str(number), row(number))

    fills = feed.snapshot([Topic.FILLS])[Topic.FILLS]

    assert (len(fills), fills[0], fills[-1]) == (10_000, row(5), row(10_004))


def test_a_forgotten_key_is_in_no_later_snapshot() -> None:
    feed = Feed()
    feed.publish(Topic.POSITIONS, "r/AAPL", row(1))

    feed.forget(Topic.POSITIONS, "r/AAPL")
    feed.forget(Topic.POSITIONS, "never")

    assert feed.snapshot()[Topic.POSITIONS] == []


def test_a_reader_that_has_left_gets_nothing() -> None:
    feed, wake = Feed(), Wakes()
    reader, _ = feed.subscribe(wake)

    feed.unsubscribe(reader)
    feed.unsubscribe(reader)
    feed.publish(Topic.FILLS, "1", row(1))

    assert (reader.drain(), wake.count) == (({}, False), 0)


def test_a_reader_whose_loop_is_closed_holds_up_neither_publisher_nor_others() -> None:
    feed, loop = Feed(), asyncio.new_event_loop()

    def wake() -> None:
        loop.call_soon_threadsafe(print)

    feed.subscribe(wake)
    other, _ = feed.subscribe(Wakes())
    loop.close()

    feed.publish(Topic.FILLS, "1", row(1))

    assert other.drain() == ({Topic.FILLS: [row(1)]}, False)


publications = st.lists(st.tuples(st.sampled_from(Topic), st.sampled_from("abc"), st.booleans()), max_size=80)


@given(publications)
def test_what_a_reader_has_seen_is_all_there_was(publications: list[tuple[Topic, str, bool]]) -> None:
    feed = Feed()
    reader, _ = feed.subscribe(Wakes())
    published: dict[Topic, list[tuple[str, int]]] = {topic: [] for topic in Topic}
    seen: dict[Topic, list[int]] = {topic: [] for topic in Topic}

    for number, (topic, key, looks) in enumerate(publications):
        feed.publish(topic, key, row(number))
        published[topic].append((key, number))
        if looks:
            for drained, rows in reader.drain()[0].items():
                seen[drained] += [each["n"] for each in rows]
    for drained, rows in reader.drain()[0].items():
        seen[drained] += [each["n"] for each in rows]

    for topic, everything in published.items():
        if topic.conflated:
            assert set(dict(everything).values()) <= set(seen[topic])
        else:
            assert seen[topic] == [number for _, number in everything]


@pytest.mark.parametrize("seed", range(2))
def test_snapshot_and_drains_lose_nothing_beside_a_publisher_in_another_thread(seed: int) -> None:
    feed, total, chance = Feed(), 20_000, random.Random(seed)
    begin, woken = threading.Event(), threading.Event()

    def publish() -> None:
        for number in range(total):
            feed.publish(Topic.BARS if number % 3 else Topic.ALERTS, "k", row(number))
            feed.publish(Topic.QUOTES, str(number % 7), row(number))
            if number == total // 10:
                begin.set()

    publisher = threading.Thread(target=publish)
    publisher.start()
    assert begin.wait(10)
    for _ in range(chance.randrange(2000)):
        pass
    reader, snapshot = feed.subscribe(woken.set)
    bars = [each["n"] for each in snapshot[Topic.BARS]]
    alerts = [each["n"] for each in snapshot[Topic.ALERTS]]
    quotes = {each["n"] % 7: each["n"] for each in snapshot[Topic.QUOTES]}
    while publisher.is_alive() or woken.is_set():
        woken.wait(0.05)
        woken.clear()
        rows, overrun = reader.drain()
        assert not overrun
        bars += [each["n"] for each in rows.get(Topic.BARS, [])]
        alerts += [each["n"] for each in rows.get(Topic.ALERTS, [])]
        quotes |= {each["n"] % 7: each["n"] for each in rows.get(Topic.QUOTES, [])}
    publisher.join()

    assert bars == [number for number in range(bars[0], total) if number % 3]
    assert all(later - sooner == 3 for sooner, later in itertools.pairwise(alerts))
    assert alerts[-1] == total - 1 - (total - 1) % 3
    assert sorted(quotes.values()) == list(range(total - 7, total))


class WorstLock:
    """A lock at which a publisher always waits: each time it is let go, a row is published at once."""

    def __init__(self, publish: Callable[[], None]) -> None:
        self._lock, self._publish, self._publishing = threading.Lock(), publish, False

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        if not self._publishing:
            self._publishing = True
            self._publish()
            self._publishing = False


def test_whoever_comes_at_the_worst_moment_misses_no_row() -> None:
    feed, numbers = Feed(), itertools.count()
    feed._lock = WorstLock(lambda: feed.publish(Topic.ALERTS, "k", row(next(numbers))))  # type: ignore[assignment]
    feed.publish(Topic.ALERTS, "k", row(-1))

    reader, snapshot = feed.subscribe(Wakes())
    rows = snapshot[Topic.ALERTS]
    for _ in range(5):
        rows += reader.drain()[0].get(Topic.ALERTS, [])

    seen = [each["n"] for each in rows]
    assert seen == list(range(seen[0], seen[0] + 6))


def test_what_is_published_together_is_never_drained_in_parts() -> None:
    feed = Feed()
    reader, _ = feed.subscribe(Wakes())
    drained: list[dict[Topic, list[dict[str, int]]]] = []
    draining = threading.Thread(target=lambda: drained.append(reader.drain()[0]))

    def changes() -> Iterator[tuple[Topic, str, dict[str, int]]]:
        yield Topic.ORDERS, "r.1", row(1)
        draining.start()
        draining.join(0.2)  # Long enough for one that need not wait.
        yield Topic.ORDERS, "r.2", row(2)
        yield Topic.FILLS, "e.1", row(3)

    feed.publish_all(changes())
    draining.join()

    assert drained == [{Topic.ORDERS: [row(1), row(2)], Topic.FILLS: [row(3)]}]
    assert feed.snapshot()[Topic.ORDERS] == [row(1), row(2)]
