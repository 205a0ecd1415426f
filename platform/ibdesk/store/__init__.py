"""What lasts and what streams: the journal and its replay, and the feed of state changes."""

from ibdesk.store.batches import Batch, BatchSource, FeedState, Sequencer, TopicState
from ibdesk.store.feed import Feed, FeedReader, Row, Topic
from ibdesk.store.journal import Entry, Journal, JournalHeader, JournalReader
from ibdesk.store.lives import take_over_from
from ibdesk.store.order_ids import OrderIdMark
from ibdesk.store.redis.settings import RedisSettings
from ibdesk.store.replay import ReplayReport, replay

__all__ = [
    "Batch",
    "BatchSource",
    "Entry",
    "Feed",
    "FeedReader",
    "FeedState",
    "Journal",
    "JournalHeader",
    "JournalReader",
    "OrderIdMark",
    "RedisSettings",
    "ReplayReport",
    "Row",
    "Sequencer",
    "Topic",
    "TopicState",
    "replay",
    "take_over_from",
]
