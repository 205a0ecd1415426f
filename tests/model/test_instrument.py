"""Instruments: their names, their tick grids and their trading hours."""

from __future__ import annotations

import datetime as dt
import math
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.errors import InstrumentError
from ibdesk.model import Future, Index, Option, Session, Stock, nanoseconds
from ibdesk.model.instrument import FOREX_HOURS, US_EQUITY_HOURS, US_FUTURE_HOURS

CHICAGO, NEW_YORK = ZoneInfo("America/Chicago"), ZoneInfo("America/New_York")


def at(text: str, zone: ZoneInfo) -> int:
    return nanoseconds(dt.datetime.fromisoformat(text).replace(tzinfo=zone))


@pytest.mark.parametrize(
    ("tick_size", "price", "rounded"),
    [
        (0.01, 187.344, 187.34),
        (0.01, 187.346, 187.35),
        (0.01, 0.1 + 0.2, 0.3),
        (0.25, 4512.37, 4512.25),
        (0.25, 4512.38, 4512.5),
        (0.00005, 1.08752, 1.0875),
        (0.00005, 1.08753, 1.08755),
        (1 / 32, 110.05, 110.0625),
        (1 / 32, 110.04, 110.03125),
        (5.0, 12_347.0, 12_345.0),
    ],
)
def test_a_price_is_rounded_to_the_nearest_tick(tick_size: float, price: float, rounded: float) -> None:
    assert Stock("X", tick_size=tick_size).round_price(price) == rounded


@pytest.mark.parametrize(
    ("tick_size", "price", "rounded"),
    [
        (0.01, 1.005, 1.01),
        (0.01, 0.285, 0.29),
        (0.01, 100.005, 100.01),
        (0.01, -1.005, -1.01),
        (0.25, 10.125, 10.25),
        (0.25, -10.125, -10.25),
        (0.00005, 1.087525, 1.08755),
        (1 / 32, 110.046875, 110.0625),
    ],
)
def test_half_a_tick_as_people_write_it_rounds_away_from_zero(tick_size: float, price: float, rounded: float) -> None:
    # A share that is not traded in the United States: there a step is finer below a dollar.
    assert Stock("X", currency="EUR", tick_size=tick_size).round_price(price) == rounded


@given(
    tick=st.sampled_from([0.01, 0.25, 0.00005, 1 / 32, 0.1, 5.0]),
    price=st.floats(-100_000, 100_000, allow_nan=False),
)
def test_a_rounded_price_lies_on_the_grid_at_most_half_a_tick_away_and_stays_there(tick: float, price: float) -> None:
    instrument = Stock("X", tick_size=tick)

    rounded = instrument.round_price(price)

    assert instrument.round_price(rounded) == rounded
    assert abs(rounded - price) <= tick * (0.5 + 2e-6)
    grid = Fraction(str(tick))
    ticks = Fraction(str(rounded)) / grid
    assert ticks.denominator == 1


@pytest.mark.parametrize("expiry", ["2026", "202613", "20260230", "2026121", "20261218T", ""])
def test_an_expiry_that_is_no_date_is_refused(expiry: str) -> None:
    with pytest.raises(InstrumentError, match="ES: expiry must be YYYYMM or YYYYMMDD"):
        Future("ES", expiry=expiry)


def test_a_month_names_no_option() -> None:
    with pytest.raises(InstrumentError, match="AAPL: expiry must be YYYYMMDD, got '202612'"):
        Option("AAPL", expiry="202612", strike=100.0)


@pytest.mark.parametrize("figure", [-1.0, math.nan, math.inf])
def test_tick_size_multiplier_and_strike_must_be_positive_numbers(figure: float) -> None:
    with pytest.raises(InstrumentError, match="X: tick_size must be positive"):
        Stock("X", tick_size=figure)
    with pytest.raises(InstrumentError, match="X: multiplier must be positive"):
        Index("X", multiplier=figure)
    with pytest.raises(InstrumentError, match="X: strike must be positive"):
        Option("X", expiry="20261218", strike=figure)


def test_an_instrument_needs_a_symbol() -> None:
    with pytest.raises(InstrumentError, match="needs a symbol"):
        Stock("")


@pytest.mark.parametrize(
    ("time", "is_open"),
    [
        ("2026-03-06T09:29:59", False),
        ("2026-03-06T09:30:00", True),
        ("2026-03-06T15:59:59", True),
        ("2026-03-06T16:00:00", False),
        ("2026-03-07T12:00:00", False),
    ],
)
def test_shares_trade_from_half_past_nine_to_four(time: str, is_open: bool) -> None:
    assert US_EQUITY_HOURS.is_open(at(time, NEW_YORK)) is is_open


def test_the_open_moves_in_utc_when_the_clocks_change() -> None:
    friday, monday = dt.datetime(2026, 3, 6, 14, tzinfo=dt.UTC), dt.datetime(2026, 3, 9, 14, tzinfo=dt.UTC)

    assert not US_EQUITY_HOURS.is_open(nanoseconds(friday))
    assert US_EQUITY_HOURS.is_open(nanoseconds(monday))


@pytest.mark.parametrize(
    ("time", "is_open"),
    [
        ("2026-03-08T16:59:59", False),
        ("2026-03-08T17:00:00", True),
        ("2026-03-09T03:00:00", True),
        ("2026-03-09T15:59:59", True),
        ("2026-03-09T16:00:00", False),
        ("2026-03-09T16:59:59", False),
        ("2026-03-09T17:00:00", True),
        ("2026-03-13T15:59:59", True),
        ("2026-03-13T17:00:00", False),
        ("2026-03-14T12:00:00", False),
    ],
)
def test_an_overnight_session_opens_on_sunday_evening_and_closes_on_friday(time: str, is_open: bool) -> None:
    assert US_FUTURE_HOURS.is_open(at(time, CHICAGO)) is is_open


def test_currencies_rest_for_a_quarter_of_an_hour_each_evening() -> None:
    assert FOREX_HOURS.is_open(at("2026-03-10T16:59:59", NEW_YORK))
    assert not FOREX_HOURS.is_open(at("2026-03-10T17:00:00", NEW_YORK))
    assert FOREX_HOURS.is_open(at("2026-03-10T17:15:00", NEW_YORK))


def test_equal_ends_mean_around_the_clock() -> None:
    always = Session("UTC", 0, 0, weekdays=(0, 1, 2, 3, 4, 5, 6))

    assert all(always.is_open(hour * 3_600_000_000_000) for hour in range(24 * 8))
