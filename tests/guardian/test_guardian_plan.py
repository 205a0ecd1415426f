"""A stop is carried out by evidence: cancel, wait for the answer, reduce by what is held, never through zero."""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.guardian.venue import CON_ID, SECOND, Venue

from ibdesk.guardian.account import Execution, Look, WorkingOrder
from ibdesk.guardian.plan import CancelEverything, CancelOrder, CancelOwn, Reduce, Step, StopPlan, Tell
from ibdesk.guardian.reduction import Patience
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


def look(at: float, held: float, *orders: WorkingOrder, executions: tuple[Execution, ...] = ()) -> Look:
    holdings = {CON_ID: held} if held else {}
    return Look(asked_ns=int(at * SECOND), holdings=holdings, orders=orders, executions=executions)


def reductions(steps: Sequence[Step]) -> list[Reduce]:
    return [step for step in steps if isinstance(step, Reduce)]


# ---- the order of things ------------------------------------------------------------------------------------------


def test_nothing_is_sold_while_an_order_works() -> None:
    plan = StopPlan(stop(Level.FLATTEN), baselines={CON_ID: (100.0, 0.0)})

    steps = [step for tenth in range(100) for step in plan.look(look(tenth / 10, 100, order(-100)))]

    assert CancelEverything() in steps
    assert reductions(steps) == []


def test_what_is_held_is_sold_once_no_order_has_worked_for_a_while() -> None:
    plan = StopPlan(stop(Level.FLATTEN), baselines={CON_ID: (100.0, 0.0)})
    plan.begin(0)
    plan.look(look(0.0, 100, order(-100)))
    first = plan.look(look(0.2, 100))
    second = plan.look(look(0.4, 100))

    third = plan.look(look(0.7, 100))

    assert reductions(first + second) == []
    assert [(sold.con_id, sold.quantity) for sold in reductions(third)] == [(CON_ID, -100.0)]


def test_a_late_fill_of_a_cancelled_order_is_not_sold_again() -> None:
    """The stop filled 60 of 100 just before the cancel: 40 are held, and TWS's position still says 100."""
    plan = StopPlan(stop(Level.FLATTEN), baselines={CON_ID: (100.0, 0.0)})
    late = (Execution("e1.01", CON_ID, -60.0, "Cross-abc.1"),)
    steps = [step for tenth in range(50) for step in plan.look(look(tenth / 10, 100, executions=late))]

    told = plan.look(look(5.1, 40, executions=late)) + plan.look(look(5.6, 40, executions=late))

    assert reductions(steps) == []
    assert [sold.quantity for sold in reductions(told)] == [-40.0]


def test_the_next_order_waits_until_the_fills_show_in_the_position() -> None:
    plan = StopPlan(stop(Level.FLATTEN), baselines={CON_ID: (100.0, 0.0)})
    plan.look(look(0.0, 100))
    [sold] = reductions(plan.look(look(0.5, 100)))
    part = (Execution("e1.01", CON_ID, -30.0, sold.reference),)
    working = order(-70, reference=sold.reference)

    while_working = plan.look(look(1.0, 70, working, executions=part))
    stale = [step for tenth in range(5, 20) for step in plan.look(look(1 + tenth / 10, 100, executions=part))]
    fresh = plan.look(look(3.1, 70, executions=part)) + plan.look(look(3.6, 70, executions=part))

    assert reductions(while_working + stale) == []
    assert [again.quantity for again in reductions(fresh)] == [-70.0]


def test_a_short_position_is_bought_back() -> None:
    plan = StopPlan(stop(Level.FLATTEN), baselines={CON_ID: (-5.0, 0.0)})
    plan.look(look(0.0, -5))

    [bought] = reductions(plan.look(look(0.5, -5)))

    assert bought.quantity == 5.0


def test_it_is_done_when_two_looks_show_nothing() -> None:
    plan = StopPlan(stop(Level.FLATTEN))
    plan.begin(0)
    plan.look(look(0.0, 0))
    first = plan.done

    plan.look(look(0.5, 0))

    assert (first, plan.done) == (False, True)


def test_without_an_earlier_agreement_executions_must_have_been_quiet() -> None:
    """A guardian that has just been started has nothing to check a position against but time without news."""
    plan = StopPlan(stop(Level.FLATTEN))
    news = (Execution("e1.01", CON_ID, 100.0, "Cross-abc.1"),)
    early = [step for tenth in range(19) for step in plan.look(look(tenth / 10, 100, executions=news))]

    later = plan.look(look(2.1, 100, executions=news))

    assert reductions(early) == []
    assert [sold.quantity for sold in reductions(later)] == [-100.0]


# ---- what goes wrong ----------------------------------------------------------------------------------------------


def test_a_refused_order_is_tried_again_after_a_pause_and_alerted_at_the_third() -> None:
    plan = StopPlan(stop(Level.FLATTEN), baselines={CON_ID: (100.0, 0.0)})
    sent: list[float] = []
    told: list[Step] = []
    for tenth in range(100):
        at_ns = tenth * TENTH
        steps = plan.look(look(tenth / 10, 100))
        for step in reductions(steps):
            sent.append(tenth / 10)
            told += plan.refused(step.reference, "no margin (201)", at_ns)

    # Half a second to settle, then pauses of 0.5, 1, 2 and 4 s; each refusal also needs 0.4 s to be settled.
    assert sent == [0.4, 0.9, 1.9, 3.9, 7.9]
    assert [step.text.partition(" orders")[0] for step in told if isinstance(step, Tell)] == ["TWS has refused 3"]


def test_an_order_that_tws_shows_nowhere_is_cancelled_before_it_is_repeated() -> None:
    plan = StopPlan(stop(Level.FLATTEN), baselines={CON_ID: (100.0, 0.0)})
    taken: list[tuple[float, str]] = []
    for tenth in range(100):
        taken += [(tenth / 10, type(step).__name__) for step in plan.look(look(tenth / 10, 100))]

    assert [(at, what) for at, what in taken if what != "Tell"] == [
        (0.4, "Reduce"), (5.4, "CancelOwn"), (5.9, "Reduce"),
    ]  # fmt: skip


def test_an_order_that_does_not_go_is_alerted_once_and_cancelled_again() -> None:
    plan = StopPlan(stop(Level.CANCEL))
    steps = [step for tenth in range(150) for step in plan.look(look(tenth / 10, 0, order(50)))]

    assert steps.count(CancelEverything()) == 15
    assert len([step for step in steps if isinstance(step, Tell)]) == 1
    assert not plan.done


def test_after_a_broken_connection_two_looks_behind_it_are_compared() -> None:
    plan = StopPlan(stop(Level.FLATTEN), baselines={CON_ID: (100.0, 0.0)})
    plan.look(look(0.0, 100))
    plan.lost()

    after = plan.look(look(9.0, 100))

    assert reductions(after) == []


def test_a_stop_that_is_abandoned_takes_its_order_back() -> None:
    plan = StopPlan(stop(Level.FLATTEN), baselines={CON_ID: (100.0, 0.0)})
    before = plan.abandon()
    plan.look(look(0.0, 100))
    [sold] = reductions(plan.look(look(0.5, 100)))

    assert (before, plan.abandon()) == ([], [CancelOwn(sold.reference)])


# ---- how far a stop goes ------------------------------------------------------------------------------------------


def test_a_halt_cancels_what_opens_and_keeps_what_protects() -> None:
    opening, protective, larger = order(50, number=1), order(-100, number=2), order(-101, number=3)
    plan = StopPlan(stop(Level.HALT))
    began = plan.begin(0)

    steps = plan.look(look(0.0, 100, opening, protective, larger))

    assert began == []
    assert steps == [CancelOrder(opening), CancelOrder(larger)]


def test_orders_with_one_number_are_not_cancelled_one_by_one() -> None:
    """Numbers are per client: TWS would take the cancel for the first of them."""
    opening, protective = order(50, number=7), order(-100, number=7, reference="Other-x.1")
    plan = StopPlan(stop(Level.HALT))

    steps = plan.look(look(0.0, 100, opening, msgspec.structs.replace(protective, permanent_id=5, client_id=2)))

    assert [type(step) for step in steps] == [Tell]


def test_orders_with_one_number_all_go_where_none_protects() -> None:
    one, other = order(50, number=7), order(60, number=7, reference="Other-x.1")
    plan = StopPlan(stop(Level.HALT))

    steps = plan.look(look(0.0, 0, one, msgspec.structs.replace(other, permanent_id=5, client_id=2)))

    assert steps == [CancelEverything()]


def test_a_stop_of_one_run_leaves_the_orders_and_the_part_of_others() -> None:
    """The account holds 100, of which the run Cross-abc has 30; another run's stop works on."""
    plan = StopPlan(stop(Level.FLATTEN, "Cross-abc"), baselines={CON_ID: (100.0, 0.0)}, shares={CON_ID: 30.0})
    other = order(-70, number=2, reference="Other-x.1")
    plan.begin(0)
    first = plan.look(look(0.0, 100, order(-30), other))
    plan.look(look(0.2, 100, other))
    [sold] = reductions(plan.look(look(0.7, 100, other)))
    done = (Execution("e1.01", CON_ID, -30.0, sold.reference),)
    for at in (1.0, 1.5, 2.0):
        plan.look(look(at, 70, other, executions=done))

    assert first == [CancelOrder(order(-30))]
    assert sold.quantity == -30.0
    assert plan.done


# ---- laws ---------------------------------------------------------------------------------------------------------


class Chance:
    """Draws what the venue does next."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def whole(self, low: int, high: int) -> int:
        return self._random.randint(low, high)

    def happens(self, one_in: int) -> bool:
        return self.whole(1, one_in) == 1


def run_until_flat(venue: Venue, plan: StopPlan, chance: Chance, *, by_hand: bool, faults_for: int = 60) -> None:
    """Look every fifth of a second; for so many looks anything may happen, then the venue does what it is told."""
    venue.do(plan.begin(venue.now_ns), cancel_ns=chance.whole(0, 10) * TENTH)
    for turn in range(faults_for + 300):
        is_wild = turn < faults_for
        for live in list(venue.orders):
            if is_wild and not chance.happens(3):
                continue
            venue.fill(live, live.order.remaining if not is_wild or chance.happens(2) else chance.whole(1, 40))
        if is_wild and by_hand and chance.happens(10):
            venue.trade_by_hand(float(chance.whole(-60, 60)))
        steps = plan.look(venue.look())
        loses = is_wild and chance.happens(8)
        refused = is_wild and chance.happens(8)
        venue.do(steps, cancel_ns=chance.whole(0, 15) * TENTH if is_wild else 0, loses_order=loses or refused)
        for step in reductions(steps):
            if refused:
                plan.refused(step.reference, "no (201)", venue.now_ns)
        if is_wild and chance.happens(20):
            plan.lost()
        # What a person did last must have had the time to show.
        if plan.done and turn > faults_for + 10:
            return
        venue.pass_time(chance.whole(1, 4) * TENTH if is_wild else 2 * TENTH)


@settings(max_examples=300)
@given(st.integers(0, 2**32))
def test_no_order_of_the_guardian_turns_a_position_round(seed: int) -> None:
    """Over any interleaving of fills, cancels, refusals, lost orders and answers that lag."""
    chance = Chance(seed)
    held = float(chance.whole(-100, 100))
    venue = Venue(held, position_lag_ns=chance.whole(0, 15) * TENTH, execution_lag_ns=chance.whole(0, 3) * TENTH)
    for number in range(chance.whole(0, 3)):
        venue.enter(float(chance.whole(1, 120) * (1 if chance.happens(2) else -1)), f"Cross-abc.{number}")
    knows = chance.happens(2)
    plan = StopPlan(stop(Level.FLATTEN), baselines={CON_ID: (held, 0.0)} if knows else None)

    run_until_flat(venue, plan, chance, by_hand=False)

    assert venue.turned == []
    assert plan.done
    assert (venue.held, venue.orders) == (0.0, [])


@settings(max_examples=200)
@given(st.integers(0, 2**32))
def test_an_account_that_a_person_trades_meanwhile_ends_flat(seed: int) -> None:
    """Each order is for no more than was held, in that direction, within the two seconds before."""
    chance = Chance(seed)
    venue = Venue(float(chance.whole(-100, 100)), position_lag_ns=chance.whole(0, 10) * TENTH)
    plan = StopPlan(stop(Level.FLATTEN), baselines={CON_ID: (venue.held, 0.0)})

    run_until_flat(venue, plan, chance, by_hand=True)

    assert plan.done
    assert venue.held == 0.0
    held = {quantity for _, quantity in venue.history}
    for sold in venue.sent:
        assert any(quantity * sold.quantity < 0 and abs(sold.quantity) <= abs(quantity) for quantity in held)


def test_the_smaller_figure_counts_where_position_and_executions_disagree() -> None:
    """TWS says 100, executions lead to 60, for more than ten seconds: 60 are sold and a person is told."""
    plan = StopPlan(stop(Level.FLATTEN), baselines={CON_ID: (100.0, 0.0)})
    done = (Execution("e1.01", CON_ID, -40.0, "Cross-abc.1"),)
    steps = [step for tenth in range(108) for step in plan.look(look(tenth / 10, 100, executions=done))]

    assert [sold.quantity for sold in reductions(steps)] == [-60.0]
    assert len([step for step in steps if isinstance(step, Tell)]) == 1


@pytest.mark.parametrize("name", sorted(Patience.__struct_fields__))
def test_every_wait_is_bounded(name: str) -> None:
    assert 0 < getattr(Patience(), name) <= 30.0
