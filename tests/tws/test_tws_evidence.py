"""Only evidence settles an unknown state: neither the passing of time nor a late or missing row does."""

from __future__ import annotations

from typing import Any

import pytest

from ibdesk.gateway.faults import Delay, Drop
from ibdesk.model import Fill, Link, Notice, OrderReport, OrderStatus, PositionReport, Severity, TimeInForce

UNKNOWN, REJECTED, WORKING = OrderStatus.UNKNOWN, OrderStatus.REJECTED, OrderStatus.WORKING
GRACE = 0.2


def statuses(running: Any) -> list[OrderStatus]:
    return [report.status for report in running.heard.of(OrderReport)]


# ---- orders


async def test_an_acknowledgement_later_than_the_time_for_an_answer_rejects_nothing(
    script: Any, start_tws: Any, words: Any
) -> None:
    """The delays observed at IB are 5, 25 and 60 seconds; here they are a fiftieth of that."""
    running = await start_tws(script.port, answer_timeout_seconds=0.1, settle_seconds=1.2)
    await running.service.qualify(words.aapl)
    running.service.place(words.limit())
    number = (await script.got(3))[1]
    await running.heard.next(OrderReport, status=UNKNOWN)
    # Open orders are requested twice more, and both answers lack it.
    await script.got(16, len(script.of(16)) + 2)
    assert statuses(running) == [UNKNOWN]

    running.service.compare_soon()
    script.send(*words.shown("openOrder", number, "run-1"))
    script.send(*words.status(number, "Submitted"))
    await running.heard.next(OrderReport, status=WORKING)

    assert statuses(running) == [UNKNOWN, WORKING]


async def test_an_answer_that_lacks_its_end_is_no_evidence(script: Any, start_tws: Any, words: Any) -> None:
    """TWS omits the end of the executions: an order among the missing ones may have been filled."""
    running = await start_tws(script.port, answer_timeout_seconds=0.1, settle_seconds=0.1, request_timeout_seconds=0.2)
    await running.service.qualify(words.aapl)
    script.silent.add("7")
    running.service.place(words.order())

    await script.got(16, len(script.of(16)) + 2)

    assert statuses(running) == [UNKNOWN]
    script.silent.clear()
    await running.heard.next(OrderReport, status=REJECTED)


async def test_an_order_that_reaches_the_venue_late_lives(gateway: Any, clock: Any, start_tws: Any, words: Any) -> None:
    running = await start_tws(gateway.port, clock=clock, answer_timeout_seconds=0.1, settle_seconds=2.0)
    await running.service.qualify(words.aapl)
    gateway.faults.cause(Delay(messages=("placeOrder",), by_seconds=25.0))
    running.service.place(words.order())
    await running.heard.next(OrderReport, status=UNKNOWN)

    gateway.advance(25.0)
    fill = await running.heard.next(Fill)

    assert (fill.order_id, fill.quantity) == ("run-1", 10)
    assert REJECTED not in statuses(running)


# ---- positions


async def start(script: Any, start_tws: Any, words: Any, held: float = 100) -> Any:
    script.answers["61"] = [words.held(held)]
    running = await start_tws(script.port, position_grace_seconds=GRACE, settle_seconds=5.0)
    await running.service.qualify(words.aapl)
    return running


async def test_a_row_that_is_missing_in_one_answer_is_not_flat(script: Any, start_tws: Any, words: Any) -> None:
    running = await start(script, start_tws, words)
    script.answers["61"] = []
    running.service.compare_soon()
    await script.got(61, 2)
    script.answers["61"] = [words.held(100)]

    await script.got(61, 3)
    await running.service.round_trip()
    await running.heard.next(PositionReport, quantity=100)

    assert not any(report.confirmed for report in running.heard.of(PositionReport))
    assert running.service.doubts == []


async def test_a_row_that_is_missing_while_the_books_were_away_is_asked_for_again(
    script: Any, start_tws: Any, words: Any
) -> None:
    def answered(fields: list[str]) -> None:
        if len(script.of(61)) == 1:
            script.answers["61"] = [words.held(100)]

    script.on_request = answered
    running = await start_tws(script.port, position_grace_seconds=GRACE, resume={"held": {"AAPL": 100.0}})

    assert running.service.link is Link.UP
    assert len(script.of(61)) == 2
    assert [report.quantity for report in running.heard.of(PositionReport)] == [0, 100]
    assert not any(report.confirmed for report in running.heard.of(PositionReport))


async def test_what_two_answers_leave_out_is_flat_before_the_link_is_up(
    script: Any, start_tws: Any, words: Any
) -> None:
    running = await start_tws(script.port, position_grace_seconds=GRACE, resume={"held": {"AAPL": 100.0}})

    [confirmed] = [report for report in running.heard.of(PositionReport) if report.confirmed]
    assert (confirmed.instrument, confirmed.quantity) == ("AAPL", 0)
    assert len(script.of(61)) == 2


async def test_answers_that_are_late_again_and_again_do_not_undo_an_execution(
    script: Any, start_tws: Any, words: Any
) -> None:
    running = await start(script, start_tws, words)
    running.service.place(words.order())
    number = (await script.got(3))[1]
    script.send(*words.execution(number, "0001.01.01", ref="run-1"))
    await running.heard.next(Fill)

    # Two complete answers show the position before the execution, a third one the position after it.
    await script.got(61, 3)
    script.answers["61"] = [words.held(110)]
    await script.got(61, 4)
    await running.service.round_trip()

    assert not any(report.confirmed for report in running.heard.of(PositionReport))
    assert running.service.doubts == []


async def test_the_link_comes_up_with_the_books_of_an_execution_that_the_positions_lack(
    script: Any, start_tws: Any, words: Any
) -> None:
    """An engine is killed right after an execution; TWS lists the position before it, and then the right one."""

    def answered(_: list[str]) -> None:
        if len(script.of(61)) == 3:
            script.answers["61"] = [words.held(110)]

    script.on_request = answered
    script.answers["61"] = [words.held(100)]
    script.answers["7"] = [words.execution(42, "0001.01", ref="run-1")]

    running = await start_tws(script.port, position_grace_seconds=GRACE, resume={"held": {"AAPL": 100.0}})

    assert [fill.quantity for fill in running.heard.of(Fill)] == [10]
    assert running.heard.of(PositionReport)[-1].quantity == 110
    assert not any(report.confirmed for report in running.heard.of(PositionReport))
    assert len(script.of(61)) == 4


async def test_a_missing_end_of_the_positions_keeps_the_link_down(script: Any, start_tws: Any, words: Any) -> None:
    script.silent.add("61")

    with pytest.raises(Exception, match=r"did not answer within 0\.2 s: the positions"):
        await start_tws(script.port, request_timeout_seconds=0.2)


async def test_a_missing_end_of_the_positions_concludes_nothing_while_the_link_is_up(
    script: Any, start_tws: Any, words: Any
) -> None:
    script.answers["61"] = [words.held(100)]
    running = await start_tws(script.port, request_timeout_seconds=0.2, compare_seconds=0.3)
    script.silent.add("61")
    running.service.compare_soon()

    notice = await running.heard.next(Notice)

    assert "the books could not be compared with the account" in notice.text
    assert running.service.link is Link.UP
    assert "the positions" in running.service.compared.fault
    assert running.heard.of(PositionReport)[-1].quantity == 100


# ---- what a person does with our orders


async def resting(script: Any, running: Any, words: Any, **terms: Any) -> str:
    running.service.place(words.limit(**terms))
    number: str = (await script.got(3))[1]
    script.send(*words.shown("openOrder", number, "run-1"))
    script.send(*words.status(number, "Submitted"))
    await running.heard.next(OrderReport, status=WORKING)
    return number


async def test_a_cancel_without_a_reason_that_nobody_here_asked_for_is_a_persons(
    scripted: Any, script: Any, words: Any
) -> None:
    number = await resting(script, scripted, words)

    script.send(*words.status(number, "Cancelled"))
    script.send(4, 2, number, 202, "Order Canceled - reason:", "")

    report = await scripted.heard.next(OrderReport, status=OrderStatus.CANCELLED)
    assert report.by_other


async def test_a_cancel_by_another_client_is_a_persons_at_once(scripted: Any, script: Any, words: Any) -> None:
    number = await resting(script, scripted, words)

    script.send(*words.status(number, "Cancelled", client=9))

    assert (await scripted.heard.next(OrderReport, status=OrderStatus.CANCELLED)).by_other


async def test_a_cancel_of_ours_is_ours(scripted: Any, script: Any, words: Any) -> None:
    number = await resting(script, scripted, words)
    scripted.service.cancel("run-1")
    await script.got(4)

    script.send(*words.status(number, "Cancelled"))
    script.send(4, 2, number, 202, "Order Canceled - reason:", "")

    assert not (await scripted.heard.next(OrderReport, status=OrderStatus.CANCELLED)).by_other


async def test_the_rest_of_an_immediate_order_is_not_withdrawn_by_a_person(
    scripted: Any, script: Any, words: Any
) -> None:
    number = await resting(script, scripted, words, time_in_force=TimeInForce.IOC)

    script.send(*words.status(number, "Cancelled"))

    assert not (await scripted.heard.next(OrderReport, status=OrderStatus.CANCELLED)).by_other


async def test_terms_that_were_never_asked_for_are_a_persons_once(scripted: Any, script: Any, words: Any) -> None:
    number = await resting(script, scripted, words)

    for _ in range(2):
        script.send(*words.shown("openOrder", number, "run-1", lmtPrice=98.0))
        script.send(*words.status(number, "Submitted"))
    await scripted.service.round_trip()

    reports = scripted.heard.of(OrderReport)
    assert [(report.limit_price, report.by_other) for report in reports] == [(100.0, False), (98.0, True)]


async def test_a_change_of_ours_and_a_late_word_of_the_terms_before_are_ours(
    scripted: Any, script: Any, words: Any
) -> None:
    number = await resting(script, scripted, words)
    scripted.service.modify(words.limit(limit_price=99.0))
    await script.got(3, 2)

    for price in (99.0, 100.0, 99.0):
        script.send(*words.shown("openOrder", number, "run-1", lmtPrice=price))
    await scripted.service.round_trip()

    assert not any(report.by_other for report in scripted.heard.of(OrderReport))


async def test_a_cancel_by_hand_while_nobody_listened_is_a_persons_unless_it_had_been_asked_for(
    script: Any, start_tws: Any, words: Any
) -> None:
    orders = [words.limit("run-1", status=WORKING), words.limit("run-2", status=WORKING)]
    ended = {"status": "Cancelled", "completedStatus": "Cancelled by Trader"}
    script.answers["99"] = [
        words.shown("completedOrder", 41, "run-1", **ended),
        words.shown("completedOrder", 42, "run-2", **ended),
    ]

    running = await start_tws(script.port, resume={"orders": orders, "withdrawn": ["run-2"]})

    told = {report.order_id: report.by_other for report in running.heard.of(OrderReport)}
    assert told == {"run-1": True, "run-2": False}


# ---- the whole account on a timer


async def test_executions_of_all_clients_are_asked_for_on_the_timer(script: Any, start_tws: Any, words: Any) -> None:
    """A round trip by hand moves no position row: only the list of executions shows it."""
    running = await start_tws(script.port, compare_seconds=0.2)
    bought, sold = words.execution(0, "0005.01.01"), words.execution(0, "0006.01.01", price=101.0)
    sold[18] = "SLD"
    bought[22] = sold[22] = 0
    script.answers["7"] = [bought, sold]

    fills = await running.heard.count(Fill, 2)

    assert [(fill.order_id, fill.signed_quantity, fill.currency) for fill in fills] == [
        ("", 10, "USD"),
        ("", -10, "USD"),
    ]
    assert running.heard.of(PositionReport) == []


async def test_an_order_of_somebody_else_that_rests_is_told_once(
    gateway: Any, clock: Any, start_tws: Any, words: Any
) -> None:
    running = await start_tws(gateway.port, clock=clock, compare_seconds=0.2)
    permanent = gateway.place_by_hand("AAPL", "BUY", 7, "LMT", lmtPrice=1.5)

    notice = await running.heard.next(Notice, severity=Severity.WARNING)
    running.service.compare_soon()
    await running.service.round_trip()

    assert notice.text == (
        "an order that is not of this desk is open in the account: buy 7 AAPL LMT 1.5 "
        f"(client id 0, permanent id {permanent})"
    )
    warnings = [each for each in running.heard.of(Notice) if each.severity is Severity.WARNING]
    assert warnings == [notice]


async def test_an_order_error_has_the_whole_account_compared(script: Any, start_tws: Any, words: Any) -> None:
    running = await start_tws(script.port)
    await running.service.qualify(words.aapl)
    running.service.place(words.order())
    number = (await script.got(3))[1]
    asked = len(script.of(61))

    script.send(4, 2, number, 201, "Order rejected - reason:no", "")

    await script.got(61, asked + 1)


async def test_a_dropped_position_push_is_found_by_the_timer(
    gateway: Any, clock: Any, start_tws: Any, words: Any
) -> None:
    running = await start_tws(gateway.port, clock=clock, compare_seconds=0.2)
    await running.service.qualify(words.aapl)
    gateway.faults.cause(Drop(messages=("position",), count=1))

    gateway.place_by_hand("AAPL", "BUY", 7)

    fill = await running.heard.next(Fill)
    assert (fill.order_id, fill.quantity) == ("", 7)


async def test_orders_of_somebody_else_without_a_permanent_id_are_each_told_once(
    scripted: Any, script: Any, words: Any
) -> None:
    foreign = {"account": words.account, "clientId": 9}
    for number in (11, 12, 11):
        script.send(*words.shown("openOrder", number, "", permId=0, **foreign))
    for number in (11, 12):
        script.send(*words.shown("openOrder", number, "", **foreign))
    await scripted.service.round_trip()

    told = [notice.text.rpartition("(")[2] for notice in scripted.heard.of(Notice)]
    assert told == ["client id 9, permanent id 0)"] * 2
