"""A failing plan is made small, and its command shows it again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.cli.simulation import seeds_of
from ibdesk.errors import ConfigError
from ibdesk.simulation.campaign import command_of, kept, shrink
from ibdesk.simulation.checker import Violation
from ibdesk.simulation.plan import Halt, Plan
from ibdesk.simulation.world import SeedResult


def plan(steps: int) -> Plan:
    return Plan(seed=17, strategies=("Swing",), steps=tuple(Halt(at=float(each)) for each in range(1, steps + 1)))


def outcome(of: Plan, *, broken: bool, at: float = 41.2) -> SeedResult:
    violation = Violation(at, "a promise", "the facts") if broken else None
    return SeedResult(plan=of, violation=violation, trace="", seconds=at, orders=0, executions=0, generations=1)


@given(st.integers(1, 20).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(1, n), max_size=3))))
def test_only_the_steps_that_are_needed_are_left(case: tuple[int, set[int]]) -> None:
    count, needed = case

    def run(tried: Plan) -> SeedResult:
        return outcome(tried, broken=needed <= {int(step.at) for step in tried.steps})

    numbers, smallest = shrink(plan(count), "a promise", run=run)

    assert set(numbers) == needed
    assert smallest is None or {int(step.at) for step in smallest.plan.steps} == needed


def test_steps_are_kept_by_their_numbers() -> None:
    assert [step.at for step in kept(plan(4), [2, 4]).steps] == [2.0, 4.0]


def test_a_violation_is_shown_again_by_one_command() -> None:
    assert command_of(outcome(plan(3), broken=True)) == "ibdesk simulate --seeds 17 --until 42"
    assert command_of(outcome(plan(3), broken=True), [2, 3]) == "ibdesk simulate --seeds 17 --until 42 --keep 2,3"
    assert command_of(outcome(plan(3), broken=True), []) == "ibdesk simulate --seeds 17 --until 42 --keep none"


def test_a_violation_at_the_end_is_shown_by_the_whole() -> None:
    assert command_of(outcome(plan(3), broken=True, at=120)) == "ibdesk simulate --seeds 17"


def test_seeds_are_a_number_or_a_range() -> None:
    assert seeds_of("17") == range(17, 18)
    assert seeds_of("0:1000") == range(1000)


@pytest.mark.parametrize("text", ["", "a", "5:5", "9:3", "-1", "1:2:3"])
def test_what_is_no_range_of_seeds_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="0:1000"):
        seeds_of(text)
