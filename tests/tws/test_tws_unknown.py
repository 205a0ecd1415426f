"""Orders of unknown state: TWS is asked twice, and only its answers settle them."""

from __future__ import annotations

import asyncio

from ibdesk.clock import SystemClock
from ibdesk.gateway.faults import Drop, TellNothing
from ibdesk.model import Fill, Link, LinkChanged, Notice, OrderReport, OrderStatus, Severity

CANCELLED, REJECTED, UNKNOWN = OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.UNKNOWN
NOWHERE = "TWS knows it neither among its open nor its completed orders nor its executions"
DAY_NS = 86_400 * 1_000_000_000


async def test_an_order_found_nowhere_twice_never_arrived(script, start_tws, words) -> None:
    running = await start_tws(script.port, answer_timeout_seconds=0.1, settle_seconds=0.1)
    await running.service.qualify(words.aapl)
    asked = len(script.of(16))
    running.service.place(words.order())

    reports = [await running.heard.next(OrderReport) for _ in range(2)]

    assert [report.status for report in reports] == [UNKNOWN, REJECTED]
    assert reports[1].reason == NOWHERE
    # Open orders, completed orders and executions, each twice since.
    assert len(script.of(16)) == asked + 2
    assert len(script.of(99)) == len(script.of(7)) == len(script.of(16))


async def test_it_is_looked_for_again_only_after_the_time_for_an_answer(script, start_tws, words) -> None:
    """Comparisons for other reasons follow at once; they settle nothing."""
    running = await start_tws(script.port, answer_timeout_seconds=30.0, settle_seconds=30.0)
    await running.service.qualify(words.aapl)
    running.service.place(words.order())
    await script.got(3)
    for _ in range(3):
        script.hang_up()
        await running.heard.next(LinkChanged, link=Link.UP)

    await running.service.qualify(words.aapl)

    assert {report.status for report in running.heard.of(OrderReport)} == {UNKNOWN}


async def test_an_order_that_the_second_look_finds_lives_on(script, start_tws, words) -> None:
    running = await start_tws(script.port, answer_timeout_seconds=0.1, settle_seconds=0.1)
    await running.service.qualify(words.aapl)
    running.service.place(words.limit())
    number = (await script.got(3))[1]
    await running.heard.next(OrderReport, status=UNKNOWN)
    script.answers["16"] = [words.shown("openOrder", number, "run-1"), words.status(number, "Submitted")]

    report = await running.heard.next(OrderReport)

    assert report.status is OrderStatus.WORKING


async def test_an_order_that_lived_and_is_found_nowhere_is_gone_not_refused(script, start_tws, words) -> None:
    running = await start_tws(script.port, answer_timeout_seconds=0.1, settle_seconds=0.1)
    await running.service.qualify(words.aapl)
    running.service.place(words.limit())
    number = (await script.got(3))[1]
    script.send(*words.shown("openOrder", number, "run-1"))
    script.send(*words.status(number, "Submitted"))
    await running.heard.next(OrderReport, status=OrderStatus.WORKING)
    script.hang_up()

    reports = [await running.heard.next(OrderReport) for _ in range(2)]

    assert [report.status for report in reports] == [UNKNOWN, CANCELLED]
    assert reports[1].reason == NOWHERE


async def test_an_execution_that_comes_after_all_is_counted(script, start_tws, words) -> None:
    running = await start_tws(script.port, answer_timeout_seconds=0.1, settle_seconds=0.1)
    await running.service.qualify(words.aapl)
    running.service.place(words.order())
    number = (await script.got(3))[1]
    await running.heard.next(OrderReport, status=REJECTED)
    script.send(*words.execution(number, "0001.01", ref="run-1"))

    fill, report = await running.heard.next(Fill), await running.heard.next(OrderReport)

    assert (fill.order_id, report.status) == ("run-1", OrderStatus.FILLED)


async def test_of_an_order_of_an_earlier_day_silence_proves_nothing(script, start_tws, words) -> None:
    sent = SystemClock().now_ns() - 2 * DAY_NS
    old = words.limit("run-1", created_ns=sent, status=UNKNOWN)
    running = await start_tws(script.port, answer_timeout_seconds=0.1, settle_seconds=0.1, resume={"orders": [old]})
    await running.heard.next(Notice, severity=Severity.ERROR)

    notice = await running.heard.next(Notice, severity=Severity.ERROR)
    statuses = [report.status for report in running.heard.of(OrderReport)]
    running.service.cancel("run-1")
    withdrawn = await running.heard.next(OrderReport, status=CANCELLED)

    assert "it stays unknown; look it up in TWS, and cancel it here if it is not there" in notice.text
    assert statuses == [UNKNOWN]
    assert withdrawn.reason == NOWHERE
    # There was nothing to cancel.
    assert script.of(4) == []


async def test_an_order_that_ended_in_an_earlier_life_is_not_looked_for(script, start_tws, words) -> None:
    ended = [
        words.limit("run-1", status=CANCELLED),
        words.limit("run-2", status=REJECTED),
        words.limit("run-3", status=OrderStatus.FILLED, filled=10.0),
    ]
    script.answers["7"] = [words.execution(42, "0009.01", shares=2, ref="run-1")]
    running = await start_tws(script.port, resume={"orders": ended})

    # A late execution of one is still ours.
    assert [fill.order_id for fill in running.heard.of(Fill)] == ["run-1"]
    assert running.heard.of(OrderReport) == []
    assert running.heard.of(Notice) == []


async def test_a_rejection_of_which_every_word_was_lost_is_found_out(gateway, clock, start_tws, words) -> None:
    running = await start_tws(gateway.port, clock=clock, answer_timeout_seconds=0.1, settle_seconds=0.1)
    await running.service.qualify(words.aapl)
    gateway.faults.reject_next_order()
    gateway.faults.cause(
        Drop(messages=("errMsg", "orderStatus", "openOrder"), order=running.service.next_order_id, count=0)
    )
    running.service.place(words.order())

    statuses = [(await running.heard.next(OrderReport)).status for _ in range(2)]

    assert statuses == [UNKNOWN, REJECTED]
    assert [record.request.text("orderRef") for record in gateway.venue.records.values()] == ["run-1"]


async def test_an_order_of_which_nothing_is_told_is_found_by_asking(gateway, clock, start_tws, words) -> None:
    running = await start_tws(gateway.port, clock=clock, answer_timeout_seconds=0.1, settle_seconds=0.1)
    await running.service.qualify(words.aapl)
    gateway.faults.cause(TellNothing())
    running.service.place(words.order())

    fill = await running.heard.next(Fill)

    assert (fill.order_id, fill.quantity) == ("run-1", 10)
    assert REJECTED not in {report.status for report in running.heard.of(OrderReport)}


async def test_an_error_of_unknown_meaning_rejects_nothing_before_a_second_look(script, start_tws, words) -> None:
    """The order is shown a moment after the error, well within the time that TWS may take to show it."""
    running = await start_tws(script.port, settle_seconds=30.0)
    await running.service.qualify(words.aapl)
    running.service.place(words.limit())
    number = (await script.got(3))[1]
    asked = len(script.of(16))
    script.send(4, 2, number, 10999, "Something new", "")
    await script.got(16, asked + 1)
    await running.service.round_trip()
    script.send(*words.shown("openOrder", number, "run-1"))
    script.send(*words.status(number, "Submitted"))

    await running.heard.next(OrderReport, status=OrderStatus.WORKING)

    assert REJECTED not in [report.status for report in running.heard.of(OrderReport)]


async def test_an_order_found_nowhere_twice_after_an_error_is_rejected_with_its_words(script, start_tws, words) -> None:
    running = await start_tws(script.port, settle_seconds=0.1)
    await running.service.qualify(words.aapl)
    running.service.place(words.limit())
    number = (await script.got(3))[1]
    script.send(4, 2, number, 10999, "Something new", "")

    reports = [await running.heard.next(OrderReport) for _ in range(2)]

    assert [(report.status, report.reason) for report in reports] == [
        (UNKNOWN, "Something new (TWS error 10999)"),
        (REJECTED, "Something new (TWS error 10999)"),
    ]


async def test_a_comparison_that_takes_long_counts_from_when_it_was_asked(script, start_tws, words) -> None:
    """The second comparison begins at once and ends after the time for an answer: it does not count as later."""
    running = await start_tws(script.port, answer_timeout_seconds=0.1, settle_seconds=0.6)
    await running.service.qualify(words.aapl)
    running.service.place(words.limit())
    number = (await script.got(3))[1]
    # The first comparison has not found it.
    await running.heard.next(Notice, severity=Severity.ERROR)
    script.silent.add("99")
    asked = len(script.of(99))
    script.send(4, 2, number, 10148, "OrderId that needs to be cancelled can not be cancelled", "")
    await script.got(99, asked + 1)
    await asyncio.sleep(0.8)
    script.silent.clear()

    script.send(102)
    await running.service.round_trip()
    told = [report.status for report in running.heard.of(OrderReport)]
    await running.heard.next(OrderReport, status=REJECTED)

    assert set(told) == {UNKNOWN}
