"""Numbered batches: a state and every batch after it give every published row, each once."""

from __future__ import annotations

import asyncio
import itertools

from hypothesis import given
from hypothesis import strategies as st

from ibdesk.store import Batch, Feed, FeedState, Sequencer, Topic

SECONDS = 5.0


class Follower:
    """Keeps the orders that it has been told of, and refuses a hole in the numbers."""

    def __init__(self, state: FeedState) -> None:
        self.orders: list[int] = []
        self.seq = 0
        self.start_over(state)

    def start_over(self, state: FeedState) -> None:
        topic = state.topics[Topic.ORDERS]
        self.orders = [int(row["id"]) for row in topic.rows]
        self.seq = topic.seq

    def take(self, news: list[Batch] | FeedState) -> None:
        if isinstance(news, FeedState):
            self.start_over(news)
            return
        for batch in news:
            if batch.topic is Topic.ORDERS and batch.seq > self.seq:
                assert batch.seq == self.seq + 1
                self.seq = batch.seq
                self.orders += [int(row["id"]) for row in batch.rows]


def publish(feed: Feed, number: int) -> None:
    feed.publish(Topic.ORDERS, str(number), {"id": str(number)})


async def next_of(sequencer: Sequencer) -> list[Batch] | FeedState:
    return await asyncio.wait_for(sequencer.next(), SECONDS)


STEPS = st.lists(st.sampled_from(["publish", "next", "join"]), min_size=1, max_size=40)


@given(STEPS)
def test_every_follower_knows_every_row_once_whenever_it_joined(steps: list[str]) -> None:
    async def story() -> None:
        feed = Feed()
        sequencer = Sequencer(feed)
        followers = [Follower(await sequencer.open())]
        count, waiting = itertools.count(), 0
        published = []
        for step in [*steps, "publish", "next"]:
            if step == "publish":
                published.append(next(count))
                publish(feed, published[-1])
                waiting += 1
            elif step == "join":
                followers.append(Follower(sequencer.state()))
            elif waiting:
                news = await next_of(sequencer)
                waiting = 0
                for follower in followers:
                    follower.take(news)

        assert [follower.orders for follower in followers] == [published] * len(followers)

    asyncio.run(story())


@given(st.lists(st.integers(1, 30), min_size=1, max_size=20), st.integers(1, 40))
def test_recent_batches_lead_without_a_hole_to_the_state(sizes: list[int], kept_rows: int) -> None:
    async def story() -> None:
        feed = Feed()
        sequencer = Sequencer(feed, kept_rows=kept_rows)
        await sequencer.open()
        numbers = itertools.count()
        for size in sizes:
            for _ in range(size):
                publish(feed, next(numbers))
            await next_of(sequencer)

        topic = sequencer.state().topics[Topic.ORDERS]

        assert [batch.seq for batch in topic.recent] == list(range(topic.seq - len(topic.recent) + 1, topic.seq + 1))
        rows = [row for batch in topic.recent for row in batch.rows]
        assert rows == topic.rows[len(topic.rows) - len(rows) :]
        assert len(rows) <= max(kept_rows, sizes[-1])

    asyncio.run(story())


async def test_where_rows_were_lost_a_state_comes_and_nobody_can_go_on_from_before() -> None:
    feed = Feed()
    sequencer = Sequencer(feed)
    before = await sequencer.open()
    publish(feed, 0)
    await next_of(sequencer)
    for number in range(100_002):
        publish(feed, number)

    after = await next_of(sequencer)

    assert isinstance(after, FeedState)
    assert after.epoch == before.epoch
    assert after.topics[Topic.ORDERS].seq > 1
    assert after.topics[Topic.ORDERS].recent == []
    publish(feed, -1)
    news = await next_of(sequencer)
    assert isinstance(news, list)
    assert news[0].seq == after.topics[Topic.ORDERS].seq + 1


async def test_conflated_topics_keep_no_batches() -> None:
    feed = Feed()
    sequencer = Sequencer(feed)
    await sequencer.open()
    feed.publish(Topic.QUOTES, "AAPL", {"symbol": "AAPL", "bid": 1.0})
    await next_of(sequencer)

    topic = sequencer.state().topics[Topic.QUOTES]

    assert (topic.seq, topic.rows, topic.recent) == (1, [{"symbol": "AAPL", "bid": 1.0}], [])


async def test_one_that_is_opened_again_begins_another_epoch() -> None:
    feed = Feed()
    sequencer = Sequencer(feed)
    before = await sequencer.open()
    await sequencer.close()
    publish(feed, 0)

    after = await sequencer.open()

    assert after.epoch != before.epoch
    assert after.epoch == sequencer.epoch
    assert after.topics[Topic.ORDERS].rows == [{"id": "0"}]
