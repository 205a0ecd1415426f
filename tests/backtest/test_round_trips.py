"""Positions from their first fill to the one that closes them."""

from __future__ import annotations

import pytest

from ibdesk.backtest.round_trips import round_trips
from ibdesk.model import Fill, Side


def _fill(number: int, side: Side, quantity: float, price: float, *, multiplier: float = 1.0) -> Fill:
    return Fill(
        execution_id=f"{number}",
        order_id="run.1",
        instrument="AAPL",
        side=side,
        quantity=quantity,
        price=price,
        at_ns=number,
        multiplier=multiplier,
    )


def test_a_position_built_and_sold_in_parts_is_one_round_trip() -> None:
    fills = [
        (_fill(1, Side.BUY, 100, 10), 1.0),
        (_fill(2, Side.BUY, 100, 12), 1.0),
        (_fill(3, Side.SELL, 50, 13), 1.0),
        (_fill(4, Side.SELL, 150, 14), 1.0),
    ]

    (trip,) = round_trips(fills).iter_rows(named=True)

    assert (trip["side"], trip["quantity"], trip["fills"]) == ("long", 200, 4)
    assert (trip["entry_price"], trip["exit_price"]) == (11, 13.75)
    assert (trip["gross_pnl"], trip["pnl"]) == (550, 546)
    assert trip["return"] == pytest.approx(546 / 2200)


def test_a_fill_through_flat_closes_one_and_opens_the_next_and_shares_its_commission() -> None:
    fills = [
        (_fill(1, Side.BUY, 100, 10), 1.0),
        (_fill(2, Side.SELL, 300, 11), 3.0),
        (_fill(3, Side.BUY, 200, 12), 1.0),
    ]

    trips = round_trips(fills)

    assert trips["side"].to_list() == ["long", "short"]
    assert trips["pnl"].to_list() == pytest.approx([100 - 2, -200 - 3])


def test_a_contract_multiplies() -> None:
    fills = [
        (_fill(1, Side.SELL, 2, 5000, multiplier=50), 4.5),
        (_fill(2, Side.BUY, 2, 4990, multiplier=50), 4.5),
    ]

    assert round_trips(fills)["pnl"].to_list() == [10 * 2 * 50 - 9]


def test_what_is_still_open_is_no_round_trip() -> None:
    assert round_trips([(_fill(1, Side.BUY, 100, 10), 1.0)]).is_empty()
