"""Fills come from executions, each counted once, and their sum is the venue's book."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.model import Commission, Fill, Notice, OrderReport, OrderStatus, Position, Severity, Side
from ibdesk.tws.executions import Executions


def fill(execution_id: str, quantity: float = 10, price: float = 100.0, side: Side = Side.BUY) -> Fill:
    return Fill(
        execution_id=execution_id,
        order_id="run-1",
        instrument="AAPL",
        side=side,
        quantity=quantity,
        price=price,
        at_ns=1,
    )


def commission(execution_id: str, amount: float) -> Commission:
    return Commission(execution_id=execution_id, amount=amount, at_ns=1)


async def test_a_repeated_execution_is_told_once(tws, gateway, words) -> None:
    gateway.faults.duplicate_executions()
    tws.service.place(words.order())
    await tws.heard.next(Commission)
    tws.service.place(words.order("run-2", side=Side.SELL))
    await tws.heard.next(Commission)

    assert [each.order_id for each in tws.heard.of(Fill)] == ["run-1", "run-2"]
    assert len(tws.heard.of(Commission)) == 2


async def test_executions_of_other_programs_have_no_order_of_ours(scripted, script, words) -> None:
    script.send(*words.execution(900, "0009.01", ref="by hand"))

    told = await scripted.heard.next(Fill)

    assert (told.order_id, told.quantity) == ("", 10)


async def test_executions_of_other_accounts_are_passed_over(scripted, script, words) -> None:
    foreign = [each if each != words.account else "DU7" for each in words.execution(900, "0009.01")]
    script.send(*foreign)
    script.send(*words.execution(901, "0010.01"))

    assert (await scripted.heard.next(Fill)).execution_id == "0010.01"


async def test_a_corrected_execution_is_taken_back_and_booked_anew(scripted, script, words) -> None:
    scripted.service.place(words.order())
    number = (await script.got(3))[1]
    script.send(*words.execution(number, "0001.01.01", shares=10, price=100.0, ref="run-1"))
    await scripted.heard.next(OrderReport, status=OrderStatus.FILLED)
    script.send(*words.execution(number, "0001.01.02", shares=10, price=99.0, ref="run-1"))
    notice = await scripted.heard.next(Notice, severity=Severity.ERROR)

    position = Position("AAPL")
    for each in scripted.heard.of(Fill):
        position = position.after(each)

    assert (position.quantity, position.average_price) == (10, 99.0)
    assert "0001.01.01 of order run-1: 10 AAPL at 100 became 10 at 99" in notice.text


def test_a_busted_execution_is_only_taken_back() -> None:
    executions = Executions()
    executions.take(fill("a.01"))

    told = [each for each in executions.take(fill("a.02", quantity=0.0)) if isinstance(each, Fill)]

    assert [(each.side, each.quantity) for each in told] == [(Side.SELL, 10)]


def test_an_older_version_that_comes_late_changes_nothing() -> None:
    executions = Executions()
    executions.take(fill("a.02", price=99.0))

    assert executions.take(fill("a.01", price=100.0)) == []


def test_fills_of_an_earlier_life_are_not_told_again() -> None:
    executions = Executions()
    executions.remember(fill("a.01"))
    executions.remember_commission(commission("a.01", 1.0))

    assert executions.take(fill("a.01")) == []
    assert executions.take_commission(commission("a.01", 1.0)) == []


def test_a_commission_that_comes_first_waits_for_its_execution() -> None:
    executions = Executions()

    early = executions.take_commission(commission("a.01", 1.0))
    told = executions.take(fill("a.01"))

    assert early == []
    assert [type(each) for each in told] == [Fill, Commission]


def test_a_changed_commission_is_told_and_a_repeated_one_is_not() -> None:
    executions = Executions()
    executions.take(fill("a.01"))

    told = [event for amount in (1.0, 0.25, 0.25) for event in executions.take_commission(commission("a.01", amount))]

    assert told == [commission("a.01", 1.0), commission("a.01", 0.25)]


def test_what_a_correction_costs_replaces_the_first_charge() -> None:
    executions = Executions()
    executions.take(fill("a.01"))
    executions.take_commission(commission("a.01", 1.0))
    executions.take(fill("a.02", price=99.0))

    assert executions.take_commission(commission("a.02", 1.0)) == []
    assert executions.take_commission(commission("a.02", 1.5)) == [commission("a.01", 1.5)]


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(1, 4), st.integers(0, 50), st.integers(90, 110)),
        max_size=12,
    )
)
def test_the_sum_of_fills_is_the_latest_version_of_each_execution(messages) -> None:
    latest: dict[str, tuple[int, Fill]] = {}
    executions, quantity, cash = Executions(), 0.0, 0.0
    for name, revision, shares, price in messages:
        message = fill(f"{name}.{revision:02}", float(shares), float(price))
        if name not in latest or revision > latest[name][0]:
            latest[name] = (revision, message)
        for each in executions.take(message):
            if isinstance(each, Fill):
                quantity, cash = quantity + each.signed_quantity, cash + each.cash

    versions = [message for _, message in latest.values()]

    assert quantity == sum(each.signed_quantity for each in versions)
    assert cash == sum(each.cash for each in versions)


def test_every_fill_has_an_id_of_its_own() -> None:
    executions = Executions()
    messages = [fill("a.01"), fill("a.02", price=99.0), fill("a.03", price=98.0)]

    told = [each for message in messages for each in executions.take(message) if isinstance(each, Fill)]

    assert len({each.execution_id for each in told}) == len(told) == 5
    assert msgspec.structs.replace(told[1], execution_id="") == fill("", side=Side.SELL)
