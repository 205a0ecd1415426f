"""The states of an order at TWS: messages that change them, and messages that only seem to."""

from __future__ import annotations

import pytest

from ibdesk.errors import OrderError
from ibdesk.model import Fill, Link, LinkChanged, Notice, OrderReport, OrderStatus, OrderType, Severity, Side

HELD, WORKING, FILLED = OrderStatus.HELD, OrderStatus.WORKING, OrderStatus.FILLED
CANCELLED, REJECTED, UNKNOWN = OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.UNKNOWN


async def placed(scripted, script, order):
    """Place an order and return its number at the scripted TWS."""
    scripted.service.place(order)
    return (await script.got(3, len(script.of(3)) + 1))[1]


# ---- against the gateway


async def test_a_market_order_is_filled_by_its_execution(tws, words) -> None:
    tws.service.place(words.order())

    fill = await tws.heard.next(Fill)
    report = await tws.heard.next(OrderReport, status=FILLED)

    assert (fill.order_id, fill.instrument, fill.side, fill.quantity) == ("run-1", "AAPL", Side.BUY, 10)
    assert report.permanent_id > 0


async def test_a_limit_order_rests_is_modified_and_cancelled(tws, words) -> None:
    tws.service.place(words.limit(limit_price=100.0))
    first = await tws.heard.next(OrderReport, status=WORKING)
    tws.service.modify(words.limit(limit_price=101.0, quantity=20.0))
    second = await tws.heard.next(OrderReport, status=WORKING)
    tws.service.cancel("run-1")
    await tws.heard.next(OrderReport, status=CANCELLED)

    assert (first.quantity, first.limit_price) == (10, 100.0)
    assert (second.quantity, second.limit_price) == (20, 101.0)


async def test_a_stop_is_held_until_triggered(tws, words) -> None:
    tws.service.place(words.order(side=Side.SELL, type=OrderType.STOP, stop_price=100.0))

    report = await tws.heard.next(OrderReport, status=HELD)

    assert (report.reason, report.stop_price, report.limit_price) == ("trigger", 100.0, None)


async def test_a_rejection_carries_the_words_of_tws(tws, gateway, words) -> None:
    gateway.faults.reject_next_order("no margin left")
    tws.service.place(words.order())

    report = await tws.heard.next(OrderReport, status=REJECTED)

    assert "no margin left" in report.reason
    assert "201" in report.reason


# ---- against a script


async def test_an_informational_code_leaves_the_order_alive(scripted, script, words) -> None:
    number = await placed(scripted, script, words.limit())
    script.send(*words.shown("openOrder", number, "run-1"))
    script.send(*words.status(number, "Submitted"))
    await scripted.heard.next(OrderReport, status=WORKING)
    script.send(4, 2, number, 10349, "Order TIF was set to DAY based on order preset.", "")
    script.send(4, 2, number, 399, "Order Message:\\nWarning: will not be placed until 09:30", "")

    notices = [await scripted.heard.next(Notice) for _ in range(2)]

    assert ["10349" in notices[0].text, "399" in notices[1].text] == [True, True]
    assert [report.status for report in scripted.heard.of(OrderReport)] == [WORKING]


async def test_inactive_without_an_error_may_come_back(scripted, script, words) -> None:
    number = await placed(scripted, script, words.limit())
    for word in ("Submitted", "Inactive", "Submitted"):
        script.send(*words.status(number, word))

    reports = await scripted.heard.count(OrderReport, 3)

    assert [report.status for report in reports] == [WORKING, HELD, WORKING]


async def test_inactive_after_an_error_is_a_rejection(scripted, script, words) -> None:
    number = await placed(scripted, script, words.limit())
    script.send(*words.shown("openOrder", number, "run-1", status="PreSubmitted"))
    script.send(*words.status(number, "PreSubmitted"))
    await scripted.heard.next(OrderReport, status=HELD)
    script.send(4, 2, number, 201, "Order rejected - reason:MARGIN", "")
    script.send(*words.status(number, "Inactive"))

    report = await scripted.heard.next(OrderReport)

    assert (report.status, report.reason) == (REJECTED, "Order rejected - reason:MARGIN (TWS error 201)")


@pytest.mark.parametrize("code", [103, 110, 200, 201])
async def test_an_order_that_tws_never_took_is_rejected_at_once(scripted, script, words, code) -> None:
    number = await placed(scripted, script, words.limit())
    script.send(4, 2, number, code, "not taken", "")

    report = await scripted.heard.next(OrderReport)

    assert (report.status, report.reason) == (REJECTED, f"not taken (TWS error {code})")


@pytest.mark.parametrize("is_on_its_way", [False, True])
async def test_an_error_without_an_order_is_a_rejection_once_the_books_are_compared_twice(
    scripted, script, words, is_on_its_way
) -> None:
    number = await placed(scripted, script, words.limit())
    if is_on_its_way:
        script.send(*words.status(number, "PendingSubmit"))
        await scripted.heard.next(OrderReport, status=OrderStatus.SENT)
    script.send(4, 2, number, 10268, "The EtradeOnly order attribute is not supported.", "")

    reports = [await scripted.heard.next(OrderReport) for _ in range(2)]

    assert [report.status for report in reports] == [OrderStatus.UNKNOWN, REJECTED]
    assert {report.reason for report in reports} == {
        "The EtradeOnly order attribute is not supported. (TWS error 10268)"
    }
    # At the start, at once after the error, and once more after `settle_seconds`.
    assert len(script.of(16)) == 3


async def test_many_doubts_are_settled_by_few_comparisons(scripted, script, words) -> None:
    numbers = [await placed(scripted, script, words.limit(f"run-{each}")) for each in range(10)]
    for number in numbers:
        script.send(4, 2, number, 10268, "The EtradeOnly order attribute is not supported.", "")

    await scripted.heard.count(OrderReport, 10)

    assert len(script.of(16)) <= 3


async def test_a_duplicate_order_id_raises_the_mark(scripted, script, words) -> None:
    number = await placed(scripted, script, words.limit())
    script.send(4, 2, number, 103, "Duplicate order ID.", "")
    await script.got(8)
    script.send(9, 1, 4000)
    await scripted.service.qualify(words.aapl)

    assert int(await placed(scripted, script, words.limit("run-2"))) >= 4000


async def test_an_unlisted_code_is_no_reason_of_a_later_cancel(scripted, script, words) -> None:
    number = await placed(scripted, script, words.limit())
    script.send(*words.status(number, "Submitted"))
    script.send(4, 2, number, 10999, "something about the order", "")
    script.send(*words.status(number, "Cancelled"))

    await scripted.heard.next(OrderReport, status=CANCELLED)


async def test_orders_may_be_placed_the_moment_the_link_is_up(scripted, script, words) -> None:
    def trade(event) -> None:
        if isinstance(event, LinkChanged) and event.link is Link.UP:
            scripted.service.place(words.order())

    scripted.heard.react = trade
    script.hang_up()

    assert (await script.got(3))[0] == "3"


async def test_a_refused_modification_leaves_the_order_with_its_terms(scripted, script, words) -> None:
    number = await placed(scripted, script, words.limit())
    script.send(*words.shown("openOrder", number, "run-1"))
    script.send(*words.status(number, "Submitted"))
    await scripted.heard.next(OrderReport, status=WORKING)
    scripted.service.modify(words.limit(limit_price=100.005))
    await script.got(3, 2)
    script.send(4, 2, number, 110, "The price does not conform to the minimum price variation.", "")

    report = await scripted.heard.next(OrderReport)

    assert (report.status, report.limit_price) == (WORKING, 100.0)


async def test_filled_is_told_only_after_the_executions(scripted, script, words) -> None:
    number = await placed(scripted, script, words.order())
    script.send(*words.status(number, "Filled", filled=10, remaining=0))
    script.send(*words.execution(number, "0001.01", shares=4, ref="run-1"))
    script.send(*words.execution(number, "0002.01", shares=6, ref="run-1"))
    await scripted.heard.next(OrderReport, status=FILLED)

    told = [type(event).__name__ for event in scripted.heard.events if isinstance(event, Fill | OrderReport)]

    assert told == ["Fill", "Fill", "OrderReport"]


async def test_an_execution_before_any_word_on_the_order_is_booked(scripted, script, words) -> None:
    number = await placed(scripted, script, words.order())
    script.send(*words.execution(number, "0001.01", ref="run-1"))

    await scripted.heard.next(Fill, order_id="run-1")
    await scripted.heard.next(OrderReport, status=FILLED)


async def test_executions_that_stay_out_are_asked_for(scripted, script, words) -> None:
    number = await placed(scripted, script, words.order())
    script.answers["7"] = [words.execution(number, "0001.01", ref="run-1")]
    script.send(*words.status(number, "Filled", filled=10, remaining=0))

    await scripted.heard.next(Fill, execution_id="0001.01")
    await scripted.heard.next(OrderReport, status=FILLED)


async def test_a_repeated_status_is_told_once(scripted, script, words) -> None:
    number = await placed(scripted, script, words.limit())
    for word in ("Submitted", "Submitted", "PendingCancel", "Submitted", "Cancelled"):
        script.send(*words.status(number, word))

    await scripted.heard.next(OrderReport, status=CANCELLED)

    assert [report.status for report in scripted.heard.of(OrderReport)] == [WORKING, CANCELLED]


async def test_a_cancel_that_nobody_here_asked_for_is_told_with_its_reason(scripted, script, words) -> None:
    number = await placed(scripted, script, words.limit())
    script.send(*words.status(number, "Submitted"))
    script.send(*words.status(number, "Cancelled"))
    script.send(4, 2, number, 202, "Order Canceled - reason:Price cap", "")

    await scripted.heard.next(OrderReport, status=CANCELLED, reason="Price cap", by_other=False)
    assert len([report for report in scripted.heard.of(OrderReport) if report.status is CANCELLED]) == 1


async def test_a_cancel_by_another_client_reaches_our_order(scripted, script, words) -> None:
    number = await placed(scripted, script, words.limit())
    script.send(*words.status(number, "Submitted"))
    script.send(*words.status(number, "Cancelled", client=9))

    await scripted.heard.next(OrderReport, status=CANCELLED)


async def test_orders_of_other_clients_are_none_of_our_business(scripted, script, words) -> None:
    number = await placed(scripted, script, words.limit())
    script.send(*words.shown("openOrder", 900, "theirs", clientId=9))
    script.send(*words.status(number, "Cancelled", client=9))
    script.send(*words.status(number, "Submitted"))

    report = await scripted.heard.next(OrderReport)

    assert report.status is WORKING


async def test_an_order_without_an_answer_is_unknown_and_never_rejected(script, start_tws, words) -> None:
    running = await start_tws(script.port, answer_timeout_seconds=0.1, settle_seconds=0.1)
    await running.service.qualify(words.aapl)
    running.service.place(words.order())

    report = await running.heard.next(OrderReport)
    notice = await running.heard.next(Notice, severity=Severity.ERROR)

    assert report.status is UNKNOWN
    assert "run-1: is neither among TWS's open nor its completed orders" in notice.text


async def test_an_unknown_order_is_found_again(script, start_tws, words) -> None:
    running = await start_tws(script.port, answer_timeout_seconds=0.1, settle_seconds=0.1)
    await running.service.qualify(words.aapl)
    number = await placed(running, script, words.limit())
    script.answers["16"] = [words.shown("openOrder", number, "run-1"), words.status(number, "Submitted")]

    statuses = [(await running.heard.next(OrderReport)).status for _ in range(2)]

    assert statuses == [UNKNOWN, WORKING]


async def test_the_same_intent_is_never_sent_twice(scripted, script, words) -> None:
    await placed(scripted, script, words.order())

    with pytest.raises(OrderError, match="run-1 was sent before"):
        scripted.service.place(words.order())


async def test_an_order_of_an_unqualified_instrument_is_rejected_unsent(scripted, script, words) -> None:
    scripted.service.place(words.order(instrument="MSFT"))

    report = await scripted.heard.next(OrderReport)

    assert (report.status, report.reason) == (REJECTED, "never sent: MSFT is not qualified")
    assert script.of(3) == []


async def test_an_order_placed_while_the_link_is_down_is_known_not_to_be_there(scripted, script, words) -> None:
    script.send(4, 2, -1, 1100, "Connectivity between IBKR and Trader Workstation has been lost.", "")
    await scripted.heard.next(LinkChanged, link=Link.DOWN)
    scripted.service.place(words.order())

    report = await scripted.heard.next(OrderReport)

    assert (report.status, report.reason) == (REJECTED, "never sent: the link to TWS is down")
    assert script.of(3) == []


async def test_what_the_service_says_of_its_own_never_comes_from_inside_the_call(scripted, words) -> None:
    scripted.service.place(words.order(instrument="MSFT"))

    assert scripted.heard.of(OrderReport) == []


async def test_an_order_that_was_never_placed_here_cannot_be_changed(scripted, words) -> None:
    with pytest.raises(OrderError, match="run-9 is not known"):
        scripted.service.cancel("run-9")
    with pytest.raises(OrderError, match="run-9 is not known"):
        scripted.service.modify(words.limit("run-9"))


async def test_a_done_order_is_neither_modified_nor_cancelled(scripted, script, words) -> None:
    number = await placed(scripted, script, words.limit())
    script.send(*words.status(number, "Cancelled"))
    await scripted.heard.next(OrderReport, status=CANCELLED)
    scripted.service.cancel("run-1")
    scripted.service.modify(words.limit(limit_price=101.0))

    notice = await scripted.heard.next(Notice)

    assert notice.text == "order run-1: keeps its terms: it is done"
    assert (len(script.of(3)), script.of(4)) == (1, [])


async def test_a_cancel_that_tws_refuses_leaves_the_order_and_is_looked_into(scripted, script, words) -> None:
    number = await placed(scripted, script, words.limit())
    script.send(*words.status(number, "Submitted"))
    await scripted.heard.next(OrderReport, status=WORKING)
    scripted.service.cancel("run-1")
    script.answers["99"] = [words.shown("completedOrder", number, "run-1", status="Filled", totalQuantity=0)]
    script.answers["7"] = [words.execution(number, "0001.01", ref="run-1")]
    script.send(4, 2, number, 10148, f"OrderId {number} that needs to be cancelled cannot be, state: Filled.", "")

    await scripted.heard.next(OrderReport, status=FILLED)

    assert [report.status for report in scripted.heard.of(OrderReport)] == [WORKING, FILLED]
