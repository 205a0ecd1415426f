from __future__ import annotations

import math

import pytest

from ibdesk.views import theme


def test_prices_have_the_decimals_their_market_quotes() -> None:
    assert theme.price(1234.5, theme.price_digits("AAPL")) == "1,234.50"
    assert theme.price(1.08432, theme.price_digits("EUR.USD")) == "1.08432"
    assert theme.price(151.2, theme.price_digits("USD.JPY")) == "151.200"
    assert theme.price_digits("BRK.B") == 2


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_what_is_not_known_is_a_dash(value: float | None) -> None:
    written = {theme.price(value), theme.money(value), theme.profit(value), theme.quantity(value), theme.percent(value)}

    assert written == {theme.MISSING}
    assert theme.clock_time(None) == theme.MISSING
    assert theme.sign_class(value) == ""


def test_a_profit_carries_its_sign_and_color_unless_it_rounds_to_nothing() -> None:
    assert [theme.profit(x) for x in (1234.567, -0.5, 0.004, -0.004)] == ["+1,234.57", "-0.50", "0.00", "0.00"]
    assert [theme.sign_class(x) for x in (1234.567, -0.5, 0.004, -0.004)] == ["gain", "loss", "", ""]


def test_quantities_have_no_decimals_of_their_own() -> None:
    assert [theme.quantity(x) for x in (100.0, 0.25, 12_000.0, 0.0)] == ["100", "0.25", "12,000", "0"]
    assert [theme.quantity(x, signed=True) for x in (100.0, -100.0, 0.0)] == ["+100", "-100", "0"]


def test_times_are_utc() -> None:
    # 1,700,000,000 s after 1970 is the 14th of November 2023, 22:13:20 UTC.
    assert theme.clock_time(1_700_000_000_000_000_000) == "2023-11-14 22:13:20"
    assert theme.time_of_day(1_700_000_000_000_000_000) == "22:13:20"
