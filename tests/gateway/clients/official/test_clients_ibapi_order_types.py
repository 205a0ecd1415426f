"""Every order type that IBKR's own client can ask for is taken, held, and filled where its terms say.

AAPL stands at 99.99 to 100.01 when an order is placed; each step after that is a quote.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest
from ibapi.contract import ComboLeg
from ibapi.order_cancel import OrderCancel
from ibapi.order_condition import Create, OrderCondition
from ibapi.tag_value import TagValue

if TYPE_CHECKING:
    from tests.gateway.clients.official.conftest import Dial, MakeContract, MakeOrder, Official, Tws

# Order type, its terms, quotes that must not fill it, the quote that must, and the price it may not be worse than.
KINDS: list[tuple[str, dict[str, Any], list[tuple[float, float]], tuple[float, float], float]] = [
    ("LMT", {"lmtPrice": 99.50}, [(99.51, 99.53)], (99.48, 99.50), 99.50),
    ("STP", {"auxPrice": 101.00}, [(100.90, 100.92)], (101.48, 101.50), 101.50),
    ("STP LMT", {"auxPrice": 101.00, "lmtPrice": 101.20}, [(100.90, 100.92)], (101.08, 101.10), 101.20),
    # A dollar over the lowest ask: 101.01, then 99.00 once the market has been at 98.00.
    ("TRAIL", {"auxPrice": 1.00}, [(97.98, 98.00), (98.48, 98.50)], (99.08, 99.10), 99.10),
    ("TRAIL", {"trailingPercent": 2.0}, [(97.98, 98.00), (99.00, 99.02)], (99.98, 100.00), 100.00),
    (
        "TRAIL LIMIT",
        {"auxPrice": 1.00, "trailStopPrice": 101.01, "lmtPriceOffset": 0.20},
        [(97.98, 98.00), (98.48, 98.50)],
        (99.08, 99.10),
        99.20,
    ),
    ("MIT", {"auxPrice": 99.00}, [(99.00, 99.02)], (98.88, 98.90), 98.90),
    ("LIT", {"auxPrice": 99.00, "lmtPrice": 98.95}, [(99.00, 99.02)], (98.88, 98.90), 98.95),
    # A cent better than the best bid of 99.99, where it stays when the bid falls.
    ("REL", {"auxPrice": 0.01}, [(99.97, 100.02)], (99.95, 99.99), 100.00),
    ("MIDPRICE", {"lmtPrice": 100.50}, [], (99.95, 99.97), 100.00),
]


@pytest.mark.parametrize(
    ("kind", "terms", "waits", "fills", "worst"), KINDS, ids=[f"{kind}-{'-'.join(terms)}" for kind, terms, *_ in KINDS]
)
def test_an_order_waits_for_the_market_its_type_asks_for(
    client: Official,
    contract: MakeContract,
    order: MakeOrder,
    tws: Tws,
    kind: str,
    terms: dict[str, Any],
    waits: list[tuple[float, float]],
    fills: tuple[float, float],
    worst: float,
) -> None:
    told = client.place(1, contract("AAPL"), order("BUY", kind, 100, **terms))
    shown = next(call["order"] for call in told if call.name == "openOrder")
    assert (shown.orderType, shown.action, shown.totalQuantity) == (kind, "BUY", 100)

    for quote in waits:
        client.all_of(functools.partial(tws.quote, *quote))
        assert client.fills(1) == []
    client.all_of(functools.partial(tws.quote, *fills))

    [(size, price)] = client.fills(1)
    assert size == 100
    assert price <= worst
    assert client.statuses(1)[-1] == "Filled"


@pytest.mark.parametrize("kind", ["STP", "TRAIL"])
def test_a_stop_is_held_by_its_trigger_and_shown_twice(
    client: Official, contract: MakeContract, order: MakeOrder, kind: str
) -> None:
    told = client.place(1, contract("AAPL"), order("BUY", kind, 100, auxPrice=101.00 if kind == "STP" else 1.00))

    statuses = [(call["status"], call["whyHeld"]) for call in told if call.name == "orderStatus"]
    assert statuses == [("PreSubmitted", "trigger")] * 2


@pytest.mark.parametrize(
    ("kind", "terms"),
    [
        ("STP", {}),
        ("LMT", {}),
        ("STP LMT", {"lmtPrice": 101}),
        ("MIT", {}),
        ("LIT", {"lmtPrice": 99}),
    ],
)
def test_a_type_without_the_price_it_needs_is_refused(
    client: Official, contract: MakeContract, order: MakeOrder, kind: str, terms: dict[str, Any]
) -> None:
    code, _ = client.error_of(
        lambda: client.api.placeOrder(1, contract("AAPL"), order("BUY", kind, 100, **terms)), request_id=1
    )

    assert code in (321, 201, 110)
    assert client.fills(1) == []


# ---- auctions -----------------------------------------------------------------------------------------------------

# New York closes at 20:00 UTC, six hours after the script's market opens, and opens again at 13:30 UTC.
CLOSE, NEXT_OPEN = 6 * 3600, 23.5 * 3600


@pytest.mark.parametrize(("kind", "terms"), [("MOC", {}), ("LOC", {"lmtPrice": 100.50})])
def test_an_order_for_the_close_trades_in_the_closing_auction(
    client: Official, contract: MakeContract, order: MakeOrder, tws: Tws, kind: str, terms: dict[str, Any]
) -> None:
    client.place(1, contract("AAPL"), order("BUY", kind, 100, **terms))

    client.all_of(lambda: tws.advance(CLOSE - 60))
    assert client.fills(1) == []
    client.all_of(lambda: tws.advance(120))

    [(size, price)] = client.fills(1)
    assert size == 100
    assert price == pytest.approx(100.0, abs=0.02)


def test_a_limit_for_the_close_that_the_auction_does_not_reach_is_cancelled(
    client: Official, contract: MakeContract, order: MakeOrder, tws: Tws
) -> None:
    client.place(1, contract("AAPL"), order("BUY", "LOC", 100, lmtPrice=99.00))

    client.all_of(lambda: tws.advance(CLOSE + 60))

    assert client.fills(1) == []
    assert client.statuses(1)[-1] == "Cancelled"


@pytest.mark.parametrize(("kind", "terms"), [("MKT", {}), ("LMT", {"lmtPrice": 100.50})])
def test_an_order_for_the_open_trades_in_the_opening_auction(
    client: Official, contract: MakeContract, order: MakeOrder, tws: Tws, kind: str, terms: dict[str, Any]
) -> None:
    client.place(1, contract("AAPL"), order("BUY", kind, 100, tif="OPG", **terms))

    client.all_of(lambda: tws.advance(NEXT_OPEN - 60))
    assert client.fills(1) == []
    client.all_of(lambda: tws.advance(120))

    [(size, price)] = client.fills(1)
    assert size == 100
    assert price == pytest.approx(100.0, abs=0.02)


# ---- how long an order lives --------------------------------------------------------------------------------------


def test_what_an_ioc_order_does_not_get_at_once_is_cancelled(
    client: Official, contract: MakeContract, order: MakeOrder
) -> None:
    client.place(1, contract("AAPL"), order("BUY", "LMT", 100, lmtPrice=99.00, tif="IOC"))
    client.place(2, contract("AAPL"), order("BUY", "LMT", 100, lmtPrice=100.50, tif="IOC"))

    assert (client.statuses(1)[-1], client.fills(1)) == ("Cancelled", [])
    assert (client.statuses(2)[-1], client.fills(2)) == ("Filled", [(100, 100.01)])


def test_a_fok_order_that_the_market_does_not_meet_is_gone(
    client: Official, contract: MakeContract, order: MakeOrder
) -> None:
    client.place(1, contract("AAPL"), order("BUY", "LMT", 100, lmtPrice=99.00, tif="FOK"))
    client.place(2, contract("AAPL"), order("BUY", "LMT", 100, lmtPrice=100.50, tif="FOK"))

    # Paper accounts were seen to end it as Inactive, the documentation says that it is cancelled.
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


@DISPLAYED_SIZES_COUNT
@pytest.mark.parametrize(("kind", "left"), [(1, None), (2, 60), (3, 60)])
def test_a_part_filled_in_a_group_cancels_or_reduces_the_others(
    client: Official, contract: MakeContract, order: MakeOrder, tws: Tws, kind: int, left: int | None
) -> None:
    for number, price in ((1, 99.50), (2, 99.00)):
        client.place(
            number, contract("AAPL"), order("BUY", "LMT", 100, lmtPrice=price, ocaGroup="either", ocaType=kind)
        )

    client.all_of(lambda: tws.quote(99.30, 99.45, size=40))

    assert [size for size, _ in client.fills(1)] == [40]
    if left is None:
        assert client.statuses(2)[-1] == "Cancelled"
    else:
        assert client.named("orderStatus", orderId=2)[-1]["remaining"] == left


def test_a_gtd_order_lives_to_its_moment(client: Official, contract: MakeContract, order: MakeOrder, tws: Tws) -> None:
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

    # The next morning the market opens, and somebody quotes.
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


# ---- several orders together --------------------------------------------------------------------------------------


def _bracket(client: Official, contract: MakeContract, order: MakeOrder) -> None:
    """Buy at 99.50; take the profit at 103.00, or the loss at 97.00."""
    place = client.api.placeOrder
    place(1, contract("AAPL"), order("BUY", "LMT", 100, lmtPrice=99.50, transmit=False))
    place(2, contract("AAPL"), order("SELL", "LMT", 100, lmtPrice=103.00, parentId=1, transmit=False))
    place(3, contract("AAPL"), order("SELL", "STP", 100, auxPrice=97.00, parentId=1, transmit=True))


def test_an_order_that_is_not_transmitted_waits_in_silence(
    client: Official, contract: MakeContract, order: MakeOrder
) -> None:
    staged = order("BUY", "LMT", 100, lmtPrice=100.50, transmit=False)

    assert client.place(1, contract("AAPL"), staged) == []

    staged.transmit = True
    client.place(1, contract("AAPL"), staged)
    assert client.fills(1) == [(100, 100.01)]


def test_the_children_of_a_bracket_wait_for_their_parent(
    client: Official, contract: MakeContract, order: MakeOrder, tws: Tws
) -> None:
    client.all_of(lambda: _bracket(client, contract, order))
    held = {call["orderId"]: (call["status"], call["whyHeld"]) for call in client.named("orderStatus")}
    assert held == {1: ("Submitted", ""), 2: ("PreSubmitted", "child"), 3: ("PreSubmitted", "child,trigger")}
    assert {call["parentId"] for call in client.named("orderStatus") if call["orderId"] != 1} == {1}
    groups = {call["order"].ocaGroup for call in client.named("openOrder") if call["orderId"] != 1}
    # Children of one parent are one group, which TWS names with digits.
    assert len(groups) == 1
    assert groups.pop().isdigit()

    # The children are not at the market: it passes the target's price and they stay.
    client.all_of(lambda: tws.quote(103.10, 103.12))
    assert client.fills(2) == []


def test_when_one_child_of_a_bracket_fills_the_other_is_cancelled(
    client: Official, contract: MakeContract, order: MakeOrder, tws: Tws
) -> None:
    client.all_of(lambda: _bracket(client, contract, order))

    client.all_of(lambda: tws.quote(99.40, 99.45))
    assert client.statuses(1)[-1] == "Filled"
    assert client.statuses(2)[-1] == "Submitted"
    assert client.statuses(3)[-1] == "PreSubmitted"
    client.all_of(lambda: tws.quote(103.10, 103.12))

    [(size, price)] = client.fills(2)
    assert size == 100
    assert price >= 103.00
    assert client.statuses(3)[-1] == "Cancelled"
    assert client.named("error", reqId=3)[-1]["errorCode"] == 202


def test_when_a_parent_is_cancelled_its_children_are_too(
    client: Official, contract: MakeContract, order: MakeOrder
) -> None:
    client.all_of(lambda: _bracket(client, contract, order))

    client.all_of(lambda: client.api.cancelOrder(1, OrderCancel()))

    assert {number: client.statuses(number)[-1] for number in (1, 2, 3)} == dict.fromkeys((1, 2, 3), "Cancelled")


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_when_an_order_of_a_group_is_filled_the_others_are_cancelled(
    client: Official, contract: MakeContract, order: MakeOrder, tws: Tws, kind: int
) -> None:
    for number, price in ((1, 99.50), (2, 99.00)):
        client.place(
            number, contract("AAPL"), order("BUY", "LMT", 100, lmtPrice=price, ocaGroup="either", ocaType=kind)
        )

    client.all_of(lambda: tws.quote(99.40, 99.45))

    assert (client.statuses(1)[-1], client.statuses(2)[-1]) == ("Filled", "Cancelled")
    assert client.named("error", reqId=2)[-1]["errorCode"] == 202


# ---- conditions, algorithms, combinations -------------------------------------------------------------------------


def test_an_order_on_a_price_condition_waits_for_that_price(
    client: Official, contract: MakeContract, order: MakeOrder, tws: Tws
) -> None:
    condition = Create(OrderCondition.Price)
    condition.conId, condition.exchange, condition.isMore, condition.price = 272093, "SMART", True, 210.0
    condition.triggerMethod = 0
    # Apple's shares, as soon as Microsoft's are above 210.
    told = client.place(1, contract("AAPL"), order("BUY", "MKT", 100, conditions=[condition]))
    [shown] = next(call["order"].conditions for call in told if call.name == "openOrder")
    assert (shown.type(), shown.conId, shown.price, shown.isMore) == (OrderCondition.Price, 272093, 210.0, True)

    client.all_of(lambda: tws.quote(205.00, 205.02, symbol="MSFT"))
    assert client.fills(1) == []
    client.all_of(lambda: tws.quote(210.10, 210.12, symbol="MSFT"))
    client.all_of(lambda: tws.trade(210.11, symbol="MSFT"))

    assert client.fills(1) == [(100, 100.01)]


def test_an_order_on_a_time_condition_waits_for_that_time(
    client: Official, contract: MakeContract, order: MakeOrder, tws: Tws
) -> None:
    condition = Create(OrderCondition.Time)
    condition.isMore, condition.time = True, "20260413 10:05:00 US/Eastern"
    client.place(1, contract("AAPL"), order("BUY", "MKT", 100, conditions=[condition]))

    client.all_of(lambda: tws.advance(4 * 60))
    assert client.fills(1) == []
    client.all_of(lambda: tws.advance(2 * 60))

    assert client.fills(1) == [(100, 100.01)]


@pytest.mark.parametrize(
    ("name", "wishes"),
    [
        ("Adaptive", {"adaptivePriority": "Normal"}),
        ("Twap", {"strategyType": "Marketable", "allowPastEndTime": "1"}),
        ("Vwap", {"maxPctVol": "0.1", "noTakeLiq": "0"}),
    ],
)
def test_an_algorithm_is_taken_shown_and_worked_to_the_end(
    client: Official, contract: MakeContract, order: MakeOrder, tws: Tws, name: str, wishes: dict[str, str]
) -> None:
    params = [TagValue(tag, value) for tag, value in wishes.items()]
    told = client.place(
        1, contract("AAPL"), order("BUY", "LMT", 100, lmtPrice=101, algoStrategy=name, algoParams=params)
    )
    shown = next(call["order"] for call in told if call.name == "openOrder")
    assert (shown.algoStrategy, {each.tag: each.value for each in shown.algoParams}) == (name, wishes)

    # By the close of the day every one of them is done.
    client.all_of(lambda: tws.advance(CLOSE))

    assert sum(size for size, _ in client.fills(1)) == 100
    assert client.statuses(1)[-1] == "Filled"


def test_an_algorithm_that_does_not_exist_is_refused(
    client: Official, contract: MakeContract, order: MakeOrder
) -> None:
    wrong = order("BUY", "MKT", 100, algoStrategy="Crystal Ball", algoParams=[])

    code, _ = client.error_of(lambda: client.api.placeOrder(1, contract("AAPL"), wrong), request_id=1)
    assert code == 439
    assert client.fills(1) == []


def test_a_combination_of_two_shares_is_taken_shown_with_its_legs_and_filled(
    client: Official, contract: MakeContract, order: MakeOrder
) -> None:
    legs = []
    for con_id, action in ((272093, "BUY"), (265598, "SELL")):
        leg = ComboLeg()
        leg.conId, leg.ratio, leg.action, leg.exchange = con_id, 1, action, "SMART"
        legs.append(leg)
    spread = contract("MSFT,AAPL", "BAG", comboLegs=legs)

    # Microsoft's shares cost about 100 more than Apple's.
    told = client.place(1, spread, order("BUY", "LMT", 10, lmtPrice=110))

    shown = next(call["contract"] for call in told if call.name == "openOrder")
    assert shown.secType == "BAG"
    assert [(leg.conId, leg.ratio, leg.action) for leg in shown.comboLegs] == [
        (272093, 1, "BUY"),
        (265598, 1, "SELL"),
    ]
    assert client.statuses(1)[-1] == "Filled"


def test_orders_of_two_clients_do_not_mix(dial: Dial, contract: MakeContract, order: MakeOrder) -> None:
    first, second = dial(1), dial(2)

    first.place(1, contract("AAPL"), order("BUY", "MKT", 100, orderRef="first"))
    second.place(1, contract("AAPL"), order("SELL", "MKT", 50, orderRef="second"))

    assert first.fills(1) == [(100, 100.01)]
    assert second.fills(1) == [(50, 99.99)]
    assert {call["execution"].orderRef for call in first.named("execDetails")} == {"first"}
