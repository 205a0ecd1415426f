"""Figures that leave the server carry no noise of binary arithmetic, and lose nothing that a program needs."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ibdesk.display import without_noise
from ibdesk_server.answers import PositionAnswer


def test_noise_does_not_reach_an_answer() -> None:
    # What adding up partial fills leaves: 0.1 + 0.2 and a mean of prices in cents.
    position: dict[str, Any] = {"owner": "a", "symbol": "AAPL", "quantity": 0.1 + 0.2}
    position |= {
        "average_price": 228.97999999999996,
        "last_price": 1.1 * 3,
        "mark_price": 1.1 * 3,
        "unrealized_pnl": math.nan,
    }
    position |= {"unrealized_pnl": math.nan, "realized_pnl": -0.30000000000000004, "commission": None}

    found = PositionAnswer.model_validate(position)

    assert found.model_dump(mode="json") == {
        "owner": "a",
        "symbol": "AAPL",
        "quantity": 0.3,
        "average_price": 228.98,
        "last_price": 3.3,
        "mark_price": 3.3,
        "unrealized_pnl": None,
        "realized_pnl": -0.3,
        "commission": None,
    }


@given(st.integers(-(10**11), 10**11), st.integers(0, 8))
def test_a_figure_of_up_to_twelve_digits_stays_as_it_is(digits: int, decimals: int) -> None:
    figure = digits / 10**decimals

    assert without_noise(figure) == figure


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_what_is_left_out_is_less_than_any_account_shows(figure: float) -> None:
    assert math.isclose(without_noise(figure), figure, rel_tol=1e-11)
    assert without_noise(without_noise(figure)) == without_noise(figure)
