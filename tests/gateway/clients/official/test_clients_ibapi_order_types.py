"""Every order type of IBKR's own client is accepted, held, and filled according to its terms.

AAPL stands at 99.99 to 100.01 when an order is placed; each step after that is a quote.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.gateway.clients.official.conftest import MakeContract, MakeOrder, Official, Tws

# Order type, its terms, quotes that must not fill it, the quote that must, and the worst price allowed.
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


# ---- auctions ------------------------------------------------------------------------------------------------------

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
