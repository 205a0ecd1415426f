"""Orders that belong together: brackets, transmit=False, and one-cancels-all groups."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import ib_async as ib
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ibdesk.clock import ManualClock
from ibdesk.exchange import FixedCommission
from ibdesk.gateway import Gateway
from ibdesk.gateway.account.accounts import Accounts
from ibdesk.gateway.contracts.book import ContractBook
from ibdesk.gateway.market.script import MarketScript
from ibdesk.gateway.market.tape import Tape
from ibdesk.gateway.protocol.codec import Fields
from ibdesk.gateway.schedule import Schedule
from ibdesk.gateway.venue.kinds import KINDS
from ibdesk.gateway.venue.records import OrderRecord, VenueListener
from ibdesk.gateway.venue.terms import OrderTerms
from ibdesk.gateway.venue.venue import Venue
from ibdesk.model import Order, Quote, Side, nanoseconds

if TYPE_CHECKING:
    from tests.gateway.conftest import Until

OPENED_AT = dt.datetime(2026, 4, 13, 14, 0, tzinfo=dt.UTC)


@pytest.fixture
def market() -> MarketScript:
    return MarketScript().quote("AAPL", 100.00, 100.02, at=0)


def place_bracket(trader: Any, entry: float = 99.00) -> None:
    """Send an entry, a target at 105 and a stop at 95 as TWS's clients do: only the last one transmits."""
    trader.place(1, "LMT", lmtPrice=entry, transmit=0)
    trader.place(2, "LMT", "SELL", lmtPrice=105, parentId=1, transmit=0)
    trader.place(3, "STP", "SELL", auxPrice=95, parentId=1)


async def test_a_bracket_is_shown_parent_first_and_its_children_wait(trader: Any) -> None:
    place_bracket(trader)

    assert await trader.told() == [
        "order 1 PreSubmitted",
        "status 1 PreSubmitted",
        "order 1 Submitted",
        "status 1 Submitted",
        "order 2 PreSubmitted",
        "status 2 PreSubmitted child",
        "order 3 PreSubmitted",
        "status 3 PreSubmitted child,trigger",
    ]
    child = trader.shown[-1]
    assert (child["parentId"], child["ocaGroup"].isdigit(), child["ocaType"]) == ("1", True, "3")
    assert trader.statuses[-1]["parentId"] == "1"
    assert trader.shown[-2]["ocaGroup"] == child["ocaGroup"]
    assert trader.shown[0]["ocaGroup"] == ""


async def test_children_begin_when_their_parent_is_filled_and_one_cancels_the_other(
    trader: Any, gateway: Gateway
) -> None:
    place_bracket(trader)
    await trader.told()

    gateway.quote("AAPL", 98.97, 98.99)
    assert await trader.told() == [
        "execution 1 BOT 10 @ 98.99",
        "order 1 Filled",
        "status 1 Filled",
        "commission",
        "order 2 Submitted",
        "status 2 Submitted",
        "order 3 PreSubmitted",
        "status 3 PreSubmitted trigger",
    ]
    gateway.quote("AAPL", 105.00, 105.02)

    assert await trader.told() == [
        "execution 2 SLD 10 @ 105",
        "order 2 Filled",
        "status 2 Filled",
        "commission",
        "status 3 Cancelled",
        "error 3 202",
    ]


async def test_children_never_trade_before_their_parent(trader: Any, gateway: Gateway) -> None:
    place_bracket(trader)
    await trader.told()

    gateway.quote("AAPL", 110.00, 110.02)

    assert await trader.told() == []


async def test_children_end_with_their_parent(trader: Any) -> None:
    place_bracket(trader)
    await trader.told()

    trader.cancel(1)

    assert await trader.told() == [
        "status 1 Cancelled",
        "error 1 202",
        "status 2 Cancelled",
        "error 2 202",
        "status 3 Cancelled",
        "error 3 202",
    ]


async def test_a_group_is_silent_until_its_last_leg_is_transmitted(trader: Any) -> None:
    trader.place(1, "LMT", lmtPrice=99, transmit=0)
    trader.place(2, "LMT", "SELL", lmtPrice=105, parentId=1, transmit=0)
    trader.wire.send(16)

    assert await trader.told() == []


async def test_a_refused_parent_takes_its_children_along(trader: Any) -> None:
    # A million shares need far more than the account's margin.
    trader.place(1, "LMT", size=1_000_000, lmtPrice=99, transmit=0)
    trader.place(2, "STP", "SELL", size=1_000_000, auxPrice=95, parentId=1)

    assert await trader.told() == [
        "error 1 201",
        "order 1 Inactive",
        "status 1 Inactive",
        "status 2 Cancelled",
        "error 2 202",
    ]


@pytest.mark.parametrize("parent", [77, 1])
async def test_a_parent_that_is_not_open_is_error_135(trader: Any, parent: int) -> None:
    trader.place(1, "MKT")
    await trader.told()

    trader.place(2, "STP", "SELL", auxPrice=95, parentId=parent)

    assert await trader.told() == ["error 2 135"]
    assert trader.texts[-1] == f"Can't find order with ID ={parent}"


async def test_a_partly_filled_target_reduces_the_stop(trader: Any, gateway: Gateway) -> None:
    gateway.venue.fill_order(await bracket_entered(trader, gateway), 4, 105.00)

    # Four of the target's ten are executed: the stop keeps six.
    assert (await trader.told())[-2:] == ["order 3 PreSubmitted", "status 3 PreSubmitted trigger"]
    assert (trader.shown[-1]["totalQuantity"], trader.statuses[-1]["remaining"]) == ("6", "6")


async def bracket_entered(trader: Any, gateway: Gateway) -> OrderRecord:
    """Enter a bracket and return its target."""
    place_bracket(trader, entry=101)
    await trader.told()
    target = gateway.venue.find_order(1, 2)
    assert target is not None
    return target


# ---- one cancels all ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("oca_type", "left"), [(1, "0"), (2, "6"), (3, "6")])
async def test_an_execution_cancels_or_reduces_the_rest_of_its_group(
    trader: Any, gateway: Gateway, oca_type: int, left: str
) -> None:
    trader.place(1, "LMT", lmtPrice=99, ocaGroup="either", ocaType=oca_type)
    trader.place(2, "LMT", lmtPrice=98, ocaGroup="either", ocaType=oca_type)
    trader.place(3, "LMT", lmtPrice=98, ocaGroup="another", ocaType=oca_type)
    await trader.told()

    first = gateway.venue.find_order(1, 1)
    assert first is not None
    gateway.venue.fill_order(first, 4, 99.00)

    status = await trader.status(2)
    assert (status == "Cancelled") is (left == "0")
    assert await trader.status(3) == "Submitted"
    assert await trader.status(1) == "Submitted 4"
    if left != "0":
        assert trader.shown[-1]["totalQuantity"] == left


async def test_of_two_orders_that_one_quote_reaches_only_one_trades(trader: Any, gateway: Gateway) -> None:
    for order_id, limit in ((1, 99), (2, 98)):
        trader.place(order_id, "LMT", lmtPrice=limit, ocaGroup="either", ocaType=1)
    await trader.told()

    gateway.quote("AAPL", 96.98, 97.00)

    assert await trader.status(1) == "Filled 10"
    assert await trader.status(2) == "Cancelled"


async def test_a_bracket_of_ib_async_trades(client: ib.IB, aapl: ib.Contract, gateway: Gateway, until: Until) -> None:
    entry, target, stop = (
        client.placeOrder(aapl, order) for order in client.bracketOrder("BUY", 10, 99.00, 105.00, 95.00)
    )
    await until(client, lambda: stop.orderStatus.whyHeld == "child,trigger")
    gateway.quote("AAPL", 98.90, 98.92)
    await until(client, lambda: entry.isDone() and target.orderStatus.status == "Submitted")

    gateway.quote("AAPL", 94.90, 94.92)
    await until(client, lambda: stop.isDone() and target.isDone())

    assert (stop.orderStatus.status, target.orderStatus.status) == ("Filled", "Cancelled")


# ---- laws -----------------------------------------------------------------------------------------------------


class Told:
    """A venue whose reports go only to this test."""

    def __init__(self, *, partial: bool) -> None:
        start = nanoseconds(OPENED_AT)
        schedule = Schedule(ManualClock(start))
        tape = Tape(MarketScript(symbols=["AAPL"]), schedule)
        self.statuses: list[tuple[int, str]] = []
        self.venue = Venue(
            Accounts(("DU1",), 1e9, tape.price),
            schedule,
            tape,
            started_ns=start,
            seed=0,
            listener=VenueListener(
                order=lambda record: None,
                status=lambda record: self.statuses.append((record.order_id, record.status)),
                execution=lambda execution: None,
                commission=lambda execution: None,
                error=lambda *_: None,
                account=lambda *_: None,
            ),
            commissions=FixedCommission(),
            partial=partial,
        )
        [self.contract] = ContractBook(OPENED_AT.date()).find(Fields("query", {"conId": "265598"}))

    def place(self, order_id: int, side: Side, size: float, terms: OrderTerms) -> OrderRecord:
        order = Order(id="", owner="1", instrument="AAPL", side=side, quantity=size, type=KINDS[terms.kind].base)
        record = OrderRecord(
            client_id=1,
            order_id=order_id,
            permanent_id=self.venue.new_permanent_id(),
            contract=self.contract,
            request=Fields("placeOrder", {}),
            terms=terms,
            order=order,
            account="DU1",
        )
        self.venue.place_order(record)
        return record

    def quote(self, cents: int, size: int) -> None:
        self.venue.on_quote(Quote("AAPL", 0, cents / 100, (cents + 2) / 100, size, size))


quotes = st.lists(st.tuples(st.integers(9_000, 11_000), st.integers(0, 30)), max_size=15)


@settings(deadline=None)
@given(
    oca_type=st.integers(1, 3),
    orders=st.lists(st.tuples(st.integers(9_000, 11_000), st.integers(1, 20)), min_size=2, max_size=5),
    path=quotes,
)
@example(oca_type=2, orders=[(9_002, 7), (9_003, 2)], path=[(9_000, 6), (9_001, 2)])
def test_a_group_never_trades_more_than_its_largest_order(
    oca_type: int, orders: list[tuple[int, int]], path: list[tuple[int, int]]
) -> None:
    told = Told(partial=True)
    told.quote(12_000, 100)
    records = [
        told.place(
            number, Side.BUY, size, OrderTerms(kind="LMT", limit=limit / 100, oca_group="group", oca_type=oca_type)
        )
        for number, (limit, size) in enumerate(orders, 1)
    ]

    for cents, size in path:
        told.quote(cents, size)

    assert sum(record.filled for record in records) <= max(size for _, size in orders)


@settings(deadline=None)
@given(entry=st.integers(9_000, 11_000), size=st.integers(1, 40), path=quotes)
def test_a_child_never_works_before_its_parent_is_filled(entry: int, size: int, path: list[tuple[int, int]]) -> None:
    told = Told(partial=True)
    told.quote(12_000, 100)
    parent = told.place(1, Side.BUY, size, OrderTerms(kind="LMT", limit=entry / 100, transmit=False))
    children = [
        told.place(2, Side.SELL, size, OrderTerms(kind="LMT", limit=entry / 100 + 1, parent_id=1, transmit=False)),
        told.place(3, Side.SELL, size, OrderTerms(kind="TRAIL", aux=1.0, parent_id=1)),
    ]

    for cents, shown in path:
        told.quote(cents, shown)
        if parent.status != "Filled":
            assert all(child.status == "PreSubmitted" and not child.filled for child in children)
        assert sum(child.filled for child in children) <= parent.filled


async def test_an_order_that_waits_is_gone_after_a_global_cancel(trader: Any, gateway: Gateway) -> None:
    trader.place(1, "LMT", lmtPrice=99, transmit=0)
    trader.wire.send(58)
    await trader.told()

    trader.wire.send(16)

    assert await trader.told() == []
    assert list(gateway.venue.pending_orders()) == []
