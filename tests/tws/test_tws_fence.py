"""While another engine may trade, no byte of an order leaves, and each order that did not leave is reported."""

from __future__ import annotations

import asyncio

import pytest

from ibdesk.errors import LinkError, NotLeadingError
from ibdesk.model import Link, LinkChanged, Notice, OrderReport, OrderStatus

WORKING, REJECTED = OrderStatus.WORKING, OrderStatus.REJECTED
PLACE, CANCEL = 3, 4


class HandFence:
    """A fence that a test opens and closes."""

    def __init__(self) -> None:
        self.sends = self.connects = True

    def may_send(self) -> bool:
        return self.sends

    def may_connect(self) -> bool:
        return self.connects

    def why_not(self) -> NotLeadingError:
        return NotLeadingError("DU1", 7, "another")


@pytest.fixture
def fence() -> HandFence:
    return HandFence()


async def ended(running) -> NotLeadingError:
    """Wait for the end of the service and return its error."""
    async with asyncio.timeout(10):
        with pytest.raises(NotLeadingError) as caught:
            await running.life
    return caught.value


async def test_an_order_that_may_not_leave_is_told_rejected_and_the_service_ends(
    script, start_tws, words, fence
) -> None:
    running = await start_tws(script.port, fence=fence)
    await running.service.qualify(words.aapl)
    fence.sends = False

    running.service.place(words.limit())
    error = await ended(running)

    assert script.of(PLACE) == []
    report = running.heard.of(OrderReport)[-1]
    assert (report.order_id, report.status) == ("run-1", REJECTED)
    assert report.reason.startswith("never sent: ")
    assert "no longer leads DU1" in report.reason
    assert (error.token, error.holder) == (7, "another")
    async with asyncio.timeout(10):
        await script.left.wait()
    assert running.service.link is Link.CLOSED


async def test_the_fence_is_asked_when_bytes_leave_and_not_when_the_order_is_made(
    script, start_tws, words, fence
) -> None:
    running = await start_tws(script.port, fence=fence, messages_per_second=6, reserved_for_orders=1)
    await running.service.qualify(words.aapl)
    for number in range(20):
        running.service.place(words.limit(f"run-{number}"))
    assert running.service.health.messages_waiting > 0

    fence.sends = False
    await ended(running)
    async with asyncio.timeout(10):
        await script.left.wait()

    rejected = {report.order_id for report in running.heard.of(OrderReport) if report.status is REJECTED}
    assert 0 < len(script.of(PLACE)) <= 6
    assert len(script.of(PLACE)) + len(rejected) == 20


async def test_neither_a_modification_nor_a_cancel_leaves(script, start_tws, words, fence) -> None:
    for change in ("modify", "cancel"):
        script.received.clear()
        running = await start_tws(script.port, fence=fence)
        await running.service.qualify(words.aapl)
        running.service.place(words.limit())
        number = (await script.got(PLACE))[1]
        script.send(*words.shown("openOrder", number, "run-1"))
        script.send(*words.status(number, "Submitted"))
        await running.heard.next(OrderReport, status=WORKING)
        fence.sends = False

        if change == "modify":
            running.service.modify(words.limit(limit_price=101.0))
        else:
            running.service.cancel("run-1")
        await ended(running)

        assert (len(script.of(PLACE)), len(script.of(CANCEL))) == (1, 0)
        fence.sends = True


async def test_an_engine_that_may_not_connect_leaves_tws_alone(script, start_tws, fence) -> None:
    fence.connects = False

    with pytest.raises(LinkError, match="until it is certain that no other engine trades"):
        await start_tws(script.port, fence=fence)

    assert script.received == []


async def test_a_connection_that_was_lost_is_not_opened_again_before_it_is_certain_who_leads(
    script, start_tws, words, fence
) -> None:
    running = await start_tws(script.port, fence=fence)
    await running.heard.next(LinkChanged, link=Link.UP)
    script.received.clear()
    fence.connects = False
    script.hang_up()
    notice = await running.heard.next(Notice)
    assert "until it is certain that no other engine trades" in notice.text
    assert script.received == []

    fence.connects = True

    await running.heard.next(LinkChanged, link=Link.UP)
