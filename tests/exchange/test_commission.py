"""The cost of orders under IB's schedules."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.exchange.conftest import meet

from ibdesk.exchange import CommissionSchedule, Exchange, FixedCommission, TickSlippage, TieredCommission
from ibdesk.model import AnyInstrument, Commission, Forex, Future, Option, Order, Quote, Right, Side, Stock

MakeOrder = Callable[..., Order]

SHARE = Stock("AAPL")


@pytest.mark.parametrize(
    ("instrument", "quantity", "price", "expected"),
    [
        (SHARE, 100, 50, 1.00),  # 0.50 by rate, raised to the minimum
        (SHARE, 1000, 50, 5.00),
        (SHARE, 1000, 0.25, 2.50),  # 5.00 by rate, at most 1 % of 250.00
        (SHARE, 10, 5, 0.50),  # 1 % of 50.00 beats the minimum of 1.00
        (Future("ES", expiry="202612"), 2, 5000, 4.50),
        (Option("AAPL", expiry="20261218", strike=250, right=Right.CALL), 1, 3, 1.00),
        (Option("AAPL", expiry="20261218", strike=250, right=Right.CALL), 10, 3, 6.50),
        (Forex("EUR"), 20_000, 1.10, 2.00),
        (Forex("EUR"), 1_000_000, 1.10, 22.00),
        (Forex("USD", currency="JPY"), 20_000, 150, 300.00),  # two dollars in yen
    ],
)
def test_the_fixed_schedule(instrument: AnyInstrument, quantity: float, price: float, expected: float) -> None:
    value = quantity * price * instrument.multiplier
    charge = FixedCommission().charge(instrument, side=Side.BUY, quantity=quantity, value=value)

    assert charge == pytest.approx(expected)


def test_the_tiered_schedule_passes_fees_on_and_charges_sales_more() -> None:
    schedule = TieredCommission()

    bought = schedule.charge(SHARE, side=Side.BUY, quantity=1000, value=50_000)
    sold = schedule.charge(SHARE, side=Side.SELL, quantity=1000, value=50_000)

    # 3.50, exchange 3.00, clearing 0.20, pass-through 3.50 * 0.000735
    assert bought == pytest.approx(3.5 + 3.0 + 0.2 + 0.0025725)
    # and 1000 * 0.000166 to FINRA, 50,000 * 0.0000278 to the SEC
    assert sold - bought == pytest.approx(0.166 + 1.39)


def test_the_minimum_is_per_order_however_many_executions_it_takes(make_order: MakeOrder) -> None:
    exchange = Exchange(commissions=FixedCommission(), partial=True)
    exchange.add_instrument(SHARE)
    exchange.place_order(make_order(Side.BUY, 400), 0)

    amounts = [
        event.amount
        for i in range(4)
        for event in meet(exchange, Quote("AAPL", i, 49.99, 50, 100, 100))
        if isinstance(event, Commission)
    ]

    # 400 shares come to 2.00: the first two executions are inside the minimum.
    assert amounts == pytest.approx([1.00, 0.00, 0.50, 0.50])


@given(
    parts=st.lists(st.tuples(st.integers(1, 5000), st.floats(0.01, 1000, allow_nan=False)), min_size=1, max_size=8),
    schedule=st.sampled_from([FixedCommission(), TieredCommission()]),
    side=st.sampled_from(Side),
)
def test_the_charge_never_falls_as_an_order_fills(
    parts: list[tuple[int, float]], schedule: CommissionSchedule, side: Side
) -> None:
    quantity = value = charged = 0.0
    for part, price in parts:
        quantity += part
        value += part * price
        charge = schedule.charge(SHARE, side=side, quantity=quantity, value=value)
        assert charge >= charged
        charged = charge


def test_negative_slippage_is_refused() -> None:
    with pytest.raises(ValueError, match="ticks of slippage must be zero or more, got -1"):
        TickSlippage(-1)
