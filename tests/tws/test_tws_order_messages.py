"""Messages of orders equal ib_async's, also from a template."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ib_async.client import Client
from ib_async.contract import Contract

from ibdesk.model import Order, OrderType, Side, TimeInForce
from ibdesk.tws.order_messages import OrderMessages
from ibdesk.tws.orders import order_for_tws
from ibdesk.tws.settings import TwsSettings
from ibdesk.tws.wire import Listener, Wire

AAPL = Contract(secType="STK", symbol="AAPL", exchange="SMART", currency="USD", conId=265598)
CONTRACTS = [
    AAPL,
    Contract(secType="CASH", symbol="EUR", exchange="IDEALPRO", currency="USD", conId=12087792),
    Contract(secType="FUT", symbol="ES", exchange="CME", multiplier="50", conId=1),
    # Text that a template must not mistake for a placeholder.
    Contract(secType="STK", symbol="100%", localSymbol="%s", exchange="SMART", currency="USD", conId=2),
]
LIMITS, STOPS = {OrderType.LIMIT, OrderType.STOP_LIMIT}, {OrderType.STOP, OrderType.STOP_LIMIT}

prices = st.floats(-1e9, 1e9) | st.integers(-(10**6), 10**6).map(lambda ticks: ticks / 100)
quantities = st.integers(1, 10**9).map(float) | st.floats(1e-6, 1e9)
names = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), min_size=1, max_size=30)


@st.composite
def alike(draw: Callable[..., Any]) -> list[Order]:
    """Orders of few kinds, so that most are not the first of their kind."""
    kinds = draw(st.lists(st.sampled_from(OrderType), min_size=1, max_size=2))
    times = draw(st.lists(st.sampled_from(TimeInForce), min_size=1, max_size=2))
    orders = []
    for _ in range(draw(st.integers(4, 12))):
        kind = draw(st.sampled_from(kinds))
        orders.append(
            Order(
                id=draw(names),
                owner="run",
                instrument="AAPL",
                side=draw(st.sampled_from(Side)),
                quantity=draw(quantities),
                type=kind,
                limit_price=draw(prices | st.none()) if kind in LIMITS else None,
                stop_price=draw(prices | st.none()) if kind in STOPS else None,
                time_in_force=draw(st.sampled_from(times)),
            )
        )
    return orders


class Plain(Client):
    """ib_async's client, which keeps its messages instead of sending them."""

    def __init__(self, version: int) -> None:
        super().__init__(None)
        self.connState, self._serverVersion, self.sent = Client.CONNECTED, version, ""

    def sendMsg(self, msg: str) -> None:  # noqa: N802 - ib_async's name
        self.sent = msg

    def words(self, number: int, contract: Contract, order: Order, account: str) -> str:
        self.placeOrder(number, contract, order_for_tws(order, account))
        return self.sent


async def written(messages: OrderMessages, contract: Contract, orders: list[Order]) -> list[str]:
    """Each order's message, with a turn of the loop after each."""
    found = []
    for number, order in enumerate(orders, start=7):
        found.append(messages.write(number, contract, order))
        await asyncio.sleep(0)
    return found


# The third account is what a template has for a quantity.
@given(
    st.integers(Client.MinClientVersion, Client.MaxClientVersion),
    st.sampled_from(["DU1234567", "F%d1", "1234567.25"]),
    st.lists(st.sampled_from(CONTRACTS), min_size=1, max_size=2),
    alike(),
)
def test_every_message_is_the_one_that_ib_async_writes(
    version: int, account: str, contracts: list[Contract], orders: list[Order]
) -> None:
    async def write_all() -> None:
        faults: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))
        messages, plain = OrderMessages(version, account), Plain(version)
        # An instrument that was qualified again has another contract.
        for contract in [*contracts, contracts[0]]:
            wanted = [plain.words(7 + place, contract, order, account) for place, order in enumerate(orders)]
            assert await written(messages, contract, orders) == wanted
        assert faults == []

    asyncio.run(write_all())


def order(number: int, kind: OrderType) -> Order:
    return Order(
        id=f"run-{number}",
        owner="run",
        instrument="AAPL",
        side=Side.BUY,
        quantity=100.0 + number,
        type=kind,
        limit_price=187.4 + number if kind in LIMITS else None,
        stop_price=186.2 + number if kind in STOPS else None,
    )


@pytest.mark.parametrize("kind", OrderType)
async def test_ib_async_writes_only_the_first_of_a_kind(kind: OrderType, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    plain = Client.placeOrder

    def counted(client: Client, number: int, *rest: Any) -> None:
        asked.append(number)
        plain(client, number, *rest)

    monkeypatch.setattr(Client, "placeOrder", counted)
    messages = OrderMessages(178, "DU1")

    await written(messages, AAPL, [order(1, kind)])
    first = len(asked)
    await written(messages, AAPL, [order(number, kind) for number in range(2, 20)])

    assert asked[0] == 7
    # The order itself, and the template made after it.
    assert len(asked) == first == 2


async def test_an_order_leaves_by_no_other_way_than_the_one_with_the_fence() -> None:
    wire = Wire(
        cast("Listener", None),
        TwsSettings(),
        may_send=lambda: True,
        on_fenced=lambda: None,
        before_waiting=lambda: None,
    )
    wire.connState, wire._serverVersion = Client.CONNECTED, 178

    with pytest.raises(ValueError, match=r"Wire\.place"):
        wire.placeOrder(7, AAPL, order_for_tws(order(1, OrderType.MARKET), "DU1"))

    assert (wire.pacer.messages_sent, wire.pacer.waiting) == (0, 0)
