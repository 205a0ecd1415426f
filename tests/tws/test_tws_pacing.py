"""The number and order of messages that leave, counted where they arrive."""

from __future__ import annotations

import asyncio

import pytest
import uvloop

from ibdesk.model import Link, Notice, OrderReport, OrderStatus, Severity
from ibdesk.tws.pacer import Pacer, Urgency

CANCEL, ORDER, DATA = Urgency.CANCEL, Urgency.ORDER, Urgency.DATA


class Written:
    """The messages that a pacer wrote, with their times."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.times: list[float] = []
        self._news = asyncio.Event()

    def __call__(self, message: bytes) -> None:
        self.messages.append(message)
        self.times.append(asyncio.get_running_loop().time())
        self._news.set()

    async def count(self, number: int) -> list[bytes]:
        async with asyncio.timeout(5):
            while len(self.messages) < number:
                self._news.clear()
                await self._news.wait()
        return self.messages


def pacer_for(written: Written, *, limit: int = 4, reserve: int = 2, window_seconds: float = 0.1) -> Pacer:
    return Pacer(written, limit=limit, reserve=reserve, window_seconds=window_seconds)


async def test_data_requests_leave_a_reserve_to_orders() -> None:
    written = Written()
    pacer = pacer_for(written)
    for name in (b"d1", b"d2", b"d3"):
        pacer.send(name, DATA)
    pacer.send(b"o1", ORDER, 1)
    pacer.send(b"o2", ORDER, 2)

    assert written.messages == [b"d1", b"d2", b"o1", b"o2"]
    assert pacer.waiting == 1


async def test_what_waits_leaves_cancels_first_then_orders_then_data() -> None:
    written = Written()
    pacer = pacer_for(written)
    for number in range(4):
        pacer.send(b"first", ORDER, number)
    pacer.send(b"d", DATA)
    pacer.send(b"o1", ORDER, 11)
    pacer.send(b"o2", ORDER, 12)
    pacer.send(b"c1", CANCEL)
    pacer.send(b"c2", CANCEL)

    assert (await written.count(9))[4:] == [b"c1", b"c2", b"o1", b"o2", b"d"]


async def test_a_waiting_modification_replaces_the_terms_before_it() -> None:
    written = Written()
    pacer = pacer_for(written, limit=2, reserve=1)
    pacer.send(b"x", ORDER, 1)
    pacer.send(b"y", ORDER, 2)
    pacer.send(b"old terms", ORDER, 3)
    pacer.send(b"new terms", ORDER, 3)

    assert await written.count(3) == [b"x", b"y", b"new terms"]


async def test_a_withdrawn_order_never_leaves() -> None:
    written = Written()
    pacer = pacer_for(written, limit=2, reserve=1)
    pacer.send(b"x", ORDER, 1)
    pacer.send(b"y", ORDER, 2)
    pacer.send(b"z", ORDER, 3)

    assert pacer.withdraw(3)
    assert not pacer.withdraw(3)
    assert pacer.close() == []
    assert written.messages == [b"x", b"y"]


async def test_no_window_holds_more_than_the_limit() -> None:
    written = Written()
    pacer = pacer_for(written, limit=10, reserve=3, window_seconds=0.05)
    for number in range(60):
        pacer.send(b"m", (CANCEL, ORDER, DATA)[number % 3], number)

    await written.count(60)

    assert all(later - earlier >= 0.05 for earlier, later in zip(written.times, written.times[10:], strict=False))


@pytest.mark.timeout(30)
async def test_a_burst_of_orders_reaches_tws_within_its_limit(scripted, script, words) -> None:
    for number in range(100):
        scripted.service.place(words.order(f"run-{number}"))

    assert scripted.service.health.messages_waiting > 0
    await script.got(3, 100)
    numbers = [int(fields[1]) for fields in script.of(3)]
    assert numbers == sorted(numbers)
    times = script.arrivals
    # TWS tolerates 50 in a second; arrival jitters against departure by a few.
    assert max(sum(1 for t in times if start <= t < start + 1.0) for start in times) <= 50


async def test_a_cancel_overtakes_orders_that_wait(scripted, script, words) -> None:
    scripted.service.place(words.order("first"))
    number = (await script.got(3))[1]
    for each in range(60):
        scripted.service.place(words.order(f"run-{each}"))
    scripted.service.cancel("first")

    assert (await script.got(4))[2] == number
    await script.got(3, 61)
    kinds = [fields[0] for fields in script.received]
    assert kinds.index("4") < len(kinds) - 1 - kinds[::-1].index("3")


async def test_an_order_cancelled_while_it_waits_is_never_sent(scripted, script, words) -> None:
    for number in range(60):
        scripted.service.place(words.order(f"run-{number}"))
    scripted.service.cancel("run-59")

    report = await scripted.heard.next(OrderReport)

    assert (report.order_id, report.status) == ("run-59", OrderStatus.CANCELLED)
    assert report.reason == "withdrawn before it was sent"


async def test_orders_that_waited_when_the_link_broke_were_never_sent(scripted, script, words) -> None:
    for number in range(60):
        scripted.service.place(words.order(f"run-{number}"))
    waiting = scripted.service.health.messages_waiting
    script.hang_up()

    reports = await scripted.heard.count(OrderReport, waiting)

    rejected = [report for report in reports if report.status is OrderStatus.REJECTED]
    assert len(rejected) == waiting
    assert all("never sent: the link to TWS went down" in report.reason for report in rejected)


async def test_a_modification_that_waited_when_the_link_broke_leaves_the_terms(scripted, script, words) -> None:
    scripted.service.place(words.limit("first"))
    number = (await script.got(3))[1]
    script.send(*words.shown("openOrder", number, "first"))
    script.send(*words.status(number, "Submitted"))
    await scripted.heard.next(OrderReport, status=OrderStatus.WORKING)
    for each in range(60):
        scripted.service.place(words.order(f"run-{each}"))
    scripted.service.modify(words.limit("first", limit_price=101.0))
    script.hang_up()

    notice = await scripted.heard.next(Notice, severity=Severity.WARNING)
    report = await scripted.heard.next(OrderReport, order_id="first")

    assert notice.text.startswith("order first: keeps its terms")
    assert (report.status, report.limit_price) == (OrderStatus.WORKING, 100.0)


async def test_a_cancel_that_waited_when_the_link_broke_is_sent_when_it_is_back(scripted, script, words) -> None:
    scripted.service.place(words.limit("first"))
    number = (await script.got(3))[1]
    script.send(*words.shown("openOrder", number, "first"))
    script.send(*words.status(number, "Submitted"))
    await scripted.heard.next(OrderReport, status=OrderStatus.WORKING)
    for each in range(60):
        scripted.service.place(words.order(f"run-{each}"))
    scripted.service.cancel("first")
    script.answers["16"] = [words.shown("openOrder", number, "first"), words.status(number, "Submitted")]
    script.hang_up()
    assert script.of(4) == []

    assert (await script.got(4))[2] == number


def test_on_uvloop_a_wait_too_short_for_its_timers_is_waited_all_the_same() -> None:
    """uvloop returns a handle without a time for calls that are due within half a millisecond."""

    async def send_more_than_the_window_takes() -> list[bytes]:
        written = Written()
        pacer = pacer_for(written, limit=2, reserve=1, window_seconds=0.0001)
        for number in range(5):
            pacer.send(b"%d" % number, DATA)
        return await written.count(5)

    assert uvloop.run(send_more_than_the_window_takes()) == [b"0", b"1", b"2", b"3", b"4"]


async def test_an_order_that_waited_is_withdrawn_by_what_is_decided_before_it_leaves() -> None:
    """Two messages have left, and an order waits; the look before it leaves takes it back."""
    written = Written()
    looks: list[int] = []

    def look() -> None:
        looks.append(pacer.waiting)
        pacer.withdraw(3)

    pacer = Pacer(written, limit=2, reserve=1, window_seconds=0.1, before_waiting=look)
    for number in (1, 2, 3, 4):
        pacer.send(b"o%d" % number, ORDER, number)

    assert await written.count(3) == [b"o1", b"o2", b"o4"]
    assert looks == [2]


async def fill_the_budget(running, words, script) -> int:
    """Place sixty orders at once and return how many of them wait."""
    for number in range(60):
        running.service.place(words.order(f"run-{number}"))
    waiting: int = running.service.health.messages_waiting
    assert waiting > 0
    return waiting


async def test_orders_that_waited_when_tws_lost_its_servers_never_leave(scripted, script, words) -> None:
    waiting = await fill_the_budget(scripted, words, script)
    script.send(4, 2, -1, 1100, "Connectivity between IB and Trader Workstation has been lost.", "")

    reports = await scripted.heard.count(OrderReport, waiting)
    await script.got(3, 60 - waiting)
    sent = len(script.of(3))
    await asyncio.sleep(1.5)

    assert {(report.status, report.reason) for report in reports} == {
        (OrderStatus.REJECTED, "never sent: TWS lost the connection to its servers while it waited")
    }
    assert (sent, len(script.of(3))) == (60 - waiting, 60 - waiting)


async def test_orders_that_waited_when_the_books_had_to_be_compared_never_leave(scripted, script, words) -> None:
    """TWS reports that its servers are back, without an earlier report of their absence."""
    waiting = await fill_the_budget(scripted, words, script)
    script.silent.add("16")
    script.send(4, 2, -1, 1102, "Connectivity between IB and Trader Workstation has been restored.", "")

    reports = await scripted.heard.count(OrderReport, waiting)

    assert {(report.status, report.reason) for report in reports} == {
        (OrderStatus.REJECTED, "never sent: the books had to be compared while it waited")
    }
    await script.got(3, 60 - waiting)
    assert scripted.service.link is not Link.UP
