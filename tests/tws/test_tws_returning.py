"""Loss of TWS and reconnection: nothing is lost, repeated, or traded in between."""

from __future__ import annotations

import asyncio

import pytest

from ibdesk.errors import ConfigError, DataError, HistoryError, LinkError
from ibdesk.model import (
    Bar,
    Commission,
    Fill,
    Link,
    LinkChanged,
    Notice,
    OrderReport,
    OrderStatus,
    PositionReport,
    Quote,
    Severity,
    Side,
)
from ibdesk.tws.backoff import delays


async def next_links(running, count: int) -> list[Link]:
    return [(await running.heard.next(LinkChanged)).link for _ in range(count)]


async def test_a_dropped_connection_comes_back(tws, gateway) -> None:
    await next_links(tws, 2)
    gateway.faults.hang_up()

    assert await next_links(tws, 3) == [Link.DOWN, Link.SYNCING, Link.UP]
    assert tws.service.health.reconnects == 1


async def test_it_keeps_trying_and_says_once_why_it_fails(tws, gateway) -> None:
    gateway.faults.refuse()
    gateway.faults.hang_up()
    notice = await tws.heard.next(Notice, severity=Severity.WARNING)
    gateway.faults.refuse(False)
    await tws.heard.next(LinkChanged, link=Link.UP)

    assert notice.text.startswith("not connected yet:")
    assert len([each for each in tws.heard.of(Notice) if "not connected" in each.text]) == 1


async def test_subscriptions_are_asked_for_again(tws, gateway, words) -> None:
    tws.service.subscribe_quotes(words.aapl)
    tws.service.subscribe_bars(words.aapl)
    await tws.heard.next(Quote)
    gateway.faults.hang_up()
    await tws.heard.next(LinkChanged, link=Link.DOWN)
    await tws.heard.next(LinkChanged, link=Link.UP)
    await tws.heard.next(Quote)
    gateway.advance(10)

    assert (await tws.heard.next(Bar)).instrument == "AAPL"


async def test_a_fill_missed_while_cut_off_is_told_once(tws, gateway, words) -> None:
    tws.service.subscribe_quotes(words.aapl)
    quote = await tws.heard.next(Quote)
    tws.service.place(words.limit(limit_price=quote.bid))
    await tws.heard.next(OrderReport, status=OrderStatus.WORKING)
    gateway.faults.lose_connectivity()
    await tws.heard.next(LinkChanged, link=Link.DOWN)
    while next(iter(gateway.venue.records.values())).status != "Filled":
        gateway.advance(1)
    gateway.faults.restore()
    await tws.heard.next(LinkChanged, link=Link.UP)
    gateway.faults.hang_up()
    await tws.heard.next(LinkChanged, link=Link.UP)

    assert [(each.order_id, each.quantity) for each in tws.heard.of(Fill)] == [("run-1", 10)]
    assert tws.heard.of(OrderReport)[-1].status is OrderStatus.FILLED


async def test_a_link_that_is_cut_off_says_why(tws, gateway) -> None:
    gateway.faults.lose_connectivity()

    change = await tws.heard.next(LinkChanged, link=Link.DOWN)

    assert "TWS error 1100" in change.detail


async def test_lost_data_is_asked_for_again_after_1101(tws, gateway, words) -> None:
    tws.service.subscribe_bars(words.aapl)
    gateway.faults.lose_connectivity()
    await tws.heard.next(LinkChanged, link=Link.DOWN)
    gateway.faults.restore(data_kept=False)
    await tws.heard.next(LinkChanged, link=Link.UP)
    await tws.service.qualify(words.aapl)
    gateway.advance(10)

    await tws.heard.next(Bar)


async def test_1102_asks_for_no_second_account_summary(scripted, script) -> None:
    for _ in range(3):
        script.send(4, 2, -1, 1100, "Connectivity has been lost.", "")
        script.send(4, 2, -1, 1102, "Connectivity has been restored - data maintained.", "")
        await scripted.heard.next(LinkChanged, link=Link.DOWN)
        await scripted.heard.next(LinkChanged, link=Link.UP)

    assert script.of(62) == []


async def test_repeated_1100_is_one_loss(scripted, script) -> None:
    await next_links(scripted, 2)
    for _ in range(3):
        script.send(4, 2, -1, 1100, "Connectivity has been lost.", "")
    script.send(4, 2, -1, 1102, "Connectivity has been restored - data maintained.", "")

    assert await next_links(scripted, 3) == [Link.DOWN, Link.SYNCING, Link.UP]


async def test_executions_and_completed_orders_of_the_gap_are_pulled(scripted, script, words) -> None:
    scripted.service.place(words.limit("run-1"))
    first = (await script.got(3, 1))[1]
    scripted.service.place(words.limit("run-2"))
    second = (await script.got(3, 2))[1]
    script.send(*words.execution(first, "0001.01", shares=4, ref="run-1"))
    await scripted.heard.next(Fill)
    script.answers["7"] = [
        words.execution(first, "0001.01", shares=4, ref="run-1"),
        words.execution(first, "0002.01", shares=6, ref="run-1"),
    ]
    cancelled = {"status": "Cancelled", "completedStatus": "Cancelled by Trader"}
    script.answers["99"] = [words.shown("completedOrder", second, "run-2", **cancelled)]
    script.hang_up()
    await scripted.heard.next(LinkChanged, link=Link.UP)

    assert [each.execution_id for each in scripted.heard.of(Fill)] == ["0001.01", "0002.01"]
    last = {report.order_id: report for report in scripted.heard.of(OrderReport)}
    assert last["run-1"].status is OrderStatus.FILLED
    assert (last["run-2"].status, last["run-2"].reason) == (OrderStatus.CANCELLED, "Cancelled by Trader")


async def test_an_order_that_tws_mentions_nowhere_is_unknown_at_first(scripted, script, words) -> None:
    scripted.service.place(words.limit())
    await script.got(3)
    script.hang_up()

    report = await scripted.heard.next(OrderReport)
    notice = await scripted.heard.next(Notice, severity=Severity.ERROR)

    assert report.status is OrderStatus.UNKNOWN
    assert "TWS will be asked again in 0.3 s" in notice.text


async def test_open_orders_of_an_earlier_life_are_taken_up(script, start_tws, words) -> None:
    script.answers["16"] = [words.shown("openOrder", 42, "run-1"), words.status(42, "Submitted")]
    known = words.limit("run-1", filled=4.0, permanent_id=7042)
    running = await start_tws(script.port, resume={"orders": [known]})

    report = await running.heard.next(OrderReport)
    running.service.cancel("run-1")

    assert (report.order_id, report.status) == ("run-1", OrderStatus.WORKING)
    assert (await script.got(4))[2] == "42"


async def test_fills_of_an_earlier_life_are_not_told_again(script, start_tws, words) -> None:
    first = await start_tws(script.port)
    script.send(*words.execution(42, "0001.01", shares=4, ref="run-1"))
    script.send(59, 1, "0001.01", 1.0, "USD", 0, 0, 0)
    fill, commission = await first.heard.next(Fill), await first.heard.next(Commission)
    script.answers["7"] = [
        words.execution(42, "0001.01", shares=4, ref="run-1"),
        [59, 1, "0001.01", 1.0, "USD", 0, 0, 0],
        words.execution(42, "0002.01", shares=6, ref="run-1"),
    ]
    known = {"orders": [words.limit("run-1", filled=4.0)], "fills": [fill], "commissions": [commission]}

    second = await start_tws(script.port, client_id=2, resume=known)

    assert [each.execution_id for each in second.heard.of(Fill)] == ["0002.01"]
    assert second.heard.of(Commission) == []
    assert second.heard.of(OrderReport)[-1].status is OrderStatus.FILLED


async def test_an_order_that_nobody_has_named_yet_cannot_be_cancelled(script, start_tws, words) -> None:
    running = await start_tws(script.port, resume={"orders": [words.limit("run-1")]})
    running.service.cancel("run-1")

    assert "TWS will be asked again in 0.3 s" in (await running.heard.next(Notice, severity=Severity.ERROR)).text
    notice = await running.heard.next(Notice, severity=Severity.ERROR)
    assert notice.text == ("order run-1: cannot be cancelled: TWS has not named it since this program started")


async def test_an_order_of_another_client_id_is_shown_and_not_changed(script, start_tws, words) -> None:
    script.answers["16"] = [words.shown("openOrder", 42, "run-1", clientId=9)]
    script.answers["16"] += [words.status(42, "Submitted", client=9)]
    running = await start_tws(script.port, resume={"orders": [words.limit("run-1")]})
    running.service.cancel("run-1")
    running.service.modify(words.limit("run-1", limit_price=99.0))

    report = await running.heard.next(OrderReport)
    cancel = await running.heard.next(Notice, severity=Severity.ERROR)
    change = await running.heard.next(Notice)

    assert report.status is OrderStatus.WORKING
    assert "cannot be cancelled: it was placed under client id 9, connect with that one" in cancel.text
    assert "keeps its terms: it was placed under client id 9" in change.text
    assert script.of(4) == script.of(3) == []


async def test_a_cancel_wanted_while_down_is_sent_when_up(scripted, script, words) -> None:
    scripted.service.place(words.limit())
    number = (await script.got(3))[1]
    script.send(*words.status(number, "Submitted"))
    await scripted.heard.next(OrderReport)
    script.answers["16"] = [words.shown("openOrder", number, "run-1"), words.status(number, "Submitted")]
    script.send(4, 2, -1, 1100, "Connectivity has been lost.", "")
    await scripted.heard.next(LinkChanged, link=Link.DOWN)
    scripted.service.cancel("run-1")
    assert script.of(4) == []
    script.send(4, 2, -1, 1102, "Connectivity has been restored - data maintained.", "")

    assert (await script.got(4))[2] == number


async def test_a_modification_wanted_while_down_leaves_the_terms(scripted, script, words) -> None:
    scripted.service.place(words.limit())
    number = (await script.got(3))[1]
    script.send(*words.shown("openOrder", number, "run-1"))
    script.send(*words.status(number, "Submitted"))
    await scripted.heard.next(OrderReport)
    script.send(4, 2, -1, 1100, "Connectivity has been lost.", "")
    await scripted.heard.next(LinkChanged, link=Link.DOWN)
    scripted.service.modify(words.limit(limit_price=101.0))

    notice = await scripted.heard.next(Notice)
    report = await scripted.heard.next(OrderReport)

    assert "keeps its terms: never sent" in notice.text
    assert report.limit_price == 100.0


async def test_a_position_that_was_closed_meanwhile_is_reported_flat(scripted, script, words) -> None:
    contract = [265598, "AAPL", "STK", "", "0.0", "", "", "NASDAQ", "USD", "AAPL", "NMS"]
    script.send(61, 3, words.account, *contract, 10, 100.0)
    held = await scripted.heard.next(PositionReport)
    script.hang_up()

    flat = await scripted.heard.next(PositionReport)

    assert (held.quantity, held.average_price, flat.instrument, flat.quantity) == (10, 100.0, "AAPL", 0)


async def test_a_request_in_flight_fails_with_the_connection(scripted, script, words) -> None:
    script.silent = {"20"}
    asked = asyncio.create_task(scripted.service.history(words.aapl, interval_ns=60 * 10**9, count=10))
    await script.got(20)
    script.hang_up()

    with pytest.raises(LinkError, match="went away"):
        await asked


async def test_a_late_answer_is_dropped(script, start_tws, words) -> None:
    running = await start_tws(script.port, request_timeout_seconds=0.1)
    await running.service.qualify(words.aapl)
    script.silent = {"20"}
    with pytest.raises(LinkError, match=r"did not answer within 0\.1 s: the history of AAPL"):
        await running.service.history(words.aapl, interval_ns=60 * 10**9, count=10)
    script.send(17, script.of(20)[0][1], "", "", 1, "1795446000", 1, 1, 1, 1, 1, 1, 1)
    await running.service.qualify(words.aapl)

    assert running.service.link is Link.UP


async def test_a_refused_history_carries_the_words_of_tws(scripted, script, words) -> None:
    script.silent = {"20"}
    asked = asyncio.create_task(scripted.service.history(words.aapl, interval_ns=60 * 10**9, count=10))
    request = (await script.got(20))[1]
    script.send(4, 2, request, 162, "Historical Market Data Service error message:no permissions", "")

    with pytest.raises(HistoryError, match=r"no history of AAPL in bars of 1 min: .*no permissions"):
        await asked


async def test_a_tws_that_fell_silent_is_left(script, start_tws) -> None:
    running = await start_tws(script.port, heartbeat_seconds=0.1, request_timeout_seconds=0.2)
    script.silent = {"49"}
    await running.heard.next(LinkChanged, link=Link.UP)

    assert await next_links(running, 3) == [Link.DOWN, Link.SYNCING, Link.UP]


async def test_a_tws_that_answers_the_heartbeat_is_kept(script, start_tws) -> None:
    running = await start_tws(script.port, heartbeat_seconds=0.1)
    await script.got(49)
    await running.heard.next(LinkChanged, link=Link.UP)

    assert running.service.link is Link.UP
    assert running.service.health.reconnects == 0


async def test_an_account_that_changed_meanwhile_ends_the_service(scripted, script) -> None:
    script.accounts = "U1234567"
    script.hang_up()

    with pytest.raises(ConfigError, match="not a paper account"):
        await scripted.life


async def test_what_the_hearer_raises_ends_the_service(scripted, script, words) -> None:
    def fail(event) -> None:
        raise ZeroDivisionError("in the engine")

    scripted.heard.react = fail
    script.send(*words.execution(900, "0009.01"))

    with pytest.raises(ZeroDivisionError, match="in the engine"):
        await scripted.life
    assert scripted.service.link is Link.CLOSED


async def test_a_message_that_cannot_be_read_ends_the_service(scripted, script) -> None:
    script.send(11, -1, "garbage")

    with pytest.raises(DataError, match=r"a message that cannot be read \(11 -1 garbage\)"):
        await scripted.life


async def test_a_fill_before_the_drop_is_not_told_again(tws, gateway, words) -> None:
    tws.service.place(words.order())
    await tws.heard.next(Commission)
    gateway.faults.hang_up()
    await tws.heard.next(LinkChanged, link=Link.DOWN)
    await tws.heard.next(LinkChanged, link=Link.UP)
    tws.service.place(words.order("run-2", side=Side.SELL))
    await tws.heard.next(Fill, order_id="run-2")

    assert [each.order_id for each in tws.heard.of(Fill)] == ["run-1", "run-2"]


async def test_order_ids_go_on_when_tws_rolls_its_own_back(tws, gateway, words) -> None:
    tws.service.place(words.order())
    await tws.heard.next(Fill)
    mark = tws.service.next_order_id
    gateway.faults.roll_back_next_valid_id(1)
    gateway.faults.hang_up()
    await tws.heard.next(LinkChanged, link=Link.DOWN)
    await tws.heard.next(LinkChanged, link=Link.UP)
    tws.service.place(words.order("run-2"))
    await tws.heard.next(Fill, order_id="run-2")

    assert tws.service.next_order_id > mark


def test_pauses_double_up_to_the_last_and_never_below_half() -> None:
    sequence = delays(0.25, 30.0)
    pauses = [next(sequence) for _ in range(12)]

    full = [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30, 30]
    assert all(most / 2 <= pause <= most for pause, most in zip(pauses, full, strict=True))
    assert len({pause / most for pause, most in zip(pauses, full, strict=True)}) == 12


async def test_a_process_that_stood_still_compares_over_the_connection_it_has(scripted, script) -> None:
    await next_links(scripted, 2)
    asked = len(script.of(5)) + len(script.of(7)) + len(script.of(16))
    scripted.service.catch_up()

    assert await next_links(scripted, 2) == [Link.SYNCING, Link.UP]
    assert len(script.of(5)) + len(script.of(7)) + len(script.of(16)) > asked
    assert len(script.of(71)) == 1


async def test_orders_that_waited_over_a_stall_were_never_sent(scripted, words) -> None:
    for number in range(60):
        scripted.service.place(words.order(f"run-{number}"))
    waiting = scripted.service.health.messages_waiting
    scripted.service.catch_up()

    reports = await scripted.heard.count(OrderReport, waiting)
    await scripted.heard.next(LinkChanged, link=Link.UP)
    left = [report for report in reports if report.status is OrderStatus.REJECTED]

    assert waiting > 0
    assert len(left) == waiting
    assert {report.reason for report in left} == {"never sent: this process stood still while it waited"}


async def test_nothing_leaves_while_the_books_are_compared_after_a_stall(scripted, script, words) -> None:
    scripted.service.catch_up()
    scripted.service.place(words.order("run-1"))

    report = await scripted.heard.next(OrderReport)

    assert (report.status, report.reason) == (OrderStatus.REJECTED, "never sent: the link to TWS is syncing")
    assert script.of(3) == []
