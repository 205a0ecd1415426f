"""Errors keep their facts through pickling; clocks only go forward."""

from __future__ import annotations

import itertools
import math
import pickle

import pytest

from ibdesk import errors
from ibdesk.clock import ManualClock, ScaledClock, SystemClock, machine_time
from ibdesk.errors import IbdeskError

WITH_FACTS = {
    errors.OrderDeniedError: ("r.1", "max_position_shares", 100.0, 250.0),
    errors.UnlistedFutureError: ("XYZ", "202612", ("exchange", "tick_size")),
    errors.LookAheadError: ("EmaCross", "fast", "AAPL", 3, "2026-03-05", 1.5, None),
    errors.ClientIdInUseError: (7, "127.0.0.1:4002"),
    errors.ReplayMismatchError: (12, "nothing", "PlaceOrder"),
    errors.ChildError: ("web worker 1", -9, ""),
    errors.DetachedError: ("unix:/run/desk.sock", "the connection broke"),
    errors.OutcomeUnknownError: ("unix:/run/desk.sock", "no answer within 17 s"),
    errors.CommandExpiredError: ("place", 14.2),
    errors.NotLeadingError: ("paper", 7, "engine-2"),
    errors.AddressInUseError: ("127.0.0.1", 8000, "--port"),
}
KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, IbdeskError)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_survives_a_pickle_with_its_facts(kind: type[IbdeskError]) -> None:
    error = kind(*WITH_FACTS.get(kind, ("the thing is wrong: do this",)))

    again = pickle.loads(pickle.dumps(error))

    assert type(again) is kind
    assert (str(again), vars(again)) == (str(error), vars(error))
    assert "\n" not in str(error)


def test_a_denied_order_names_rule_limit_and_figure() -> None:
    error = errors.OrderDeniedError("r.1", "max_position_shares", 100.0, 250.0)

    assert str(error) == "order r.1 denied: max_position_shares allows 100 shares, asked 250"


def test_the_tree_in_the_documentation_is_the_tree() -> None:
    assert {kind.__name__ for kind in KINDS} <= set(errors.__doc__.replace("─", " ").split())


def test_a_scaled_clock_runs_faster_than_the_wall_and_never_back() -> None:
    clock, wall = ScaledClock(1_000, 50.0), SystemClock()
    began, times = wall.now_ns(), [clock.now_ns()]

    while times[-1] < 1_000 + 1_000_000_000:
        times.append(clock.now_ns())

    assert all(before <= now for before, now in itertools.pairwise(times))
    # A second of it is 20 ms of the wall.
    assert wall.now_ns() - began >= 19_000_000


@pytest.mark.parametrize("speed", [0.0, -1.0, math.nan, math.inf])
def test_a_clock_needs_a_speed(speed: float) -> None:
    with pytest.raises(ValueError, match="speed must be positive"):
        ScaledClock(0, speed)


def test_a_manual_clock_only_goes_forward() -> None:
    clock = ManualClock(10)
    clock.advance(5)

    assert clock.now_ns() == 15
    with pytest.raises(ValueError, match="can only be moved forward"):
        clock.advance(-1)


class Machine:
    """A machine whose clocks a test sets."""

    def __init__(self) -> None:
        self.wall, self.boot = 1_000_000, 500

    def wall_ns(self) -> int:
        return self.wall

    def monotonic_ns(self) -> int:
        return self.boot

    def boot_ns(self) -> int:
        return self.boot


def test_a_wall_that_is_set_back_slows_the_clock_down_until_it_has_caught_up() -> None:
    machine = Machine()
    with machine_time(machine):
        clock = SystemClock()
        shown = [clock.now_ns()]
        # Set back by 100; then time goes on by 20 at a time, of which the clock shows half.
        machine.wall -= 100
        for _ in range(12):
            machine.wall, machine.boot = machine.wall + 20, machine.boot + 20
            shown.append(clock.now_ns() - 1_000_000)

    # After nine steps the wall shows 80 too.
    assert shown[1:] == [10, 20, 30, 40, 50, 60, 70, 80, 80, 100, 120, 140]


def test_a_wall_that_is_set_forward_is_followed() -> None:
    machine = Machine()
    with machine_time(machine):
        clock = SystemClock()
        machine.wall += 3_600

        assert clock.now_ns() == 1_003_600
