"""Takeover from an engine on another machine: everything besides the books."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from tests.redis_server import RedisServer

from ibdesk.desk.journal_follower import JournalFollower
from ibdesk.desk.settings import DeskSettings
from ibdesk.engine import RiskLimits
from ibdesk.model import Restore
from ibdesk.store import Journal, JournalHeader, JournalReader, OrderIdMark
from ibdesk.store.journal_stream import JournalStream, StreamedJournal
from ibdesk.store.journal_stream_writer import JournalStreamWriter
from ibdesk.store.redis import RedisSettings
from ibdesk.store.redis.pool import RedisPool

HEADER = JournalHeader(program="ibdesk 0", mode="paper", account="DU1", started_ns=1, limits=RiskLimits())
NAME = "paper-20260310-140000-000000.sqlite"


@pytest.fixture
def settings(redis_server: RedisServer, tmp_path: Path) -> DeskSettings:
    redis = RedisSettings(url=SecretStr(redis_server.url), timeout_seconds=2)
    return DeskSettings(mode="paper", state_folder=tmp_path / "standby", redis=redis)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[JournalReader]:
    """What the engine before has written on its own machine."""
    written = Journal.create(tmp_path / "leader" / NAME, HEADER)
    written.record(Restore(account="DU1", at_ns=1), ())
    written.commit()
    with JournalReader(written.path) as reader:
        yield reader
    written.close()


async def send(settings: DeskSettings, journal: JournalReader, *, order_ids: int, most_megabytes: int) -> None:
    pool = RedisPool(settings.redis)
    stream = JournalStream(pool, "DU1")
    streamed = StreamedJournal(token=1, name=NAME, header=HEADER, host="elsewhere")
    writer = JournalStreamWriter(stream, journal, streamed, order_ids=lambda: order_ids, most_megabytes=most_megabytes)
    while not await writer.send():
        pass
    await stream.close()
    await pool.close()


async def test_no_order_id_of_the_engine_before_is_used_again(settings: DeskSettings, journal: JournalReader) -> None:
    await send(settings, journal, order_ids=5_000, most_megabytes=1)

    with JournalFollower(settings, "DU1") as follower:
        follower.catch_up()

    tws = settings.tws
    mark = OrderIdMark.of(settings.state_folder, host=tws.host, port=tws.port, client_id=tws.client_id)
    assert mark.reserved >= 5_000
    assert follower.fault == ""


async def test_books_that_are_not_whole_are_not_gone_on_from(settings: DeskSettings, journal: JournalReader) -> None:
    await send(settings, journal, order_ids=1, most_megabytes=0)

    with JournalFollower(settings, "DU1") as follower:
        follower.catch_up()

    assert "exceeded redis.journal_megabytes" in follower.fault
