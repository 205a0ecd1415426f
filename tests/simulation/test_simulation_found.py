"""What simulations have found, each as a plan of its own: it holds whatever seeds draw later."""

from __future__ import annotations

import msgspec
import pytest

from ibdesk.gateway.faults.late import LateAcknowledgement, LateSnapshot
from ibdesk.simulation.plan import (
    CutLink,
    FillDisk,
    HoldNetwork,
    Kill,
    Misbehave,
    Plan,
    Restart,
    Stall,
    StopAll,
    StopRun,
)
from ibdesk.simulation.world import simulate


@pytest.mark.timeout(200)
def test_a_desk_lives_on_when_the_disk_is_full_as_an_order_leaves() -> None:
    """The halt for the full disk withdraws the order that was withheld for it: TWS has no such order."""
    plan = Plan(seed=12, strategies=("Flicker", "Trend"), steps=(FillDisk(at=4.5, seconds=8.5),))

    outcome = simulate(plan)

    assert outcome.violation is None
    assert outcome.generations == 1


@pytest.mark.timeout(200)
def test_an_order_that_left_in_moments_lost_with_the_power_is_found_at_tws() -> None:
    """The record ends where the order waited for its turn; it left a moment later, and works at TWS."""
    power_loss = Kill(
        at=25.033, writes=0.91, piece=0.0, torn=0.143, is_power_loss=True, lost_seconds=4.341, silent_seconds=2.319
    )
    plan = Plan(
        seed=34,
        strategies=("Quoter", "Swing", "Trend"),
        steps=(power_loss,),
        yearly_volatility=0.5,
        latency_ns=(1_000_000, 150_000_000),
        risk={"max_position_shares": 5.0, "max_orders_per_second": 3.0},
    )

    assert simulate(plan).violation is None


@pytest.mark.timeout(200)
def test_a_desk_is_not_blamed_for_an_execution_that_tws_keeps_back_on_request() -> None:
    """What comes 8 s late, over a break of the link, is booked when it comes."""
    late = Misbehave(at=23.647, fault={"kind": "late_acknowledgement", "by_seconds": 8.0})
    plan = Plan(
        seed=121,
        strategies=("Swing",),
        steps=(late, CutLink(at=27.821)),
        latency_ns=(1_000_000, 150_000_000),
    )

    assert simulate(plan).violation is None


@pytest.mark.timeout(200)
def test_a_run_is_started_again_when_nobody_heard_that_it_is_to_stop() -> None:
    stop = StopRun(at=10.6, strategy="Flicker", flatten=True)
    plan = Plan(seed=132, strategies=("Flicker",), symbols=("AAPL",), steps=(Restart(at=10.0), stop))

    assert simulate(plan).violation is None


@pytest.mark.timeout(200)
def test_what_the_guardian_has_closed_a_strategy_does_not_open_the_other_way() -> None:
    """A run's exit left 2.6 s after the guardian had sold the position, before the desk knew of that trade."""
    plan = Plan(
        seed=57,
        strategies=("Flicker", "Quoter", "Trend"),
        steps=(CutLink(at=5.769),),
        partial=True,
        latency_ns=(20_000, 200_000),
        has_guardian=True,
        guardian_loss=8.88,
        risk={"max_orders_per_second": 3.0},
    )

    assert simulate(plan).violation is None


@pytest.mark.timeout(200)
def test_an_order_of_the_guardian_that_tws_tells_of_late_is_not_sent_again() -> None:
    """For 8 s TWS says nothing of its order, and reports positions as they were: it was sent again after 5.4 s."""
    snapshot, order = LateSnapshot(by_seconds=8, client=90), LateAcknowledgement(by_seconds=8, client=90)
    plan = Plan(
        seed=0,
        strategies=("Flicker", "Trend"),
        steps=(
            Misbehave(at=20.0, fault=msgspec.to_builtins(snapshot)),
            Misbehave(at=20.0, fault=msgspec.to_builtins(order)),
            StopAll(at=20.1, do="flatten"),
        ),
        has_guardian=True,
    )

    assert simulate(plan).violation is None


@pytest.mark.timeout(200)
def test_a_reference_is_free_again_when_its_order_was_refused_and_its_record_lost_with_the_power() -> None:
    """Nothing names the first order any more: no journal, and neither open nor completed orders nor executions."""
    power_loss = Kill(
        at=17.037, writes=0.0067, piece=1.0, torn=0.444, is_power_loss=True, lost_seconds=4.935, silent_seconds=13.694
    )
    plan = Plan(
        seed=1996,
        strategies=("Flicker",),
        steps=(
            Stall(at=16.758, process="desk", seconds=0.563),
            Misbehave(at=16.845, fault={"kind": "reject_next_order"}),
            power_loss,
        ),
        yearly_volatility=0.5,
    )

    assert simulate(plan).violation is None


@pytest.mark.timeout(200)
def test_a_limit_is_not_blamed_for_a_pair_that_is_filled_while_the_desk_stands_still() -> None:
    """The limit sold 4, the strategy could not withdraw the stop, and 7 s later that sold 4 as well."""
    plan = Plan(
        seed=2329,
        strategies=("Bracket", "Flicker", "Trend"),
        symbols=("AAPL",),
        steps=(
            Kill(at=13.503, writes=0.0045, piece=0.0, torn=0.175),
            HoldNetwork(at=17.638, seconds=8.461),
            Stall(at=27.948, process="desk", seconds=14.142),
        ),
        latency_ns=(1_000_000, 150_000_000),
        risk={"max_position_shares": 4.0},
    )

    assert simulate(plan).violation is None
