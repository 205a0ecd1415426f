"""How figures are written on the terminal."""

from __future__ import annotations

import pytest

from ibdesk.cli.screen import milliseconds, money, price, quantity, span, until

NAN = float("nan")


@pytest.mark.parametrize(
    ("amount", "text"),
    [(1234.5, "1,234.50"), (-0.5, "\u22120.50"), (-0.001, "0.00"), (0.0, "0.00"), (NAN, "\u2013"), (None, "\u2013")],
)
def test_money_has_a_sign_and_two_decimals(amount: float | None, text: str) -> None:
    assert money(amount).plain == text


def test_a_loss_is_red() -> None:
    assert (money(-1).style, money(1).style) == ("red", "")


@pytest.mark.parametrize(
    ("figure", "text"),
    [(76.25, "76.25"), (100, "100.00"), (1.08005, "1.08005"), (4012.5, "4,012.50"), (NAN, "\u2013"), (None, "\u2013")],
)
def test_a_price_has_two_to_five_decimals(figure: float | None, text: str) -> None:
    assert price(figure) == text


def test_a_quantity_has_no_needless_decimals() -> None:
    assert (quantity(100.0), quantity(-0.5), quantity(12_000)) == ("100", "\u22120.5", "12,000")


def test_times_are_short() -> None:
    assert (milliseconds(0.4812), milliseconds(12.34), milliseconds(1234.5)) == ("0.481 ms", "12.3 ms", "1,234 ms")
    assert (span(9), span(742.9), span(3725)) == ("00:09", "12:22", "1:02:05")
    assert (until(None), until(7.5)) == ("Ctrl-C", "in 7.5 seconds, or Ctrl-C")
