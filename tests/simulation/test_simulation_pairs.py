"""What two orders that protect one position may hold beyond zero, and for how long that is excused."""

from __future__ import annotations

import itertools

import pytest

from ibdesk.simulation.pair_checks import PairChecks
from ibdesk.simulation.truth import Executed, Truth

RUN, SYMBOL = "Bracket-toyn01", "AAPL"


class Venue:
    """Executes what a test says, and has the pairs looked at."""

    def __init__(self, *, can_withdraw: bool = False) -> None:
        self.truth = Truth()
        self.pairs = PairChecks(self.truth, lambda _owner, _since_ns: can_withdraw)
        self._numbers = itertools.count(1)

    def comes(self, order: int, quantity: float) -> None:
        self.pairs.comes(f"{RUN}.{order}", SYMBOL, quantity)

    def fills(self, order: int, quantity: float) -> float:
        """Fill an order, and return what is excused from then on."""
        name = str(next(self._numbers))
        executed = Executed(name, f"{name}.01", f"{RUN}.{order}", 5, SYMBOL, quantity, 230.0, 0)
        self.truth.executions[name] = executed
        self.pairs.executed(executed)
        return self.pairs.excess(SYMBOL)


@pytest.fixture
def venue() -> Venue:
    """Return a venue at which a run holds 4, protected by a limit (2) and a stop (3)."""
    return protected(Venue())


def protected(venue: Venue) -> Venue:
    venue.comes(1, 4)
    venue.fills(1, 4)
    venue.comes(2, -4)
    venue.comes(3, -4)
    return venue


def test_what_the_second_of_a_pair_holds_beyond_zero_is_excused_until_it_is_closed(venue: Venue) -> None:
    assert venue.fills(2, -4) == 0
    assert venue.fills(3, -3) == -3
    assert venue.fills(3, -1) == -4

    venue.comes(4, 1)
    assert venue.fills(4, 1) == -3
    venue.comes(5, 9)
    assert venue.fills(5, 9) == 0


def test_an_order_that_opens_is_not_excused(venue: Venue) -> None:
    venue.comes(4, -6)

    assert venue.fills(2, -4) == 0
    assert venue.fills(4, -6) == 0


def test_no_more_is_excused_than_the_other_order_has_filled(venue: Venue) -> None:
    assert venue.fills(2, -1) == 0
    assert venue.fills(3, -4) == -1
    # Something else has taken the run farther below zero.
    assert venue.fills(9, -5) == -1


def test_nothing_is_excused_once_the_run_could_have_withdrawn_the_second() -> None:
    venue = protected(Venue(can_withdraw=True))

    assert venue.fills(2, -4) == 0
    assert venue.fills(3, -4) == 0
