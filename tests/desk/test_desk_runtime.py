"""The runtime without the loop's regular work: the effect of each step alone."""

from __future__ import annotations

import asyncio
import fcntl
import re
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from tests.promises.conftest import venue  # noqa: F401 - a fixture

from ibdesk.clock import machine_time
from ibdesk.desk import DeskSettings
from ibdesk.desk.account_watch import AccountWatch
from ibdesk.desk.order_times import OrderTimes
from ibdesk.desk.runtime import Runtime
from ibdesk.desk.watchdog import Watchdog
from ibdesk.engine.halts import Halts
from ibdesk.errors import DeskError
from ibdesk.gateway import GatewayThread
from ibdesk.interrupts import CallInterrupted
from ibdesk.model import (
    EngineSnapshot,
    Event,
    Halt,
    HaltTrading,
    Link,
    Notice,
    Order,
    OrderReport,
    OrderType,
    ResumeTrading,
    Severity,
    Side,
    Stock,
    StopStrategy,
)
from ibdesk.store import AccountHalts, AccountHaltsError, Feed, JournalReader
from ibdesk.telemetry import Performance

AAPL = Stock("AAPL")


class Machine:
    """The machine's clocks, set forward by hand as they go on while a process is stopped."""

    def __init__(self) -> None:
        self.ahead_ns = 0

    def wall_ns(self) -> int:
        return time.time_ns() + self.ahead_ns

    def monotonic_ns(self) -> int:
        return time.perf_counter_ns() + self.ahead_ns

    def boot_ns(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) + self.ahead_ns


@pytest.fixture
def machine() -> Iterator[Machine]:
    machine = Machine()
    with machine_time(machine):
        yield machine


@pytest.fixture
async def runtime(venue: GatewayThread, machine: Machine, tmp_path: Path) -> AsyncIterator[Runtime]:  # noqa: F811
    """A runtime that is connected, and of which nothing else runs."""
    settings = DeskSettings.make("paper", port=venue.port, state_folder=tmp_path)
    runtime = Runtime(settings, settings.tws, None, Feed())
    await runtime.service.connect()
    await runtime.service.qualify(AAPL)
    life = asyncio.create_task(runtime.service.run())
    yield runtime
    life.cancel()
    await asyncio.wait([life])
    runtime.close()


def order(number: int) -> Order:
    """An order that waits at the venue, so that it changes nothing of which the account tells."""
    return Order(
        id=f"x-{number}",
        owner="manual",
        instrument="AAPL",
        side=Side.BUY,
        quantity=1.0,
        type=OrderType.LIMIT,
        limit_price=1.0,
    )


async def test_orders_that_waited_through_a_stall_do_not_leave_before_it_is_noticed(
    runtime: Runtime, machine: Machine
) -> None:
    """Nothing but the orders' own turn comes after the stall: neither an event nor a mark has noticed it."""
    # Long enough that the messages of connecting count no more.
    await asyncio.sleep(1.5)
    # The last of so many would wait for seconds, however busy the machine is.
    for number in range(200):
        runtime.service.place(order(number))
    # What TWS says of those that have left is heard before.
    await asyncio.sleep(0.2)
    waited = runtime.service.health.messages_waiting
    assert waited > 0
    machine.ahead_ns += 60_000_000_000

    async with asyncio.timeout(10):
        while runtime.service.health.messages_waiting:  # noqa: ASYNC110 - nothing tells it
            await asyncio.sleep(0.01)
    # What became of them is told in the next turn of the loop.
    await asyncio.sleep(0.01)

    runtime.journal.commit()
    with JournalReader(runtime.journal.path) as journal:
        reports = [entry.event for entry in journal.entries() if isinstance(entry.event, OrderReport)]
    never_sent = [report.order_id for report in reports if report.reason.startswith("never sent: this process stood")]
    assert never_sent == [f"x-{number}" for number in range(200 - waited, 200)]


async def test_what_has_come_meanwhile_has_its_turn_although_the_command_is_refused(
    runtime: Runtime, machine: Machine
) -> None:
    machine.ahead_ns += 60_000_000_000

    with pytest.raises(DeskError, match="nope"):
        runtime.command(StopStrategy("nope", runtime.clock.now_ns()))

    assert runtime.engine.link is Link.SYNCING


async def test_an_interruption_that_comes_while_the_last_one_is_taken_back_harms_nothing(runtime: Runtime) -> None:
    def interrupt(frame: FrameType, what: str, _argument: Any) -> None:
        if what == "call" and frame.f_code is Watchdog._settle.__code__:
            raise CallInterrupted("too late")

    runtime.watchdog.has_fired = True
    before = sys.gettrace()
    sys.settrace(interrupt)
    try:
        runtime.turn(Notice("as ever", runtime.clock.now_ns(), Severity.INFO))
    finally:
        sys.settrace(before)

    assert not runtime.watchdog.has_fired


def test_each_order_of_an_event_is_timed() -> None:
    performance = Performance()
    orders = [order(1), order(2), order(3)]

    times = OrderTimes(performance)
    times.sent(orders, time.perf_counter_ns(), is_of_market=True)
    for each in orders:
        times.answered(OrderReport(order_id=each.id, status=each.status, at_ns=1))

    assert (performance.span("order_execution").counts.count, performance.span("order_answer").counts.count) == (3, 3)


def test_a_halt_in_the_place_of_another_holds_before_that_is_lifted(tmp_path: Path) -> None:
    events: list[Event] = []
    mine, theirs = (AccountHalts("paper", "DU1", folder=tmp_path) for _ in range(2))
    first = theirs.halt("one", by="guardian", at_ns=1)
    halts = Halts()
    halts.put(first)
    watch = AccountWatch(halts, events.append, lambda: 5, client_id=1, compare=lambda: None)
    watch.open(mine, EngineSnapshot(halts=[first], halts_made=1), 1)

    second = theirs.halt("two", by="guardian", at_ns=2)
    theirs.lift(first.id, "the other one holds", by="guardian", at_ns=3)
    watch.match()

    assert [(type(event), getattr(event, "id", "")) for event in events] == [
        (HaltTrading, second.id),
        (ResumeTrading, first.id),
    ]


def test_while_the_halts_cannot_be_read_the_guardian_may_act(tmp_path: Path) -> None:
    file = AccountHalts("paper", "DU1", folder=tmp_path)
    halts = Halts()
    watch = AccountWatch(halts, lambda _: None, lambda: 5, client_id=1, compare=lambda: None)
    watch.open(file, EngineSnapshot(), 1)
    watch.match()
    assert not watch.is_news

    file.path.write_bytes(b"torn")
    watch.look()

    assert watch.is_news
    with pytest.raises(AccountHaltsError, match=re.escape(f"cannot be used ({file.path}: ")):
        watch.unheld()
    file.path.unlink()
    assert watch.unheld() == []
    watch.look()
    assert not watch.is_news


async def test_a_lift_waits_for_a_process_that_has_the_file_and_the_loop_goes_on(tmp_path: Path) -> None:
    file = AccountHalts("paper", "DU1", folder=tmp_path)
    halts = Halts()
    halts.put(Halt("one", "operator", 1, "19700101-000000-1"))
    watch = AccountWatch(halts, lambda _: None, lambda: 5, client_id=1, compare=lambda: None)
    watch.open(file, EngineSnapshot(halts=list(halts.values()), halts_made=1), 1)

    with file.path.with_suffix(".lock").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        # The loop itself gives the lock back.
        asyncio.get_running_loop().call_later(0.02, fcntl.flock, held, fcntl.LOCK_UN)
        await watch.lift("19700101-000000-1", "all is well", "ann")

    assert file.read().halts == []
