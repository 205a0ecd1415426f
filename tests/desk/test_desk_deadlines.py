"""A command takes effect before its deadline or never, and its caller learns which."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from tests.desk.test_desk_port import Host, until
from tests.redis_server import RedisServer

from ibdesk.clock import boot_ns
from ibdesk.desk import AttachedDesk, Desk, DeskSettings, DeskState
from ibdesk.desk.deadline import Deadline, begin_command, limited
from ibdesk.desk.handle import COMMANDS, OPERATIONS
from ibdesk.desk.port.addresses import SocketAddress, StreamAddress
from ibdesk.desk.port.connection import PortConnection
from ibdesk.desk.port.messages import Answer, Call, Failure, Heartbeat, decode_desk_message, encode
from ibdesk.desk.port.stream_transport import FromDesk, Streams, ToDesk
from ibdesk.desk.port.values import encode_arguments
from ibdesk.errors import CommandExpiredError, DetachedError
from ibdesk.model import Quote
from ibdesk.store.redis import RedisSettings
from ibdesk.store.redis.pool import RedisPool
from ibdesk.strategy import Strategy

SECONDS = 20.0
LONGEST = 1_000_000


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Desk.open("embedded", state_folder=tmp_path / "state", gateway={"speed": 20, "port": 0}) as desk:
        yield desk


@pytest.fixture
def address(tmp_path_factory: pytest.TempPathFactory) -> SocketAddress:
    return SocketAddress(tmp_path_factory.mktemp("s") / "d")


@pytest.fixture
def host(desk: Desk, address: SocketAddress) -> Iterator[Host]:
    host = Host(desk, address, RedisSettings())
    host.start()
    yield host
    host.stop()


async def until_somebody_waits(pool: RedisPool) -> None:
    """Wait until Redis says that a client waits in it."""
    async with asyncio.timeout(SECONDS):
        while not (await pool.call(lambda client: client.info("clients")))["blocked_clients"]:  # noqa: ASYNC110 - it is told only when asked
            await asyncio.sleep(0.01)


def halt_call(*, begin_by_ns: int, seconds: float = 0.0) -> Call:
    arguments = msgspec.Raw(encode_arguments(OPERATIONS["halt"], ("lunch",), {}))
    return Call(number=7, operation="halt", arguments=arguments, begin_by_ns=begin_by_ns, seconds=seconds)


async def asked(address: SocketAddress, call: Call) -> Answer | Failure:
    """Send a call over a socket of its own and return the answer."""
    reader, writer = await asyncio.open_unix_connection(address.path)
    connection = PortConnection(reader, writer, longest=LONGEST)
    try:
        await connection.receive()
        await connection.send(encode(call))
        async with asyncio.timeout(SECONDS):
            while not isinstance(answer := decode_desk_message(await connection.receive()), Answer | Failure):
                assert isinstance(answer, Heartbeat)
        return answer
    finally:
        connection.close()


def test_every_operation_that_changes_something_is_a_command() -> None:
    assert {
        "start", "stop", "place", "modify", "cancel", "cancel_all", "halt", "resume", "change_limits",
        "change_parameters", "watch",
    } <= COMMANDS  # fmt: skip
    assert not COMMANDS & {"orders", "positions", "risk", "health", "history", "journal"}


@pytest.mark.parametrize("late_ns", [1_000_000, 30_000_000_000])
async def test_a_command_after_its_deadline_is_refused(
    host: Host, desk: Desk, address: SocketAddress, late_ns: int
) -> None:
    answer = await asked(address, halt_call(begin_by_ns=boot_ns() - late_ns))

    assert isinstance(answer, Failure)
    assert (answer.error, "was not executed" in answer.text) == ("CommandExpiredError", True)
    assert desk.health().halted == ""


async def test_a_command_before_its_deadline_is_carried_out(host: Host, desk: Desk, address: SocketAddress) -> None:
    answer = await asked(address, halt_call(begin_by_ns=boot_ns() + 10_000_000_000))

    assert isinstance(answer, Answer)
    assert desk.health().halted == "lunch"


async def test_a_command_without_a_deadline_is_refused(host: Host, desk: Desk, address: SocketAddress) -> None:
    answer = await asked(address, halt_call(begin_by_ns=0))

    assert isinstance(answer, Failure)
    assert "without a deadline" in answer.text
    assert desk.health().halted == ""


def test_a_command_to_a_desk_that_is_busy_for_too_long_is_never_carried_out(
    host: Host, desk: Desk, address: SocketAddress
) -> None:
    busy, over = threading.Event(), threading.Event()

    class Thinker(Strategy):
        def on_quote(self, quote: Quote) -> None:
            busy.set()
            assert over.wait(60)

    settings = DeskSettings(command_seconds=1)
    with AttachedDesk.open(str(address), settings=settings) as attached:
        # The first quote may come before the start has been answered.
        starting = threading.Thread(target=lambda: desk.start(Thinker(), on="AAPL", warm_up=0))
        starting.start()
        assert busy.wait(SECONDS)
        try:
            # The engine's process answers, and knows that its desk has not come to it.
            with pytest.raises(CommandExpiredError, match="was not executed"):
                attached.halt("lunch")
        finally:
            over.set()
            starting.join()
        assert desk.health().halted == ""
        attached.halt("dinner")
        assert desk.health().halted == "dinner"


def test_a_command_that_could_not_be_sent_is_told_so(host: Host, address: SocketAddress) -> None:
    with AttachedDesk.open(str(address)) as attached:
        host.stop()
        until(DeskState.DETACHED, attached)
        with pytest.raises(DetachedError) as error:
            attached.halt("lunch")
        assert type(error.value) is DetachedError


async def test_over_redis_a_commands_age_is_what_its_own_clock_says(desk: Desk, redis_server: RedisServer) -> None:
    redis = RedisSettings(url=SecretStr(redis_server.socket_url), timeout_seconds=2)
    host = Host(desk, StreamAddress("paper"), redis)
    pool = RedisPool(redis)
    streams = Streams(pool, "paper")
    await asyncio.to_thread(host.start)
    # Redis gives no message a time before that of the last one: what is old comes first, once the engine waits for it.
    await until_somebody_waits(pool)
    now_ms = await streams.calls.now_ms()
    reader = streams.answers("me").read()

    async def appended(
        reason: str, *, at_ms: int | None, seconds: float, clock_wrong_by_ns: int = 0
    ) -> Answer | Failure:
        arguments = msgspec.Raw(encode_arguments(OPERATIONS["halt"], (reason,), {}))
        begin_by_ns = boot_ns() + int(seconds * 1e9) + clock_wrong_by_ns
        call = Call(number=7, operation="halt", arguments=arguments, begin_by_ns=begin_by_ns, seconds=seconds)
        entry = msgspec.msgpack.encode(ToDesk("me", encode(call)))
        place = "*" if at_ms is None else f"{at_ms}-*"
        await pool.call(lambda client: client.xadd(streams.calls.key, {b"m": entry}, id=place))
        async with asyncio.timeout(SECONDS):
            while not isinstance(found := await reader.next(), list) or not found:
                pass
        answer = decode_desk_message(msgspec.msgpack.decode(found[0].data, type=FromDesk).data)
        assert isinstance(answer, Answer | Failure)
        return answer

    try:
        # A machine whose own clock is a day ahead cannot make an old command young.
        day = 86_400_000_000_000
        old = await appended("late", at_ms=now_ms - 30_000, seconds=15, clock_wrong_by_ns=day)
        assert (isinstance(old, Failure), desk.health().halted) == (True, "")
        # Nor does one a day behind make a young one old.
        young = await appended("in time", at_ms=None, seconds=15, clock_wrong_by_ns=-day)
        assert (isinstance(young, Answer), desk.health().halted) == (True, "in time")
    finally:
        await reader.close()
        await pool.close()
        await asyncio.to_thread(host.stop)


@given(st.lists(st.sampled_from(["begin", "give_up"]), max_size=6))
def test_a_command_that_was_given_up_never_begins_and_one_that_has_begun_is_not_given_up(steps: list[str]) -> None:
    deadline, first = Deadline("place", boot_ns() + 10**12), ""
    for step in steps:
        first = first or step
        if step == "give_up":
            assert deadline.give_up() == (first == "give_up")
        elif first == "begin":
            deadline.begin()
        else:
            with pytest.raises(CommandExpiredError):
                deadline.begin()


def test_a_command_of_the_same_process_has_no_deadline() -> None:
    begin_command()
    with limited(Deadline("place", boot_ns() - 1)), pytest.raises(CommandExpiredError):
        begin_command()
    begin_command()
