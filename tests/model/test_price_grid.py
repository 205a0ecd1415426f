"""Price grids: the step depends on the price, and a limit is never rounded against its owner."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.errors import InstrumentError
from ibdesk.model import Combination, Forex, Future, Option, Rounding, Stock, instrument_of
from ibdesk.model.price_grid import US_SHARE_INCREMENTS

UP, DOWN, NEAREST = Rounding.UP, Rounding.DOWN, Rounding.NEAREST
INDEX_OPTION = ((0.0, 0.05), (3.0, 0.1))


@pytest.mark.parametrize(
    ("price", "rounding", "rounded"),
    [
        (0.97765, DOWN, 0.9776),
        (0.98765, DOWN, 0.9876),
        (0.98765, UP, 0.9877),
        (1.0153, UP, 1.02),
        (1.0153, DOWN, 1.01),
        (0.99995, UP, 1.0),
        (1.005, DOWN, 1.0),
        (0.004, DOWN, 0.004),
        (0.00004, DOWN, 0.0),
        (0.1 + 0.2, UP, 0.3),
        (0.1 + 0.2, DOWN, 0.3),
        (99.99 + 0.01, DOWN, 100.0),
    ],
)
def test_a_us_share_moves_by_a_hundredth_of_a_cent_below_a_dollar(
    price: float, rounding: Rounding, rounded: float
) -> None:
    assert Stock("X").round_price(price, rounding) == rounded


@pytest.mark.parametrize(
    ("price", "rounding", "rounded"),
    [
        (5.05, DOWN, 5.0),
        (5.05, UP, 5.1),
        (5.05, NEAREST, 5.1),
        (2.97, DOWN, 2.95),
        (2.97, UP, 3.0),
        (3.04, DOWN, 3.0),
        (-5.05, DOWN, -5.1),
        (-5.05, UP, -5.0),
    ],
)
def test_an_option_on_an_index_moves_by_a_dime_from_three_dollars(
    price: float, rounding: Rounding, rounded: float
) -> None:
    option = instrument_of("SPXW-20240119-C-4500")

    assert option.increments == INDEX_OPTION
    assert option.round_price(price, rounding) == rounded


def test_an_edge_that_is_off_its_own_grid_is_no_price() -> None:
    odd = Stock("X", price_increments=((0.0, 0.3), (1.0, 0.4)))

    assert [odd.round_price(price, DOWN) for price in (1.0, 1.1, 1.2)] == [0.9, 0.9, 1.2]
    assert [odd.round_price(price, UP) for price in (0.91, 1.0, 1.3)] == [1.2, 1.2, 1.6]


grids = st.sampled_from(
    [
        *(((0.0, 0.01),), US_SHARE_INCREMENTS, INDEX_OPTION, ((0.0, 1 / 64),), ((0.0, 0.0000005),), ((0.0, 5.0),)),
        ((0.0, 0.001), (0.25, 0.005), (0.5, 0.01), (10.0, 0.02), (20.0, 0.05)),
        ((0.0, 0.3), (1.0, 0.4)),
    ]
)
prices = st.one_of(st.floats(-100_000, 100_000), st.integers(-(10**8), 10**8).map(lambda count: count / 10_000))


@given(grids, prices, st.sampled_from(Rounding))
def test_a_rounded_price_stays_where_it_is_and_lies_on_the_grid(grid, price: float, rounding: Rounding) -> None:
    instrument = Stock("X", price_increments=grid)

    rounded = instrument.round_price(price, rounding)

    assert {instrument.round_price(rounded, each) for each in Rounding} == {rounded}
    step = Fraction(str(instrument.tick_at(rounded)))
    assert (Fraction(str(rounded)) / step).denominator == 1


@given(grids, prices)
def test_rounding_down_and_up_never_pass_the_price_and_stay_within_a_step_of_it(grid, price: float) -> None:
    instrument = Stock("X", price_increments=grid)
    below, above = instrument.round_price(price, DOWN), instrument.round_price(price, UP)
    noise = 8 * math.ulp(price)

    assert below <= price + noise
    assert above >= price - noise
    widest = max(step for _, step in grid)
    assert max(price - below, above - price) < widest * 1.5
    assert instrument.round_price(price) in (below, above)


def test_what_may_be_worthless_has_no_lowest_price() -> None:
    assert Stock("X").lowest_price == 0.0001
    assert Stock("X", price_increments=((0.0, 0.01),)).lowest_price == 0.01
    assert Forex("EUR", currency="USD").lowest_price == 0.00005
    assert Option("X", expiry="20261218", strike=1.0).lowest_price == 0.01
    assert Future("CL", expiry="202005").lowest_price == Combination("BAG").lowest_price == -math.inf
    assert Future("CL", expiry="202005").round_price(-37.634) == -37.63


@pytest.mark.parametrize(
    ("increment", "wanted", "rounded"),
    [
        (1.0, 53.4178, 53.0),
        (1.0, -53.4178, -53.0),
        (1.0, 0.7, 0.0),
        (100.0, 250.0, 200.0),
        (0.0001, 0.30000000000000004, 0.3),
    ],
)
def test_a_size_is_rounded_towards_nothing(increment: float, wanted: float, rounded: float) -> None:
    instrument = Stock("X", size_increment=increment)

    assert instrument.round_size(wanted) == rounded
    assert instrument.fits_size(rounded)


@given(st.floats(-1e9, 1e9), st.sampled_from([1.0, 100.0, 0.0001, 0.01]))
def test_a_rounded_size_is_never_more_than_was_wanted(wanted: float, increment: float) -> None:
    instrument = Stock("X", size_increment=increment)

    rounded = instrument.round_size(wanted)

    assert abs(rounded) <= abs(wanted) + 8 * math.ulp(wanted)
    assert abs(wanted - rounded) < increment * (1 + 1e-9) + 8 * math.ulp(wanted)
    assert instrument.fits_size(rounded)


@pytest.mark.parametrize("increments", [((1.0, 0.01),), ((0.0, 0.01), (0.0, 0.05)), ((0.0, 0.0),), ((0.0, math.nan),)])
def test_a_grid_that_is_none_is_refused(increments) -> None:
    with pytest.raises(InstrumentError, match=r"X: .*price increment"):
        Stock("X", price_increments=increments)


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("price", [1e307, -1e307, 1.7e308])
def test_a_price_that_no_step_can_be_told_from_stands_for_itself(price: float, rounding: Rounding) -> None:
    assert Stock("X").round_price(price, rounding) == price
    assert Forex("EUR", currency="USD").round_price(price, rounding) == price
