"""A stop is carried out by evidence: cancel, wait for the answer, reduce by what is held, never through zero."""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.guardian.venue import CON_ID, SECOND, Venue

from ibdesk.guardian.account import AccountSnapshot, Execution, WorkingOrder
from ibdesk.guardian.closing_orders import ClosingOrders
from ibdesk.guardian.plan import (
    AlertPerson,
    CancelEverything,
    CancelOrder,
    CancelOwn,
    Reduce,
    Step,
    StopPlan,
    reference_of,
)  # fmt: skip
from ibdesk.guardian.reduction import ReductionTimings
from ibdesk.guardian.shares import RunShares, ShareBasis
from ibdesk.guardian.stop import Level, Stop

TENTH = SECOND // 10


def stop(level: Level, *runs: str) -> Stop:
    return Stop(id="20261130-120000-guardian-1", level=level, cause="person", reason="", by="", at_ns=0, runs=runs)


def order(quantity: float, *, number: int = 1, reference: str = "Cross-abc.1", con_id: int = CON_ID) -> WorkingOrder:
    return WorkingOrder(
        permanent_id=1000 + number,
        client_id=1,
        order_id=number,
        con_id=con_id,
        side=1 if quantity > 0 else -1,
        remaining=abs(quantity),
        reference=reference,
    )


def look(at: float, held: float, *orders: WorkingOrder, executions: tuple[Execution, ...] = ()) -> AccountSnapshot:
    holdings = {CON_ID: held} if held else {}
    return AccountSnapshot(asked_ns=int(at * SECOND), holdings=holdings, orders=orders, executions=executions)


@pytest.fixture
def closing() -> ClosingOrders:
    """The orders of all plans that may still be filled."""
    return ClosingOrders()


def advance(seen: AccountSnapshot, closing: ClosingOrders, *plans: StopPlan) -> list[Step]:
    """Return what is to be done next: the orders of all plans are kept here, as `Stops` keeps them."""
    closing.settle(seen)
    overdue = closing.overdue(ReductionTimings().invisible, seen.asked_ns, refused_seconds=ReductionTimings().stuck)
    steps: list[Step] = [CancelOwn(order.reference) for order in overdue]
    return steps + [step for plan in plans for step in plan.look(seen)]


def refuse(
    reference: str, text: str, at_ns: int, closing: ClosingOrders, plan: StopPlan, *, at_once: bool = False
) -> list[Step]:
    """Let TWS refuse an order, and return what is to be done."""
    closing.refuse(reference, text)
    return plan.refused(reference, text, at_ns, at_once=at_once)


def reductions(steps: Sequence[Step]) -> list[Reduce]:
    return [step for step in steps if isinstance(step, Reduce)]


# ---- the order of things ------------------------------------------------------------------------------------------


def test_nothing_is_sold_while_an_order_works(closing: ClosingOrders) -> None:
    plan = StopPlan(stop(Level.FLATTEN), baselines={CON_ID: (100.0, 0.0)}, closing=closing)

    steps = [step for tenth in range(100) for step in advance(look(tenth / 10, 100, order(-100)), closing, plan)]

    assert CancelEverything() in steps
    assert reductions(steps) == []


def test_what_is_held_is_sold_once_no_order_has_worked_for_a_while(closing: ClosingOrders) -> None:
    plan = StopPlan(stop(Level.FLATTEN), baselines={CON_ID: (100.0, 0.0)}, closing=closing)
    plan.begin(0)
    advance(look(0.0, 100, order(-100)), closing, plan)
    first = advance(look(0.2, 100), closing, plan)
    second = advance(look(0.4, 100), closing, plan)

    third = advance(look(0.7, 100), closing, plan)

    assert reductions(first + second) == []
    assert [(sold.con_id, sold.quantity) for sold in reductions(third)] == [(CON_ID, -100.0)]


def test_a_late_fill_of_a_cancelled_order_is_not_sold_again(closing: ClosingOrders) -> None:
    """The stop filled 60 of 100 just before the cancel: 40 are held, and TWS's position still says 100."""
    plan = StopPlan(stop(Level.FLATTEN), baselines={CON_ID: (100.0, 0.0)}, closing=closing)
    late = (Execution("e1.01", CON_ID, -60.0, "Cross-abc.1"),)
    steps = [step for tenth in range(50) for step in advance(look(tenth / 10, 100, executions=late), closing, plan)]

    told = [step for at in (5.1, 5.6) for step in advance(look(at, 40, executions=late), closing, plan)]

    assert reductions(steps) == []
    assert [sold.quantity for sold in reductions(told)] == [-40.0]


def test_the_next_order_waits_until_the_fills_show_in_the_position(closing: ClosingOrders) -> None:
    plan = StopPlan(stop(Level.FLATTEN), baselines={CON_ID: (100.0, 0.0)}, closing=closing)
    advance(look(0.0, 100), closing, plan)
    [sold] = reductions(advance(look(0.5, 100), closing, plan))
    part = (Execution("e1.01", CON_ID, -30.0, sold.reference),)
    working = order(-70, reference=sold.reference)

    while_working = advance(look(1.0, 70, working, executions=part), closing, plan)
    closing.end(sold.reference, is_filled=False)
    stale = [step for at in range(15, 30) for step in advance(look(at / 10, 100, executions=part), closing, plan)]
    fresh = [step for at in (3.1, 3.6) for step in advance(look(at, 70, executions=part), closing, plan)]

    assert reductions(while_working + stale) == []
    assert [again.quantity for again in reductions(fresh)] == [-70.0]


def test_a_short_position_is_bought_back(closing: ClosingOrders) -> None:
    plan = StopPlan(stop(Level.FLATTEN), baselines={CON_ID: (-5.0, 0.0)}, closing=closing)
    advance(look(0.0, -5), closing, plan)

    [bought] = reductions(advance(look(0.5, -5), closing, plan))

    assert bought.quantity == 5.0


def test_it_is_done_when_two_looks_show_nothing(closing: ClosingOrders) -> None:
    plan = StopPlan(stop(Level.FLATTEN), closing=closing)
    plan.begin(0)
    advance(look(0.0, 0), closing, plan)
    first = plan.done

    advance(look(0.5, 0), closing, plan)

    assert (first, plan.done) == (False, True)


def test_without_an_earlier_agreement_executions_must_have_been_quiet(closing: ClosingOrders) -> None:
    """A guardian that has just been started has nothing to check a position against but time without news."""
    plan = StopPlan(stop(Level.FLATTEN), closing=closing)
    news = (Execution("e1.01", CON_ID, 100.0, "Cross-abc.1"),)
    early = [step for tenth in range(19) for step in advance(look(tenth / 10, 100, executions=news), closing, plan)]

    later = advance(look(2.1, 100, executions=news), closing, plan)

    assert reductions(early) == []
    assert [sold.quantity for sold in reductions(later)] == [-100.0]


# ---- what goes wrong ----------------------------------------------------------------------------------------------


def test_a_refused_order_is_tried_again_after_a_pause_and_alerted_at_the_third(closing: ClosingOrders) -> None:
    plan = StopPlan(stop(Level.FLATTEN), baselines={CON_ID: (100.0, 0.0)}, closing=closing)
    sent: list[float] = []
    told: list[Step] = []
    for tenth in range(100):
        at_ns = tenth * TENTH
        steps = advance(look(tenth / 10, 100), closing, plan)
        for step in reductions(steps):
            sent.append(tenth / 10)
            told += refuse(step.reference, "no margin (201)", at_ns, closing, plan)

    # Half a second to settle, then pauses of 0.5, 1, 2 and 4 s; each refusal also needs 0.4 s to be settled.
    assert sent == [0.4, 0.9, 1.9, 3.9, 7.9]
    assert [step.text.partition(" orders")[0] for step in told if isinstance(step, AlertPerson)] == [
        "TWS has refused 3"
    ]


def test_an_order_that_tws_shows_nowhere_is_cancelled_and_not_repeated_before_tws_has_had_its_time(
    closing: ClosingOrders,
) -> None:
    """TWS may take 25 s to show an order: sent at 0.4 s it counts as never taken at the second look from 60.4 s on."""
    plan = StopPlan(stop(Level.FLATTEN), baselines={CON_ID: (100.0, 0.0)}, closing=closing)
    taken: list[tuple[float, str]] = []
    for tenth in range(620):
        taken += [(tenth / 10, type(step).__name__) for step in advance(look(tenth / 10, 100), closing, plan)]

    assert [at for at, what in taken if what == "Reduce"] == [0.4, 60.5]
    assert [at for at, what in taken if what == "CancelOwn"] == [5.4 + 5 * number for number in range(12)]


def test_an_order_that_tws_shows_late_is_waited_for(closing: ClosingOrders) -> None:
    """Acknowledged after 25 s and filled at once: 100 are sold, once."""
    plan = StopPlan(stop(Level.FLATTEN), baselines={CON_ID: (100.0, 0.0)}, closing=closing)
    sent = [step for tenth in range(250) for step in reductions(advance(look(tenth / 10, 100), closing, plan))]
    done = (Execution("e1.01", CON_ID, -100.0, sent[0].reference),)

    sent += [
        step
        for tenth in range(250, 800)
        for step in reductions(advance(look(tenth / 10, 0, executions=done), closing, plan))
    ]

    assert [sold.quantity for sold in sent] == [-100.0]
    assert plan.done


def test_an_order_whose_cancel_tws_has_answered_is_repeated(closing: ClosingOrders) -> None:
    plan = StopPlan(stop(Level.FLATTEN), baselines={CON_ID: (100.0, 0.0)}, closing=closing)
    reduced: list[tuple[float, float]] = []
    for tenth in range(80):
        for step in advance(look(tenth / 10, 100), closing, plan):
            if isinstance(step, Reduce):
                reduced.append((tenth / 10, step.quantity))
            if isinstance(step, CancelOwn):
                closing.end(step.reference, is_filled=False)

    assert reduced == [(0.4, -100.0), (5.9, -100.0)]


def test_an_order_whose_cancel_comes_too_late_is_not_repeated_before_its_fill_shows(closing: ClosingOrders) -> None:
    """TWS answers that it is filled (10148), and is late with the execution."""
    plan = StopPlan(stop(Level.FLATTEN), baselines={CON_ID: (100.0, 0.0)}, closing=closing)
    reduced: list[float] = []
    for tenth in range(300):
        for step in advance(look(tenth / 10, 100), closing, plan):
            if isinstance(step, Reduce):
                reduced.append(step.quantity)
            if isinstance(step, CancelOwn):
                closing.end(step.reference, is_filled=True)

    assert reduced == [-100.0]


def test_an_order_that_was_filled_is_not_repeated_before_its_execution_shows(closing: ClosingOrders) -> None:
    """It worked, and works no more. TWS says "Filled", and is late by 20 s with the execution and the position."""
    plan = StopPlan(stop(Level.FLATTEN), baselines={CON_ID: (100.0, 0.0)}, closing=closing)
    advance(look(0.0, 100), closing, plan)
    [sold] = reductions(advance(look(0.5, 100), closing, plan))
    advance(look(0.6, 100, order(-100, reference=sold.reference)), closing, plan)
    closing.report(sold.reference, 100.0)
    closing.end(sold.reference, is_filled=False)

    late = [step for tenth in range(7, 200) for step in advance(look(tenth / 10, 100), closing, plan)]
    done = (Execution("e1.01", CON_ID, -100.0, sold.reference),)
    after = [step for tenth in range(200, 230) for step in advance(look(tenth / 10, 0, executions=done), closing, plan)]

    assert reductions(late + after) == []
    assert plan.done


def test_an_order_that_works_no_more_is_asked_about(closing: ClosingOrders) -> None:
    """The connection broke while it worked, and with it went its last status."""
    plan = StopPlan(stop(Level.FLATTEN), baselines={CON_ID: (100.0, 0.0)}, closing=closing)
    advance(look(0.0, 100), closing, plan)
    [sold] = reductions(advance(look(0.5, 100), closing, plan))
    advance(look(0.6, 100, order(-100, reference=sold.reference)), closing, plan)
    plan.lost()

    steps = [step for tenth in range(30, 80) for step in advance(look(tenth / 10, 100), closing, plan)]

    assert steps == [CancelOwn(sold.reference)]


def test_a_number_that_an_order_on_its_way_has_is_not_cancelled(closing: ClosingOrders) -> None:
    """TWS would take the cancel for either."""
    closing.add("guardian-h-2-1.1", con_id=CON_ID, quantity=10, at_ns=0).order_id = 7
    plan = StopPlan(stop(Level.HALT), closing=closing)

    steps = advance(look(0.0, 100, order(50, number=7), order(-100, number=8)), closing, plan)

    assert [type(step) for step in steps] == [AlertPerson]


def test_a_number_that_tws_has_seen_before_is_replaced_at_once(closing: ClosingOrders) -> None:
    """Twice refused with 103: the third order leaves as soon as the refusal before it is settled."""
    plan = StopPlan(stop(Level.FLATTEN), baselines={CON_ID: (100.0, 0.0)}, closing=closing)
    sent: list[float] = []
    for tenth in range(20):
        for step in reductions(advance(look(tenth / 10, 100), closing, plan)):
            sent.append(tenth / 10)
            if len(sent) < 3:
                refuse(step.reference, "Duplicate order id (103)", tenth * TENTH, closing, plan, at_once=True)

    assert sent == [0.4, 0.9, 1.4]


def test_a_closing_order_that_tws_refuses_and_goes_on_showing_is_cancelled_and_sent_again(
    closing: ClosingOrders,
) -> None:
    """Refused (201), and Inactive in every look until it is cancelled: without that nothing else ever leaves."""
    plan = StopPlan(stop(Level.FLATTEN), baselines={CON_ID: (100.0, 0.0)}, closing=closing)
    advance(look(0.0, 100), closing, plan)
    [sold] = reductions(advance(look(0.5, 100), closing, plan))
    refuse(sold.reference, "Order rejected (201)", SECOND, closing, plan)
    inactive = msgspec.structs.replace(order(-100, reference=sold.reference), status="Inactive")

    early = [step for tenth in range(11, 100) for step in advance(look(tenth / 10, 100, inactive), closing, plan)]
    shown = [step for tenth in range(100, 120) for step in advance(look(tenth / 10, 100, inactive), closing, plan)]
    closing.end(sold.reference, is_filled=False)
    gone = [step for tenth in range(120, 140) for step in advance(look(tenth / 10, 100), closing, plan)]

    assert CancelOwn(sold.reference) not in early
    assert CancelOwn(sold.reference) in shown
    [told] = [step.text for step in early + shown if isinstance(step, AlertPerson)]
    assert "Order rejected (201)" in told
    assert "hours" not in told
    assert [again.quantity for again in reductions(gone)] == [-100.0]


def test_an_order_that_tws_has_never_shown_does_not_end_because_it_is_not_found(closing: ClosingOrders) -> None:
    """TWS may not have taken it yet (10147): the cancel was faster. It ends after 60 s without a trace."""
    plan = StopPlan(stop(Level.FLATTEN), baselines={CON_ID: (100.0, 0.0)}, closing=closing)
    advance(look(0.0, 100), closing, plan)
    [sold] = reductions(advance(look(0.5, 100), closing, plan))
    closing.end(sold.reference, is_filled=False, was_found=False)

    early = [step for second in range(1, 60) for step in advance(look(second, 100), closing, plan)]
    late = [step for second in range(60, 64) for step in advance(look(second, 100), closing, plan)]

    assert reductions(early) == []
    assert [again.quantity for again in reductions(late)] == [-100.0]


def test_an_order_that_does_not_go_is_alerted_once_and_cancelled_again(closing: ClosingOrders) -> None:
    plan = StopPlan(stop(Level.CANCEL), closing=closing)
    steps = [step for tenth in range(150) for step in advance(look(tenth / 10, 0, order(50)), closing, plan)]

    assert steps.count(CancelEverything()) == 15
    assert len([step for step in steps if isinstance(step, AlertPerson)]) == 1
    assert not plan.done


def test_after_a_broken_connection_two_looks_behind_it_are_compared(closing: ClosingOrders) -> None:
    plan = StopPlan(stop(Level.FLATTEN), baselines={CON_ID: (100.0, 0.0)}, closing=closing)
    advance(look(0.0, 100), closing, plan)
    plan.lost()

    after = advance(look(9.0, 100), closing, plan)

    assert reductions(after) == []


# ---- how far a stop goes ------------------------------------------------------------------------------------------


def test_a_halt_cancels_what_opens_and_keeps_what_protects(closing: ClosingOrders) -> None:
    opening, protective, larger = order(50, number=1), order(-100, number=2), order(-101, number=3)
    plan = StopPlan(stop(Level.HALT), closing=closing)
    began = plan.begin(0)

    steps = advance(look(0.0, 100, opening, protective, larger), closing, plan)

    assert began == []
    assert steps == [CancelOrder(opening), CancelOrder(larger)]


def test_orders_with_one_number_are_not_cancelled_one_by_one(closing: ClosingOrders) -> None:
    """Numbers are per client: TWS would take the cancel for the first of them."""
    opening, protective = order(50, number=7), order(-100, number=7, reference="Other-x.1")
    plan = StopPlan(stop(Level.HALT), closing=closing)

    steps = advance(
        look(0.0, 100, opening, msgspec.structs.replace(protective, permanent_id=5, client_id=2)), closing, plan
    )

    assert [type(step) for step in steps] == [AlertPerson]


def test_orders_with_one_number_all_go_where_none_protects(closing: ClosingOrders) -> None:
    one, other = order(50, number=7), order(60, number=7, reference="Other-x.1")
    plan = StopPlan(stop(Level.HALT), closing=closing)

    steps = advance(look(0.0, 0, one, msgspec.structs.replace(other, permanent_id=5, client_id=2)), closing, plan)

    assert steps == [CancelEverything()]


@pytest.mark.parametrize("protects", [False, True])
def test_an_order_that_tws_lets_nobody_else_cancel_is_alerted_at_once(protects: bool, closing: ClosingOrders) -> None:
    """With no protective order beside it everything is cancelled in its place."""
    opening, protective = order(50, number=1), order(-100, number=2)
    orders = (opening, protective) if protects else (opening,)
    plan = StopPlan(stop(Level.HALT), closing=closing)
    first = advance(look(0.0, 100, *orders), closing, plan)
    plan.not_found(1)

    at_once = advance(look(0.2, 100, *orders), closing, plan)

    assert first == [CancelOrder(opening)]
    assert "Cross-abc.1 of client 1 (10147)" in next(step.text for step in at_once if isinstance(step, AlertPerson))
    assert (CancelEverything() in at_once) is not protects


def test_an_order_that_has_ended_before_its_cancel_is_no_fault(closing: ClosingOrders) -> None:
    plan = StopPlan(stop(Level.HALT), closing=closing)
    advance(look(0.0, 100, order(50, number=1)), closing, plan)
    plan.not_found(1)

    assert advance(look(0.2, 150), closing, plan) == []


def shares(held: float, *, counted: dict[str, float | None] | None = None) -> RunShares:
    """Return what the run Cross-abc holds."""
    basis = ShareBasis(held={CON_ID: held}, counted=counted or {})
    return RunShares(basis, runs=["Cross-abc"], closing=[reference_of(stop(Level.FLATTEN, "Cross-abc"))])


def test_a_stop_of_one_run_leaves_the_orders_and_the_part_of_others(closing: ClosingOrders) -> None:
    """The account holds 100, of which the run Cross-abc has 30; another run's stop works on."""
    plan = StopPlan(
        stop(Level.FLATTEN, "Cross-abc"), baselines={CON_ID: (100.0, 0.0)}, shares=shares(30.0), closing=closing
    )
    other = order(-70, number=2, reference="Other-x.1")
    plan.begin(0)
    first = advance(look(0.0, 100, order(-30), other), closing, plan)
    advance(look(0.2, 100, other), closing, plan)
    [sold] = reductions(advance(look(0.7, 100, other), closing, plan))
    done = (Execution("e1.01", CON_ID, -30.0, sold.reference),)
    for at in (1.0, 1.5, 2.0):
        advance(look(at, 70, other, executions=done), closing, plan)

    assert first == [CancelOrder(order(-30))]
    assert sold.quantity == -30.0
    assert plan.done


def test_what_a_run_trades_while_its_orders_are_cancelled_is_in_its_share(closing: ClosingOrders) -> None:
    """It held 30; 20 of its exit filled before the cancel, so 10 are its own; the other 70 are another run's."""
    plan = StopPlan(
        stop(Level.FLATTEN, "Cross-abc"), baselines={CON_ID: (100.0, 0.0)}, shares=shares(30.0), closing=closing
    )
    late = (Execution("e1.01", CON_ID, -20.0, "Cross-abc.1"),)
    advance(look(0.0, 100, order(-30)), closing, plan)
    advance(look(0.2, 80, executions=late), closing, plan)

    [sold] = reductions(advance(look(0.7, 80, executions=late), closing, plan))

    assert sold.quantity == -10.0


def test_what_an_earlier_process_has_closed_of_a_run_is_not_closed_again(closing: ClosingOrders) -> None:
    """It held 30 of 100; 30 were sold under a reference of this stop before the guardian was killed."""
    done = (Execution("e1.01", CON_ID, -30.0, "guardian-20261130-120000-guardian-1-5.1"),)
    plan = StopPlan(
        stop(Level.FLATTEN, "Cross-abc"),
        attempt=6,
        baselines={CON_ID: (70.0, -30.0)},
        shares=shares(30.0),
        closing=closing,
    )

    steps = [step for tenth in range(30) for step in advance(look(tenth / 10, 70, executions=done), closing, plan)]

    assert (steps, plan.done) == ([], True)


def test_a_run_whose_share_is_unknown_is_alerted_and_never_done(closing: ClosingOrders) -> None:
    plan = StopPlan(stop(Level.FLATTEN, "Cross-abc"), baselines={CON_ID: (100.0, 0.0)}, closing=closing)

    steps = [step for tenth in range(300) for step in advance(look(tenth / 10, 100), closing, plan)]

    assert [type(step) for step in steps] == [AlertPerson]
    assert not plan.done


def test_two_plans_do_not_close_one_position_twice(closing: ClosingOrders) -> None:
    """A run's 30 are being sold when a person flattens all 100: 70 remain to be sold."""
    run = StopPlan(
        stop(Level.FLATTEN, "Cross-abc"), baselines={CON_ID: (100.0, 0.0)}, shares=shares(30.0), closing=closing
    )
    advance(look(0.0, 100), closing, run)
    [part] = reductions(advance(look(0.5, 100), closing, run))
    whole = StopPlan(
        Stop(id="h-2", level=Level.FLATTEN, cause="person", reason="", by="", at_ns=0),
        baselines={CON_ID: (100.0, 0.0)},
        closing=closing,
    )
    early = [step for tenth in range(6, 40) for step in advance(look(tenth / 10, 100), closing, whole)]
    filled = (Execution("e1.01", CON_ID, part.quantity, part.reference),)

    late = [
        step for tenth in range(40, 50) for step in advance(look(tenth / 10, 70, executions=filled), closing, whole)
    ]

    assert (part.quantity, reductions(early)) == (-30.0, [])
    assert [sold.quantity for sold in reductions(late)] == [-70.0]


def test_an_order_of_an_abandoned_stop_is_cancelled_by_the_next_one(closing: ClosingOrders) -> None:
    first = StopPlan(stop(Level.FLATTEN), baselines={CON_ID: (100.0, 0.0)}, closing=closing)
    advance(look(0.0, 100), closing, first)
    [sold] = reductions(advance(look(0.5, 100), closing, first))
    closing.disown(sold.reference)
    second = StopPlan(Stop(id="h-2", level=Level.CANCEL, cause="person", reason="", by="", at_ns=0), closing=closing)

    invisible = [advance(look(tenth / 10, 100), closing, second) and second.done for tenth in range(6, 20)]
    steps = advance(look(2.0, 100, order(-100, reference=sold.reference)), closing, second)

    assert not any(invisible)
    assert CancelEverything() in steps


# ---- laws ---------------------------------------------------------------------------------------------------------


class Chance:
    """Draws what the venue does next."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def whole(self, low: int, high: int) -> int:
        return self._random.randint(low, high)

    def happens(self, one_in: int) -> bool:
        return self.whole(1, one_in) == 1


def fill_some(venue: Venue, chance: Chance, *, is_wild: bool) -> None:
    """Fill what works: all of it, or while it is wild a part of some."""
    for live in list(venue.orders):
        if is_wild and not chance.happens(3):
            continue
        venue.fill(live, live.order.remaining if not is_wild or chance.happens(2) else chance.whole(1, 40))


def look_and_act(venue: Venue, plans: list[StopPlan], chance: Chance, *, closing: ClosingOrders, is_wild: bool) -> None:
    """Let the plans look, and do what they want; while it is wild orders are lost, refused or slow."""
    seen = venue.look()
    venue.do(advance(seen, closing), cancel_ns=chance.whole(0, 15) * TENTH if is_wild else 0)
    for each in plans:
        steps = each.look(seen)
        refused = is_wild and chance.happens(8)
        venue.do(
            steps,
            cancel_ns=chance.whole(0, 15) * TENTH if is_wild else 0,
            loses_order=refused or (is_wild and chance.happens(8)),
            taken_ns=chance.whole(1, 250) * TENTH if is_wild and chance.happens(4) else 0,
        )
        for step in reductions(steps):
            if refused:
                refuse(step.reference, "no (201)", venue.now_ns, closing, each)
        if is_wild and chance.happens(20):
            each.lost()


def run_until_flat(
    venue: Venue, plan: StopPlan, chance: Chance, *, closing: ClosingOrders, by_hand: bool = False,
    second: StopPlan | None = None, faults_for: int = 60,
) -> None:  # fmt: skip
    """Look every fifth of a second; for so many looks anything may happen, then the venue does what it is told.

    The `second` plan begins at any moment of that, and works beside the first.
    """
    venue.do(plan.begin(venue.now_ns), cancel_ns=chance.whole(0, 10) * TENTH)
    plans, begins = [plan], chance.whole(0, faults_for)
    for turn in range(faults_for + 500):
        is_wild = turn < faults_for
        if second is not None and turn == begins:
            plans.append(second)
            venue.do(second.begin(venue.now_ns), cancel_ns=chance.whole(0, 10) * TENTH)
        fill_some(venue, chance, is_wild=is_wild)
        if is_wild and by_hand and chance.happens(10):
            venue.trade_by_hand(float(chance.whole(-60, 60)))
        look_and_act(venue, plans, chance, closing=closing, is_wild=is_wild)
        while venue.answers:
            reference, filled = venue.answers.pop()
            # The answer may be lost with the connection; the next cancel has another one.
            if not (is_wild and chance.happens(8)):
                closing.report(reference, filled)
                closing.end(reference, is_filled=False)
        # What a person did last must have had the time to show.
        if all(each.done for each in plans) and turn > faults_for + 10:
            return
        venue.pass_time(chance.whole(1, 4) * TENTH if is_wild else 2 * TENTH)


@settings(max_examples=300)
@given(st.integers(0, 2**32))
def test_no_order_of_the_guardian_turns_a_position_round(seed: int) -> None:
    """Over any interleaving of fills, cancels, refusals, lost and slow orders, and answers that lag."""
    chance = Chance(seed)
    held = float(chance.whole(-100, 100))
    venue = Venue(held, position_lag_ns=chance.whole(0, 15) * TENTH, execution_lag_ns=chance.whole(0, 3) * TENTH)
    venue.own_lag_ns = chance.whole(0, 15) * TENTH
    for number in range(chance.whole(0, 3)):
        venue.enter(float(chance.whole(1, 120) * (1 if chance.happens(2) else -1)), f"Cross-abc.{number}")
    knows = chance.happens(2)
    closing = ClosingOrders()
    plan = StopPlan(stop(Level.FLATTEN), baselines={CON_ID: (held, 0.0)} if knows else None, closing=closing)

    run_until_flat(venue, plan, chance, closing=closing)

    assert venue.turned == []
    assert plan.done
    assert (venue.held, venue.orders) == (0.0, [])


@settings(max_examples=300)
@given(st.integers(0, 2**32))
def test_a_stop_of_the_account_beside_one_of_a_run_turns_nothing_round(seed: int) -> None:
    """Both close the one position; a run's part first or later, whatever is lost or slow."""
    chance = Chance(seed)
    held = float(chance.whole(-100, 100))
    venue = Venue(held, position_lag_ns=chance.whole(0, 15) * TENTH, execution_lag_ns=chance.whole(0, 3) * TENTH)
    venue.own_lag_ns = chance.whole(0, 15) * TENTH
    for number in range(chance.whole(0, 3)):
        venue.enter(float(chance.whole(1, 120) * (1 if chance.happens(2) else -1)), f"Cross-abc.{number}")
    closing = ClosingOrders()
    run = StopPlan(
        stop(Level.FLATTEN, "Cross-abc"),
        attempt=1,
        baselines={CON_ID: (held, 0.0)},
        shares=shares(float(chance.whole(-120, 120))),
        closing=closing,
    )
    whole = StopPlan(
        Stop(id="h-2", level=Level.FLATTEN, cause="person", reason="", by="", at_ns=0),
        attempt=2,
        baselines={CON_ID: (held, 0.0)} if chance.happens(2) else None,
        closing=closing,
    )

    run_until_flat(venue, run, chance, closing=closing, second=whole)

    assert venue.turned == []
    assert (run.done, whole.done) == (True, True)
    assert (venue.held, venue.orders) == (0.0, [])


@settings(max_examples=300)
@given(st.integers(0, 2**32))
def test_a_stop_of_a_run_closes_its_part_and_no_more(seed: int) -> None:
    """Another run holds the rest of the same instrument, and does not trade meanwhile."""
    chance = Chance(seed)
    part, rest = float(chance.whole(-100, 100)), float(chance.whole(-100, 100))
    venue = Venue(part + rest, position_lag_ns=chance.whole(0, 15) * TENTH, execution_lag_ns=chance.whole(0, 3) * TENTH)
    venue.own_lag_ns = chance.whole(0, 15) * TENTH
    for number in range(chance.whole(0, 3)):
        venue.enter(float(chance.whole(1, 120) * (1 if chance.happens(2) else -1)), f"Cross-abc.{number}")
    closing = ClosingOrders()
    plan = StopPlan(
        stop(Level.FLATTEN, "Cross-abc"), baselines={CON_ID: (part + rest, 0.0)}, shares=shares(part), closing=closing
    )

    run_until_flat(venue, plan, chance, closing=closing)

    own = [done.quantity for _, done in venue.executions if done.reference.startswith("Cross-abc")]
    closed = [done.quantity for _, done in venue.executions if done.reference.startswith("guardian-")]
    left = part + sum(own) + sum(closed)
    assert venue.turned == []
    assert plan.done
    # What other runs hold the opposite of cannot be closed beyond what the account holds net.
    assert left == 0.0 or left * venue.held <= 0.0


@settings(max_examples=200)
@given(st.integers(0, 2**32))
def test_an_account_that_a_person_trades_meanwhile_ends_flat(seed: int) -> None:
    """Each order is for no more than was held, in that direction, within the two seconds before."""
    chance = Chance(seed)
    venue = Venue(float(chance.whole(-100, 100)), position_lag_ns=chance.whole(0, 10) * TENTH)
    closing = ClosingOrders()
    plan = StopPlan(stop(Level.FLATTEN), baselines={CON_ID: (venue.held, 0.0)}, closing=closing)

    run_until_flat(venue, plan, chance, closing=closing, by_hand=True)

    assert plan.done
    assert venue.held == 0.0
    held = {quantity for _, quantity in venue.history}
    for sold in venue.sent:
        assert any(quantity * sold.quantity < 0 and abs(sold.quantity) <= abs(quantity) for quantity in held)


def test_the_smaller_figure_counts_where_position_and_executions_disagree(closing: ClosingOrders) -> None:
    """TWS says 100, executions lead to 60, for more than ten seconds: 60 are sold and a person is told."""
    plan = StopPlan(stop(Level.FLATTEN), baselines={CON_ID: (100.0, 0.0)}, closing=closing)
    done = (Execution("e1.01", CON_ID, -40.0, "Cross-abc.1"),)
    steps = [step for tenth in range(108) for step in advance(look(tenth / 10, 100, executions=done), closing, plan)]

    assert [sold.quantity for sold in reductions(steps)] == [-60.0]
    assert len([step for step in steps if isinstance(step, AlertPerson)]) == 1


@pytest.mark.parametrize("name", sorted(ReductionTimings.__struct_fields__))
def test_every_wait_is_bounded(name: str) -> None:
    assert 0 < getattr(ReductionTimings(), name) <= 30.0
