"""Storage and streams: the journal and its replay, the feed of state changes, caches, and Redis."""

from typing import TYPE_CHECKING

from ibdesk.lazy import at_first_use

if TYPE_CHECKING:
    from ibdesk.store.account_halts import AccountHalts, AccountHaltsError, AccountRecord, Lift, accounts_folder
    from ibdesk.store.account_lock import AccountInUseError, AccountLock, SupersededError
    from ibdesk.store.batches import Batch, BatchSource, FeedState, Sequencer, TopicState
    from ibdesk.store.cache import Cache, Cached, MemoryCache, RedisCache
    from ibdesk.store.feed import Feed, FeedReader, Row, Topic
    from ibdesk.store.journal import Journal, JournalHeader
    from ibdesk.store.journal_files import journals_in, path_of_new_journal, set_aside_unborn
    from ibdesk.store.journal_list import JournalInfo, journal_infos
    from ibdesk.store.journal_log import JournalLogKeeper
    from ibdesk.store.journal_pages import JournalFilter, JournalPage, JournalRow, read_page, stretch
    from ibdesk.store.journal_reader import Entry, JournalReader
    from ibdesk.store.journal_replay import ReplayReport, replay
    from ibdesk.store.journal_settings import JournalSettings
    from ibdesk.store.journal_tidier import JournalTidier
    from ibdesk.store.market_cache import KEPT_BARS, MarketCache
    from ibdesk.store.order_ids import OrderIdMark
    from ibdesk.store.recovery import restore_from
    from ibdesk.store.redis import RedisError, RedisSettings
    from ibdesk.store.reserve import Reserve

__all__ = [
    "KEPT_BARS",
    "AccountHalts",
    "AccountHaltsError",
    "AccountInUseError",
    "AccountLock",
    "AccountRecord",
    "Batch",
    "BatchSource",
    "Cache",
    "Cached",
    "Entry",
    "Feed",
    "FeedReader",
    "FeedState",
    "Journal",
    "JournalFilter",
    "JournalHeader",
    "JournalInfo",
    "JournalLogKeeper",
    "JournalPage",
    "JournalReader",
    "JournalRow",
    "JournalSettings",
    "JournalTidier",
    "Lift",
    "MarketCache",
    "MemoryCache",
    "OrderIdMark",
    "RedisCache",
    "RedisError",
    "RedisSettings",
    "ReplayReport",
    "Reserve",
    "Row",
    "Sequencer",
    "SupersededError",
    "Topic",
    "TopicState",
    "accounts_folder",
    "journal_infos",
    "journals_in",
    "path_of_new_journal",
    "read_page",
    "replay",
    "restore_from",
    "set_aside_unborn",
    "stretch",
]

__getattr__, __dir__ = at_first_use(__name__, __file__)
