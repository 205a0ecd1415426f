"""The duration of orders of IBKR's own client: their times in force, and the hours of the exchange.

AAPL stands at 99.99 to 100.01 when an order is placed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.gateway.clients.official.conftest import MakeContract, MakeOrder, Official, Tws


# New York closes at 20:00 UTC, six hours after the script's market opens, and opens again at 13:30 UTC.
CLOSE, NEXT_OPEN = 6 * 3600, 23.5 * 3600


def test_the_rest_of_an_ioc_order_is_cancelled(client: Official, contract: MakeContract, order: MakeOrder) -> None:
    client.place(1, contract("AAPL"), order("BUY", "LMT", 100, lmtPrice=99.00, tif="IOC"))
    client.place(2, contract("AAPL"), order("BUY", "LMT", 100, lmtPrice=100.50, tif="IOC"))

    assert (client.statuses(1)[-1], client.fills(1)) == ("Cancelled", [])
    assert (client.statuses(2)[-1], client.fills(2)) == ("Filled", [(100, 100.01)])


def test_a_fok_order_that_the_market_does_not_meet_is_gone(
    client: Official, contract: MakeContract, order: MakeOrder
) -> None:
    client.place(1, contract("AAPL"), order("BUY", "LMT", 100, lmtPrice=99.00, tif="FOK"))
    client.place(2, contract("AAPL"), order("BUY", "LMT", 100, lmtPrice=100.50, tif="FOK"))

    # Paper accounts were seen to end it as Inactive; the documentation says that it is cancelled.
    assert client.statuses(1)[-1] in ("Cancelled", "Inactive")
    assert (client.statuses(2)[-1], client.fills(2)) == ("Filled", [(100, 100.01)])


DISPLAYED_SIZES_COUNT = pytest.mark.parametrize("settings", [{"partial": True}])


@DISPLAYED_SIZES_COUNT
def test_where_displayed_sizes_count_a_fok_order_gets_all_of_it_or_nothing(
    client: Official, contract: MakeContract, order: MakeOrder
) -> None:
    # Two hundred are offered at 100.01.
    client.place(1, contract("AAPL"), order("BUY", "LMT", 300, lmtPrice=100.50, tif="FOK"))
    assert client.fills(1) == []
    assert client.statuses(1)[-1] in ("Cancelled", "Inactive")

    client.place(2, contract("AAPL"), order("BUY", "LMT", 200, lmtPrice=100.50, tif="FOK"))
    assert (client.statuses(2)[-1], client.fills(2)) == ("Filled", [(200, 100.01)])


@DISPLAYED_SIZES_COUNT
def test_where_displayed_sizes_count_an_ioc_order_keeps_what_it_got(
    client: Official, contract: MakeContract, order: MakeOrder
) -> None:
    client.place(1, contract("AAPL"), order("BUY", "LMT", 300, lmtPrice=100.50, tif="IOC"))

    assert client.fills(1) == [(200, 100.01)]
    last = client.named("orderStatus", orderId=1)[-1]
    assert (last["status"], last["filled"], last["remaining"]) == ("Cancelled", 200, 100)


@DISPLAYED_SIZES_COUNT
def test_where_displayed_sizes_count_an_order_is_filled_in_parts(
    client: Official, contract: MakeContract, order: MakeOrder, tws: Tws
) -> None:
    client.place(1, contract("AAPL"), order("BUY", "LMT", 300, lmtPrice=100.50))
    first = client.named("orderStatus", orderId=1)[-1]
    client.all_of(lambda: tws.quote(100.10, 100.13, size=1000))

    assert (first["status"], first["filled"], first["remaining"]) == ("Submitted", 200, 100)
    assert client.fills(1) == [(200, 100.01), (100, 100.13)]
    last = client.named("orderStatus", orderId=1)[-1]
    # (200 x 100.01 + 100 x 100.13) / 300
    assert (last["status"], last["avgFillPrice"], last["lastFillPrice"]) == ("Filled", pytest.approx(100.05), 100.13)


def test_a_gtd_order_works_until_its_time(client: Official, contract: MakeContract, order: MakeOrder, tws: Tws) -> None:
    until = order("BUY", "LMT", 100, lmtPrice=90, tif="GTD", goodTillDate="20260413 10:30:00 US/Eastern")
    told = client.place(1, contract("AAPL"), until)
    assert next(call["order"].goodTillDate for call in told if call.name == "openOrder").startswith("20260413 10:30:00")

    client.all_of(lambda: tws.advance(29 * 60))
    assert client.statuses(1)[-1] == "Submitted"
    client.all_of(lambda: tws.advance(2 * 60))

    assert client.statuses(1)[-1] == "Cancelled"


def test_an_order_waits_for_the_time_it_is_good_after(
    client: Official, contract: MakeContract, order: MakeOrder, tws: Tws
) -> None:
    client.place(1, contract("AAPL"), order("BUY", "MKT", 100, goodAfterTime="20260413 10:10:00 US/Eastern"))

    client.all_of(lambda: tws.advance(9 * 60))
    assert client.fills(1) == []
    client.all_of(lambda: tws.advance(2 * 60))

    assert client.fills(1) == [(100, 100.01)]


def test_the_wish_to_trade_outside_regular_hours_is_kept(
    client: Official, contract: MakeContract, order: MakeOrder
) -> None:
    told = client.place(1, contract("AAPL"), order("BUY", "LMT", 100, lmtPrice=90, outsideRth=True, tif="GTC"))

    shown = next(call["order"] for call in told if call.name == "openOrder")
    assert (shown.outsideRth, shown.tif) == (True, "GTC")


KEEPS_HOURS = pytest.mark.parametrize("settings", [{"hours": "exchange"}])


@KEEPS_HOURS
def test_where_hours_are_kept_an_order_waits_outside_them_unless_it_may_trade_there(
    client: Official, contract: MakeContract, order: MakeOrder, tws: Tws
) -> None:
    # A minute past four in New York: the regular hours are over, the extended ones are not.
    client.all_of(lambda: tws.advance(CLOSE + 60))
    client.place(1, contract("AAPL"), order("BUY", "LMT", 100, lmtPrice=100.50, tif="GTC"))
    client.place(2, contract("AAPL"), order("BUY", "LMT", 100, lmtPrice=100.50, tif="GTC", outsideRth=True))
    client.all_of(lambda: tws.quote(100.00, 100.02))

    [warning] = client.named("error", reqId=1)
    assert warning["errorCode"] == 399
    assert "will not be placed at the exchange until 2026-04-14 09:30:00" in warning["errorString"]
    assert client.fills(1) == []
    assert [size for size, _ in client.fills(2)] == [100]

    # The next morning the market opens, and a quote arrives.
    client.all_of(lambda: tws.advance(NEXT_OPEN - CLOSE))
    client.all_of(lambda: tws.quote(100.01, 100.03))
    assert [size for size, _ in client.fills(1)] == [100]


@KEEPS_HOURS
def test_where_hours_are_kept_a_day_order_ends_at_the_close(
    client: Official, contract: MakeContract, order: MakeOrder, tws: Tws
) -> None:
    client.place(1, contract("AAPL"), order("BUY", "LMT", 100, lmtPrice=90, tif="DAY"))
    client.place(2, contract("AAPL"), order("BUY", "LMT", 100, lmtPrice=90, tif="GTC"))

    client.all_of(lambda: tws.advance(CLOSE + 60))

    assert client.statuses(1)[-1] == "Cancelled"
    assert client.statuses(2)[-1] in ("Submitted", "PreSubmitted")
