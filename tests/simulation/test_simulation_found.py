"""What simulations have found, each as a plan of its own: it holds whatever seeds draw later."""

from __future__ import annotations

import pytest

from ibdesk.simulation.plan import FillDisk, Plan
from ibdesk.simulation.world import simulate


@pytest.mark.timeout(200)
def test_a_desk_lives_on_when_the_disk_is_full_as_an_order_leaves() -> None:
    """The halt for the full disk withdraws the order that was withheld for it: TWS has no such order."""
    plan = Plan(seed=12, strategies=("Flicker", "Trend"), steps=(FillDisk(at=4.5, seconds=8.5),))

    outcome = simulate(plan)

    assert outcome.violation is None
    assert outcome.lives == 1
