"""A desk in another process is the same desk: the same calls, the same errors, the same feed, also after a break."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from tests.redis_server import RedisServer

from ibdesk.desk import AttachedDesk, Desk, DeskSettings, DeskState, HaltInfo
from ibdesk.desk.handle import OPERATIONS, AioDesk, DeskHandle
from ibdesk.desk.operations import Operations
from ibdesk.desk.port.addresses import Address, SocketAddress, StreamAddress
from ibdesk.desk.port.host import PortHost, PortTransport
from ibdesk.desk.port.messages import decode_client_message, decode_desk_message
from ibdesk.desk.port.socket_transport import SocketTransport
from ibdesk.desk.port.stream_transport import Streams, StreamTransport, ToDesk
from ibdesk.desk.port.values import decode_arguments, encode_arguments, error_of, facts_of
from ibdesk.errors import (
    ClientIdInUseError,
    ConfigError,
    DeskError,
    DetachedError,
    InstrumentError,
    OrderDeniedError,
    ReplayMismatchError,
)
from ibdesk.model import Stock
from ibdesk.store import Batch, FeedState, Topic
from ibdesk.store.redis import RedisSettings
from ibdesk.store.redis.pool import RedisPool
from ibdesk.strategy import Strategy
from ibdesk.telemetry.trace import correlated, correlation_id

SECONDS = 20.0


class Host:
    """A desk's port on a thread of its own, which can be taken away and put back."""

    def __init__(self, desk: Desk, address: Address, redis: RedisSettings) -> None:
        self._desk, self.address, self.redis = desk, address, redis
        self._stop: Callable[[], object] | None = None
        self._thread: threading.Thread | None = None
        self.token = 1
        self.leads = True

    def start(self) -> None:
        started = threading.Event()

        async def serve() -> None:
            async with contextlib.AsyncExitStack() as stack:
                host = PortHost(self._desk, self._desk.feed, self._transport(stack), may_act=lambda: self.leads)
                serving = asyncio.create_task(host.run())
                loop = asyncio.get_running_loop()
                self._stop = lambda: loop.call_soon_threadsafe(serving.cancel)
                await asyncio.wait_for(host.answering.wait(), SECONDS)
                started.set()
                with contextlib.suppress(asyncio.CancelledError):
                    await serving

        self._thread = threading.Thread(target=lambda: asyncio.run(serve()))
        self._thread.start()
        assert started.wait(SECONDS)

    def _transport(self, stack: contextlib.AsyncExitStack) -> PortTransport:
        if isinstance(self.address, SocketAddress):
            return SocketTransport(self.address.path)
        pool = RedisPool(self.redis)
        stack.push_async_callback(pool.close)
        return StreamTransport(pool, self.address.name, token=self.token)

    def stop(self) -> None:
        if self._stop is not None and self._thread is not None:
            self._stop()
            self._thread.join(SECONDS)
            self._stop = None

    def attach(self, **options: float) -> AttachedDesk:
        settings = DeskSettings(redis=self.redis)
        return AttachedDesk.open(str(self.address), settings=settings, **({"timeout_seconds": SECONDS} | options))


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with Desk.open("embedded", state_folder=tmp_path_factory.mktemp("desk"), gateway={"speed": 20}) as desk:
        yield desk


@pytest.fixture
def address() -> Iterator[SocketAddress]:
    # A short path: the system allows a socket's path 107 bytes.
    with tempfile.TemporaryDirectory(prefix="ibdesk") as folder:
        yield SocketAddress(Path(folder) / "desk.sock")


@pytest.fixture
def socket_host(desk: Desk, address: SocketAddress) -> Iterator[Host]:
    host = Host(desk, address, RedisSettings())
    host.start()
    yield host
    host.stop()


@pytest.fixture
def redis(redis_server: RedisServer) -> RedisSettings:
    # A busy machine may take longer to answer than a trader would wait.
    return RedisSettings(url=SecretStr(redis_server.socket_url), timeout_seconds=2)


@pytest.fixture
def redis_host(desk: Desk, redis: RedisSettings) -> Iterator[Host]:
    host = Host(desk, StreamAddress("paper"), redis)
    host.start()
    yield host
    host.stop()


@pytest.fixture(params=["socket_host", "redis_host"])
def host(request: pytest.FixtureRequest) -> Host:
    """The port over each of its transports."""
    found: Host = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def attached(host: Host) -> Iterator[AttachedDesk]:
    with host.attach() as attached:
        yield attached


def until(state: DeskState, desk: DeskHandle) -> None:
    """Wait until a handle is in a state."""
    deadline = threading.Event()
    for _ in range(int(SECONDS / 0.01)):
        if desk.state is state:
            return
        deadline.wait(0.01)
    raise AssertionError(f"the handle is {desk.state.value}, not {state.value}")


def test_every_operation_can_be_asked_of_every_handle() -> None:
    for name in OPERATIONS:
        assert getattr(AioDesk, name).__wrapped__ is getattr(Operations, name)
        assert getattr(DeskHandle, name).__wrapped__ is getattr(Operations, name)


def test_what_a_desk_answers_is_the_same_over_the_port(desk: Desk, attached: AttachedDesk) -> None:
    bars = attached.history("AAPL", bar="1 min", count=20)

    assert bars.schema == desk.history("AAPL", bar="1 min", count=20).schema
    assert bars.height == 20
    assert attached.history(Stock("AAPL"), count=3)["symbol"].to_list() == ["AAPL"] * 3
    assert attached.health().account == desk.health().account
    assert attached.health().link is desk.health().link
    assert isinstance(attached.positions(), pl.DataFrame)
    assert attached.orders().schema == desk.orders().schema
    assert attached.account().id == desk.account().id


def test_a_strategy_runs_by_its_file(attached: AttachedDesk, tmp_path: Path) -> None:
    file = tmp_path / "idle.py"
    file.write_text(
        "from ibdesk import Strategy\n\n\nclass Idle(Strategy):\n    def on_bar(self, bar):\n        pass\n"
    )

    run_id = attached.start(file, on=["AAPL", Stock("MSFT")], warm_up=0)

    [run] = [run for run in attached.runs() if run.run_id == run_id]
    assert (run.class_name, run.symbols, run.state) == ("Idle", ["AAPL", "MSFT"], "running")
    attached.stop(run_id)
    with pytest.raises(DeskError, match=r"as a file: save \w+ to a \.py file"):
        attached.start(Strategy(), on="AAPL")


def test_an_error_of_the_desk_is_the_same_error_here(attached: AttachedDesk) -> None:
    with pytest.raises(InstrumentError, match="NOSUCH"):
        attached.history("NOSUCH1")
    with pytest.raises(ConfigError):
        attached.history("AAPL", bar="5 bananas")
    with pytest.raises(DeskError, match="no order 'x'"):
        attached.cancel("x")


@pytest.mark.parametrize(
    "error",
    [
        OrderDeniedError("r.1", "max_position_shares", 100.0, 200.0),
        ClientIdInUseError(1, "127.0.0.1:7497"),
        ReplayMismatchError(3, "a", "b"),
        DetachedError("unix:/x", "gone"),
    ],
)
def test_an_error_keeps_its_facts_over_the_port(error: DeskError) -> None:
    came = error_of(type(error).__name__, facts_of(error), str(error))

    assert type(came) is type(error)
    assert str(came) == str(error)
    assert came.__dict__ == error.__dict__


async def test_an_awaited_call_carries_the_correlation_id(attached: AttachedDesk, host: Host, desk: Desk) -> None:
    del host
    seen: list[str] = []
    original = type(desk.aio).halt

    async def listening(aio: AioDesk, reason: str, **others: str) -> HaltInfo:
        seen.append(correlation_id.get())
        return await original(aio, reason, **others)

    # The desk's side alone is listened to: `desk.aio` is what the host calls.
    desk.aio.halt = listening.__get__(desk.aio)  # type: ignore[method-assign]
    try:
        with correlated("request-12345678"):
            halt = await attached.aio.halt("a look")
        await attached.aio.resume("looked", id=halt.id)
    finally:
        del desk.aio.halt

    assert seen == ["request-12345678"]


async def next_of(source: object, seconds: float = SECONDS) -> list[Batch] | FeedState:
    news: list[Batch] | FeedState = await asyncio.wait_for(source.next(), seconds)  # type: ignore[attr-defined]
    return news


async def test_followers_of_one_desk_count_alike_and_miss_nothing(
    attached: AttachedDesk, host: Host, desk: Desk
) -> None:
    with host.attach() as other:
        first, second = attached.batches(), other.batches()
        before = await first.open()
        for number in range(500):
            desk.feed.publish(
                Topic.ALERTS, f"a{number}", {"at_ns": number, "severity": "info", "origin": "t", "text": "x"}
            )
        joined = await asyncio.wait_for(second.open(), SECONDS)

        assert joined.epoch == before.epoch
        seqs = {topic: state.seq for topic, state in before.topics.items()}
        alerts = [row["at_ns"] for row in before.topics[Topic.ALERTS].rows]
        while seqs[Topic.ALERTS] < joined.topics[Topic.ALERTS].seq or alerts[-1:] != [499]:
            news = await next_of(first)
            assert isinstance(news, list)
            for batch in news:
                assert batch.seq == seqs[batch.topic] + 1
                seqs[batch.topic] = batch.seq
                if batch.topic is Topic.ALERTS:
                    alerts += [row["at_ns"] for row in batch.rows]
        assert alerts[-500:] == list(range(500))


async def test_a_desk_that_goes_away_is_said_to_be_and_comes_back(attached: AttachedDesk, host: Host) -> None:
    follower = attached.batches()
    before = await follower.open()

    host.stop()
    await asyncio.to_thread(until, DeskState.DETACHED, attached)
    with pytest.raises(DetachedError, match="ibdesk engine"):
        await attached.aio.health()
    host.start()
    await asyncio.to_thread(until, DeskState.OPEN, attached)

    assert (await attached.aio.health()).account
    news = await next_of(follower)
    while not isinstance(news, FeedState):
        news = await next_of(follower)
    assert news.epoch != before.epoch


def test_the_copy_of_the_feed_shows_what_the_desk_publishes(attached: AttachedDesk, desk: Desk) -> None:
    woken = threading.Event()
    reader, _ = attached.feed.subscribe(woken.set)
    desk.feed.publish(Topic.FILLS, "E1", {"execution_id": "E1", "symbol": "AAPL"})

    seen: list[str] = []
    while "E1" not in seen:
        assert woken.wait(SECONDS)
        woken.clear()
        seen += [row["execution_id"] for row in reader.drain()[0].get(Topic.FILLS, [])]

    attached.feed.unsubscribe(reader)


def test_nobody_answers(address: SocketAddress, redis: RedisSettings) -> None:
    with pytest.raises(DetachedError, match="did not answer within"):
        Desk.attach(str(address), timeout_seconds=0.2)
    with pytest.raises(DetachedError, match="did not answer within"):
        AttachedDesk.open("redis:nobody", settings=DeskSettings(redis=redis), timeout_seconds=0.2)
    with pytest.raises(ConfigError, match="unix:/path"):
        Desk.attach("tcp://127.0.0.1:1")
    with pytest.raises(ConfigError, match="too long"):
        Desk.attach(f"unix:/{'x' * 110}")


async def test_a_second_desk_at_the_address_is_refused_and_a_dead_ones_socket_replaced(
    socket_host: Host, address: SocketAddress, desk: Desk
) -> None:
    host = socket_host
    with pytest.raises(ConfigError, match="another desk answers"):
        await PortHost(desk, desk.feed, SocketTransport(address.path)).run()

    assert address.path.stat().st_mode & 0o777 == 0o600
    host.stop()
    # What a desk that was killed leaves behind: a name that nobody answers to.
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(address.path))
    host.start()


@pytest.mark.parametrize("turns", range(12))
async def test_whoever_knocks_while_the_desk_closes_is_hung_up_on(
    turns: int, address: SocketAddress, desk: Desk
) -> None:
    host = PortHost(desk, desk.feed, SocketTransport(address.path))
    running = asyncio.create_task(host.run())
    await asyncio.wait_for(host.answering.wait(), SECONDS)
    connected = socket.socket(socket.AF_UNIX)
    connected.connect(str(address.path))
    for _ in range(turns):
        await asyncio.sleep(0)

    running.cancel()
    await asyncio.wait({running})

    reader, writer = await asyncio.open_unix_connection(sock=connected)
    with contextlib.suppress(ConnectionResetError):
        await asyncio.wait_for(reader.read(), SECONDS)
    writer.close()


@given(st.binary(max_size=200))
def test_bytes_that_are_no_message_are_refused_in_one_way(data: bytes) -> None:
    for decode in (decode_client_message, decode_desk_message):
        with contextlib.suppress(DeskError):
            decode(data)
    with contextlib.suppress(DeskError):
        decode_arguments(Operations.start, data)


async def test_one_that_talks_nonsense_is_shown_out_and_the_others_stay(
    socket_host: Host, address: SocketAddress
) -> None:
    attached = await asyncio.to_thread(socket_host.attach)
    reader, writer = await asyncio.open_unix_connection(address.path)
    writer.write(b"\xff\xff\xff\xff rubbish")

    while await asyncio.wait_for(reader.read(65_536), SECONDS):
        pass

    writer.close()
    assert (await attached.aio.health()).account
    await attached.aio.close()


async def test_nonsense_in_the_stream_of_calls_is_passed_over(redis_host: Host, redis: RedisSettings) -> None:
    attached = await asyncio.to_thread(redis_host.attach)
    pool = RedisPool(redis)
    await Streams(pool, "paper").calls.append(b"\xff rubbish", msgspec.msgpack.encode(ToDesk("me", b"\xc1")))

    assert (await attached.aio.health()).account

    await pool.close()
    await attached.aio.close()


async def test_while_redis_is_away_calls_fail_at_once_and_afterwards_nothing_is_missing(
    redis_host: Host, redis_server: RedisServer, desk: Desk
) -> None:
    attached = await asyncio.to_thread(redis_host.attach)
    follower = attached.batches()
    await follower.open()

    redis_server.stop()
    await asyncio.to_thread(until, DeskState.DETACHED, attached)
    with pytest.raises(DetachedError):
        await attached.aio.health()
    for number in range(100):
        row = {"at_ns": number, "severity": "info", "origin": "away", "text": "x"}
        desk.feed.publish(Topic.ALERTS, f"away{number}", row)
    redis_server.start()
    await asyncio.to_thread(until, DeskState.OPEN, attached)

    assert (await attached.aio.health()).account
    seen: set[int] = set()
    while seen != set(range(100)):
        news = await next_of(follower)
        rows = (
            news.topics[Topic.ALERTS].rows
            if isinstance(news, FeedState)
            else [row for batch in news if batch.topic is Topic.ALERTS for row in batch.rows]
        )
        seen |= {row["at_ns"] for row in rows if row["origin"] == "away"}
    await attached.aio.close()


async def test_nobody_listens_to_an_engine_that_was_replaced(
    redis_host: Host, desk: Desk, redis: RedisSettings
) -> None:
    successor = Host(desk, redis_host.address, redis)
    successor.token = 2
    attached = await asyncio.to_thread(redis_host.attach)
    follower = attached.batches()
    first = await follower.open()

    await asyncio.to_thread(successor.start)
    try:
        news = await next_of(follower)
        while not isinstance(news, FeedState):
            news = await next_of(follower)
        second = news
        # Both go on talking; only the successor is heard.
        for number in range(200):
            row = {"at_ns": number, "severity": "info", "origin": "both", "text": "x"}
            desk.feed.publish(Topic.ALERTS, f"both{number}", row)
        numbers: list[int] = []
        while len(numbers) < 200:
            news = await next_of(follower)
            assert isinstance(news, list)
            numbers += [
                row["at_ns"] for b in news if b.topic is Topic.ALERTS for row in b.rows if row["origin"] == "both"
            ]
    finally:
        await asyncio.to_thread(successor.stop)
        await attached.aio.close()

    assert second.epoch != first.epoch
    assert numbers == list(range(200))


async def test_an_engine_that_no_longer_leads_does_nothing_for_anybody(host: Host, attached: AttachedDesk) -> None:
    host.leads = False

    with pytest.raises(DeskError, match="no longer leads"):
        await attached.aio.halt("too late")


def test_arguments_come_back_as_they_went() -> None:
    data = encode_arguments(Operations.start, ("a.py",), {"on": [Stock("AAPL")], "parameters": {"fast": 3}, "cash": 5})

    assert decode_arguments(Operations.start, data) == {
        "strategy": "a.py",
        "on": [Stock("AAPL")],
        "parameters": {"fast": 3},
        "cash": 5.0,
    }
