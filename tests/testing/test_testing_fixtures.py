"""The fixtures at work: ib_async trades at the gateway of the plug-in, and the test sees what came of it."""

from __future__ import annotations

import asyncio
import threading
import time

import ib_async as ib
import pytest

from ibdesk import Bar, Strategy
from ibdesk.desk import Desk
from ibdesk.errors import ConfigError, DataError
from ibdesk.gateway import Faults
from ibdesk.testing.gateway import PRICES, RunningGateway
from ibdesk.testing.market import MarketHand
from ibdesk.testing.seen import SeenOrder

# Long enough for a busy machine; nothing waits for its end.
SECONDS = 20.0


async def connect(gateway: RunningGateway, client_id: int = 1) -> ib.IB:
    client = ib.IB()
    await client.connectAsync(gateway.host, gateway.port, clientId=client_id, timeout=SECONDS)
    return client


async def place(client: ib.IB, order: ib.Order, symbol: str = "AAPL") -> ib.Trade:
    [contract] = await client.qualifyContractsAsync(ib.Stock(symbol, "SMART", "USD"))
    assert isinstance(contract, ib.Contract)
    return client.placeOrder(contract, order)


async def order(gateway: RunningGateway, **wanted: object) -> SeenOrder:
    return await asyncio.to_thread(lambda: gateway.wait_for_order(timeout_seconds=SECONDS, **wanted))


async def test_orders_and_executions_are_seen_as_plain_values(gateway: RunningGateway) -> None:
    with await connect(gateway, client_id=7) as client:
        await place(client, ib.LimitOrder("SELL", 30, 100.50, orderRef="mine"))
        await place(client, ib.MarketOrder("BUY", 100))
        filled = await order(gateway, status="Filled")

    resting = gateway.orders[0]
    [execution] = gateway.executions
    # The market stands at 100.00 to 100.02: who buys at the market pays the ask.
    assert (filled.kind, filled.limit, filled.average_price, filled.remaining) == ("MKT", None, PRICES["AAPL"][1], 0)
    assert (resting.action, resting.quantity, resting.limit, resting.status) == ("SELL", 30, 100.50, "Submitted")
    assert (resting.client_id, resting.reference, resting.account) == (7, "mine", gateway.account)
    assert str(resting) == f"client 7 order {resting.order_id}: SELL 30 AAPL LMT 100.5 DAY: Submitted"
    assert (execution.order_id, execution.action, execution.quantity, execution.price) == (
        filled.order_id,
        "BUY",
        100,
        100.02,
    )
    # IB's fixed schedule: half a cent a share, a dollar at least.
    assert execution.commission == 1.0


async def test_the_market_is_moved_by_hand(gateway: RunningGateway, market: MarketHand) -> None:
    with await connect(gateway) as client:
        await place(client, ib.LimitOrder("BUY", 100, 99))
        await order(gateway, status="Submitted")

        market.quote("AAPL", 98.98, 99.00)

        filled = await order(gateway, status="Filled")
        assert filled.average_price == 99.00


async def test_nothing_fills_while_an_instrument_is_halted(gateway: RunningGateway, market: MarketHand) -> None:
    market.halt("AAPL")
    with await connect(gateway) as client:
        await place(client, ib.MarketOrder("BUY", 100))
        await order(gateway, symbol="AAPL")
        assert gateway.executions == ()

        market.resume("AAPL")

        await order(gateway, status="Filled")


def test_an_unknown_instrument_is_told(market: MarketHand) -> None:
    with pytest.raises(DataError, match="NOSUCH"):
        market.quote("NOSUCH", 1, 2)


async def test_the_gateway_fails_on_request(gateway: RunningGateway, faults: Faults) -> None:
    with await connect(gateway) as client:
        gone = asyncio.Event()
        client.disconnectedEvent += gone.set

        faults.hang_up()

        async with asyncio.timeout(SECONDS):
            await gone.wait()
    assert gateway.client_ids == ()


@pytest.mark.gateway(clock="stepped")
async def test_time_passes_when_the_test_says_so(gateway: RunningGateway) -> None:
    with await connect(gateway) as client:
        before = await client.reqCurrentTimeAsync()

        gateway.advance(90)

        assert (await client.reqCurrentTimeAsync() - before).total_seconds() == 90


def test_only_a_stepped_clock_can_be_advanced(gateway: RunningGateway) -> None:
    with pytest.raises(ConfigError, match=r'clock="stepped"'):
        gateway.advance(1)


def test_a_wait_ends_as_soon_as_there_is_such_an_order(gateway: RunningGateway) -> None:
    def trade() -> None:
        async def buy() -> None:
            with await connect(gateway) as client:
                await place(client, ib.MarketOrder("BUY", 100))
                await order(gateway, status="Filled")

        asyncio.run(buy())

    other = threading.Thread(target=trade)
    other.start()

    assert gateway.wait_for_order(action="BUY", status="Filled", timeout_seconds=SECONDS).quantity == 100
    other.join()


def test_a_wait_in_vain_tells_what_there_is(gateway: RunningGateway) -> None:
    began = time.monotonic()

    with pytest.raises(AssertionError, match=r"no order with status Filled came in 0\.2 s; the orders are: none"):
        gateway.wait_for_order(status="Filled", timeout_seconds=0.2)

    assert time.monotonic() - began >= 0.2


def test_a_wait_for_what_orders_do_not_have_is_told(gateway: RunningGateway) -> None:
    with pytest.raises(ConfigError, match="orders have no color; they have account, action,"):
        gateway.wait_for_order(color="red")


def test_a_desk_trades_on_the_gateway(desk: Desk, gateway: RunningGateway, market: MarketHand) -> None:
    market.trade("AAPL", 100.01)

    assert desk.health().account == gateway.account
    assert desk.address == f"{gateway.host}:{gateway.port}"
    assert "pytest-" in desk.journal_path


class EveryBar(Strategy):
    """Buys a share at each bar."""

    def on_bar(self, bar: Bar) -> None:
        self.buy(bar.instrument, 1)


@pytest.mark.gateway(clock="stepped", symbols=["AAPL"], seed=3)
def test_a_desk_trades_a_minute_of_a_stepped_clock_at_once(gateway: RunningGateway, desk: Desk) -> None:
    began = time.monotonic()
    desk.start(EveryBar, on=["AAPL"], bar="5 secs", warm_up=0)

    gateway.advance(61)

    # Twelve bars of five seconds close in the minute, the first of them when it is complete.
    assert desk.positions().filter(symbol="AAPL")["quantity"].to_list() == [12.0]
    assert len(gateway.executions) == 12
    placed_at = desk.orders()["created_at"].to_list()
    assert (placed_at[-1] - placed_at[0]).total_seconds() == 55
    assert time.monotonic() - began < 30


@pytest.mark.gateway(clock="stepped")
def test_the_timers_of_a_strategy_follow_a_stepped_clock(
    gateway: RunningGateway, market: MarketHand, desk: Desk
) -> None:
    desk.start(Alarm, on=["AAPL"], bar="5 secs", warm_up=0)

    gateway.advance(599)
    assert gateway.orders == ()
    # Ten still minutes make the last price too old to order at.
    market.trade("AAPL", 100.02)
    gateway.advance(2)

    assert gateway.wait_for_order(symbol="AAPL").quantity == 1


class Alarm(Strategy):
    """Buys a share after ten minutes."""

    def on_start(self) -> None:
        self.after(600, "later")

    def on_timer(self, name: str) -> None:
        self.buy("AAPL", 1)
