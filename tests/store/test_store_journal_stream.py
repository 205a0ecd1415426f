"""A journal in Redis has no gap, survives a loss of Redis, and arrives as written, whatever happens in between."""

from __future__ import annotations

import asyncio
import itertools
import random
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.redis_server import RedisServer

from ibdesk.engine import RiskLimits
from ibdesk.model import Event, HaltTrading, Quote, Restore
from ibdesk.store import Entry, Journal, JournalHeader, JournalReader
from ibdesk.store.journal_stream import JournalReplacedError, JournalStream, StreamedJournal
from ibdesk.store.journal_stream_reader import JournalStreamReader
from ibdesk.store.journal_stream_writer import JournalStreamWriter
from ibdesk.store.redis import RedisError, RedisSettings
from ibdesk.store.redis.pool import RedisPool

NAME = "paper-20260310-140000-000000.sqlite"
NEXT = "paper-20260310-150000-000000.sqlite"
HEADER = JournalHeader(program="ibdesk 0", mode="paper", account="DU1", started_ns=1, limits=RiskLimits())

MakePool = Callable[..., RedisPool]


def entries_of(path: Path) -> list[Entry]:
    with JournalReader(path) as journal:
        return list(journal.book_entries())


class Leader:
    """An engine's journal on its own machine, and what writes it into Redis."""

    def __init__(
        self, stream: JournalStream, folder: Path, *, name: str = NAME, token: int = 1, most: int = 100
    ) -> None:
        self.journal = Journal.create(folder / name, HEADER)
        self.streamed = StreamedJournal(token=token, name=name, header=HEADER, host="here")
        self.order_ids, self._most = 1, most
        self._stream = stream
        self.record(Restore(account="DU1", at_ns=1))
        self.start()

    def start(self) -> None:
        """Begin to write anew, as after a restart of the work: nothing is known of what Redis has."""
        self.reader = JournalReader(self.journal.path)
        self.writer = JournalStreamWriter(
            self._stream, self.reader, self.streamed, order_ids=lambda: self.order_ids, most_megabytes=self._most
        )

    def record(self, *events: Event) -> None:
        for event in events:
            self.journal.record(event, ())
        self.journal.commit()

    def trade(self, count: int, *, text: str = "stop") -> None:
        """Write events of which every other one changes something."""
        for _ in range(count):
            at_ns = self.journal.count
            self.record(Quote("AAPL", at_ns, 1.0, 2.0, 3.0, 4.0), HaltTrading(text, at_ns))

    async def send_all(self) -> None:
        async with asyncio.timeout(20):
            while True:
                try:
                    if await self.writer.send():
                        return
                except RedisError:
                    await asyncio.sleep(0.02)

    def close(self) -> None:
        self.reader.close()
        self.journal.close()


async def read_all(reader: JournalStreamReader) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                if await reader.read():
                    return
            except RedisError:
                await asyncio.sleep(0.02)


@pytest.fixture
async def machines(redis_server: RedisServer, make_pool: MakePool, tmp_path: Path) -> AsyncIterator[SimpleNamespace]:
    """A leader's folder and a standby's, and what joins them."""
    streams = [JournalStream(make_pool(redis_server.url), "DU1") for _ in range(2)]
    leaders: list[Leader] = []

    def lead(**options) -> Leader:
        leaders.append(Leader(streams[0], tmp_path / "leader", **options))
        return leaders[-1]

    there = tmp_path / "standby"
    there.mkdir()
    reader = JournalStreamReader(streams[1], there)
    yield SimpleNamespace(lead=lead, reader=reader, copy=there / NAME, folder=there, stream=streams[1])
    reader.close()
    for leader in leaders:
        leader.close()
    for stream in streams:
        await stream.close()


async def test_what_changed_books_arrives_and_nothing_else(machines: SimpleNamespace) -> None:
    leader = machines.lead()
    leader.trade(20)
    leader.order_ids = 300

    await leader.send_all()
    await read_all(machines.reader)

    assert entries_of(machines.copy) == entries_of(leader.journal.path)
    assert len(entries_of(machines.copy)) == 21
    assert machines.reader.head.journal == leader.streamed
    assert machines.reader.head.order_ids == 300


async def test_without_a_journal_there_is_nothing_to_read(machines: SimpleNamespace) -> None:
    assert await machines.reader.read()

    assert machines.reader.head is None
    assert list(machines.folder.iterdir()) == []


async def test_a_journal_is_sent_in_pieces_and_becomes_the_head_when_all_of_it_is_there(
    machines: SimpleNamespace,
) -> None:
    leader = machines.lead()
    leader.trade(10, text="x" * 100_000)

    assert not await leader.writer.send()
    await read_all(machines.reader)
    seen_early = machines.reader.head
    await leader.send_all()
    await read_all(machines.reader)

    assert seen_early is None
    assert entries_of(machines.copy) == entries_of(leader.journal.path)


@pytest.mark.parametrize("fault", ["restart", "flush"])
async def test_a_redis_that_lost_the_journal_is_sent_all_of_it_again(
    fault: str, machines: SimpleNamespace, redis_server: RedisServer, make_pool: MakePool
) -> None:
    leader = machines.lead()
    leader.trade(5)
    await leader.send_all()
    await read_all(machines.reader)
    if fault == "restart":
        redis_server.restart()
    else:
        await make_pool(redis_server.url).call(lambda client: client.flushall())
    leader.trade(5)

    await leader.send_all()
    await read_all(machines.reader)
    late = JournalStreamReader(machines.stream, machines.folder.parent / "late")
    await read_all(late)
    late.close()

    assert entries_of(machines.copy) == entries_of(leader.journal.path)
    assert entries_of(machines.folder.parent / "late" / NAME) == entries_of(leader.journal.path)


async def test_with_redis_stalled_sending_fails_in_time_and_goes_on_afterwards(
    machines: SimpleNamespace, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ibdesk.store.journal_stream._SECONDS", 0.2)
    leader = machines.lead()
    leader.trade(3)
    await leader.send_all()
    redis_server.stall()
    leader.trade(3)

    for _ in range(3):
        with pytest.raises(RedisError, match=r"did not answer within 0\.2 s"):
            await leader.writer.send()
    redis_server.resume()
    # What was asked while it stood still is done now, all of it: a repeat changes nothing.
    await leader.send_all()
    await read_all(machines.reader)

    assert entries_of(machines.copy) == entries_of(leader.journal.path)


async def test_the_journal_before_is_removed_when_the_next_one_is_there(
    machines: SimpleNamespace, redis_server: RedisServer, make_pool: MakePool
) -> None:
    first = machines.lead()
    first.trade(3)
    await first.send_all()
    await read_all(machines.reader)
    second = machines.lead(name=NEXT, token=2)
    second.trade(4)

    await second.send_all()
    await read_all(machines.reader)

    assert machines.reader.head.journal == second.streamed
    assert entries_of(machines.folder / NEXT) == entries_of(second.journal.path)
    # The copy of the journal before stays.
    assert entries_of(machines.copy) == entries_of(first.journal.path)
    keys = await make_pool(redis_server.url).call(lambda client: client.keys("*"))
    assert sorted(keys) == [b"ibdesk:{journal:DU1}", f"ibdesk:{{journal:DU1}}:{NEXT}".encode()]


async def test_an_engine_that_was_followed_writes_nothing_more(machines: SimpleNamespace) -> None:
    first = machines.lead()
    await first.send_all()
    second = machines.lead(name=NEXT, token=2)
    await second.send_all()
    first.trade(3)

    with pytest.raises(JournalReplacedError, match=r"of token 1 was followed by one of 2"):
        await first.writer.send()

    await read_all(machines.reader)
    assert machines.reader.head.journal == second.streamed


async def test_what_never_took_the_head_leaves_by_itself(
    machines: SimpleNamespace, redis_server: RedisServer, make_pool: MakePool
) -> None:
    leader, pool = machines.lead(), make_pool(redis_server.url)
    leader.trade(10, text="x" * 100_000)
    key = f"ibdesk:{{journal:DU1}}:{NAME}"

    await leader.writer.send()
    early = await pool.call(lambda client: client.pttl(key))
    await leader.send_all()

    assert 0 < early <= 3_600_000
    assert await pool.call(lambda client: client.pttl(key)) == -1


async def test_a_journal_beyond_its_limit_is_given_up_and_standbys_learn_it(machines: SimpleNamespace) -> None:
    leader = machines.lead(most=1)
    leader.trade(3)
    await leader.send_all()
    await read_all(machines.reader)
    leader.trade(11, text="x" * 100_000)

    await leader.send_all()
    await read_all(machines.reader)

    assert machines.reader.fault.startswith("its journal exceeded redis.journal_megabytes, 1, at event")
    with JournalReader(machines.copy) as copy:
        assert copy.copy is not None
        assert copy.copy.fault == machines.reader.fault
    leader.trade(1)
    assert not leader.writer.has_news


async def test_the_size_of_a_journal_is_counted_once_however_often_it_is_sent(
    machines: SimpleNamespace, redis_server: RedisServer
) -> None:
    leader = machines.lead(most=1)
    leader.trade(6, text="x" * 100_000)
    for _ in range(3):
        await leader.send_all()
        redis_server.restart()

    await leader.send_all()

    assert leader.writer.fault == ""


SPOILED: dict[str, tuple[str, ...]] = {
    "a message that is none": ("XADD", "{head}:" + NAME, "99-0", "m", "not msgpack"),
    "an empty message": ("XADD", "{head}:" + NAME, "99-0", "m", ""),
    "a message that is too large": ("XADD", "{head}:" + NAME, "99-0", "m", "x" * 70_000_000),
    "a header that is none": ("HSET", "{head}", "header", "{}"),
    "a journal of another version": ("HSET", "{head}", "header", ""),
    "a token that is none": ("HSET", "{head}", "token", "many"),
}


@pytest.mark.parametrize("how", list(SPOILED))
async def test_what_is_none_of_a_journals_is_not_gone_on_from(
    how: str,
    machines: SimpleNamespace,
    redis_server: RedisServer,
    make_pool: MakePool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    leader = machines.lead()
    leader.trade(3)
    await leader.send_all()
    await read_all(machines.reader)
    words = [word.replace("{head}", "ibdesk:{journal:DU1}") if word != "{}" else word for word in SPOILED[how]]
    if how == "a journal of another version":
        words[-1] = '{"program": "", "mode": "paper", "account": "", "started_ns": 1, "limits": {}, "schema": 99}'

    await make_pool(redis_server.url, timeout_seconds=5).call(lambda client: client.execute_command(*words))
    for _ in range(3):
        assert await machines.reader.read()

    assert machines.reader.fault
    with JournalReader(machines.copy) as copy:
        assert copy.copy is not None
        assert copy.copy.fault == machines.reader.fault
    assert [each.levelname for each in caplog.records if "cannot be used" in each.message] == ["ERROR"]


async def test_a_name_of_a_journal_that_leads_elsewhere_is_refused(
    machines: SimpleNamespace, redis_server: RedisServer, make_pool: MakePool
) -> None:
    leader = machines.lead()
    await leader.send_all()
    pool = make_pool(redis_server.url)
    await pool.call(lambda client: client.hset("ibdesk:{journal:DU1}", "life", "../../paper.sqlite"))

    assert await machines.reader.read()

    assert "is not the name of a journal" in machines.reader.fault


async def test_where_the_journal_itself_lies_nothing_is_copied(machines: SimpleNamespace) -> None:
    leader = machines.lead()
    leader.trade(3)
    await leader.send_all()
    beside = JournalStreamReader(machines.stream, leader.journal.path.parent)
    before = sorted(path.name for path in leader.journal.path.parent.iterdir())

    await read_all(beside)

    assert beside.is_original
    assert sorted(path.name for path in leader.journal.path.parent.iterdir()) == before


# --- any order of events

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("trade"), st.integers(1, 6)),
        st.tuples(st.just("send"), st.integers(1, 3)),
        st.tuples(st.just("read"), st.integers(1, 3)),
        st.sampled_from(
            [
                ("flush", 0),
                ("forget", 0),
                ("restart writer", 0),
                ("restart reader", 0),
                ("break", 0),
                ("lose answer", 0),
            ]
        ),
    ),
    max_size=25,
)
_OFFICES = itertools.count()


@given(steps=STEPS, seed=st.integers(0, 2**16))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_copy_is_always_a_beginning_of_the_journal_and_becomes_all_of_it(
    redis_server: RedisServer, steps: list[tuple[str, int]], seed: int
) -> None:
    """Pieces are one to three rows here, so that everything happens in the middle of something."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("ibdesk.store.journal_stream_writer.MESSAGE_BYTES", 150)
        patch.setattr("ibdesk.store.journal_stream.MESSAGE_BYTES", 150)
        asyncio.run(_any_order(redis_server, Path(folder), steps, random.Random(seed)))


class Course:
    """A leader and a standby over one Redis, to which things happen; `check` after each."""

    def __init__(self, redis_server: RedisServer, folder: Path, chance: random.Random) -> None:
        office = f"office-{next(_OFFICES)}"
        self._pool = RedisPool(RedisSettings.model_validate({"url": redis_server.url}))
        self._streams = JournalStream(self._pool, office), JournalStream(self._pool, office)
        self._leader, self._standby = Leader(self._streams[0], folder / "leader"), folder / "standby"
        self._standby.mkdir()
        self._reader = JournalStreamReader(self._streams[1], self._standby)
        self._head = f"ibdesk:{{journal:{office}}}"
        self._key = f"{self._head}:{NAME}"
        self._chance = chance

    async def happens(self, what: str, count: int) -> None:
        match what:
            case "trade":
                self._leader.trade(count)
            case "send":
                for _ in range(count):
                    await self._leader.writer.send()
            case "read":
                for _ in range(count):
                    await self._reader.read()
            case "restart writer":
                self._leader.reader.close()
                self._leader.start()
            case "restart reader":
                self._reader.close()
                self._reader = JournalStreamReader(self._streams[1], self._standby)
            case _:
                await self._goes_wrong(what)

    async def _goes_wrong(self, what: str) -> None:
        match what:
            case "flush":
                await self._pool.call(lambda client: client.delete(self._head, self._key))
            case "forget":
                # A Redis restored from an old state: it lacks the newest.
                count = self._chance.randint(1, 5)
                found = await self._pool.call(lambda client: client.xrevrange(self._key, count=count + 1)) or []
                gone, left = [str(key, "ascii") for key, _ in found][:count], "0-0"  # type: ignore[arg-type] # bytes
                if len(found) > count:
                    left = str(found[-1][0], "ascii")  # type: ignore[arg-type] # bytes
                if gone:
                    await self._pool.call(lambda client: client.xdel(self._key, *gone))
                    await self._pool.call(lambda client: client.execute_command("XSETID", self._key, left))
            case "break":
                for stream in self._streams:
                    await stream.close()
            case "lose answer":
                # It arrived, and whoever sent it never heard so.
                writer = self._leader.writer
                known = writer._after, writer._size
                await writer.send()
                writer._after, writer._size = known

    def check(self) -> None:
        if (self._standby / NAME).exists():
            copied, written = entries_of(self._standby / NAME), entries_of(self._leader.journal.path)
            assert copied == written[: len(copied)]
        assert self._reader.fault == ""

    async def comes_to_its_end(self) -> None:
        await self._leader.send_all()
        await read_all(self._reader)
        assert entries_of(self._standby / NAME) == entries_of(self._leader.journal.path)

    async def close(self) -> None:
        self._reader.close()
        self._leader.close()
        for stream in self._streams:
            await stream.close()
        await self._pool.close()


async def _any_order(
    redis_server: RedisServer, folder: Path, steps: list[tuple[str, int]], chance: random.Random
) -> None:
    course = Course(redis_server, folder, chance)
    for step in steps:
        await course.happens(*step)
        course.check()
    await course.comes_to_its_end()
    await course.close()
