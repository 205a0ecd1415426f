"""The market halted, stale, crossed and gapped: before, during and after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ibdesk.gateway import Gateway
from ibdesk.gateway.faults import Cross, Gap, GoStale, Halt

if TYPE_CHECKING:
    from tests.gateway.conftest import MakeWire, Wire

AAPL, BID, ASK, LAST, HALTED = 265598, "1", "2", "4", "49"
PLACE, TIME, QUOTES = 3, 49, 1

# The quotes of AAPL from the start on, one each 1.25 s (see conftest): 99.99-100, 98.99-99, 101.99-102, 100.99-101.

Told = list[tuple[str, dict[str, str]]]


async def told(wire: Wire) -> Told:
    wire.send(TIME)
    return (await wire.until("currentTime"))[:-1]


def prices(messages: Told, *types: str) -> list[float]:
    return [float(texts["price"]) for name, texts in messages if name == "tickPrice" and texts["tickType"] in types]


def executed(messages: Told) -> list[float]:
    return [float(texts["price"]) for name, texts in messages if name == "execDetails"]


def order(wire: Wire, order_id: int, action: str, limit: float | None = None) -> None:
    terms: dict[str, Any] = {"orderType": "MKT"} if limit is None else {"orderType": "LMT", "lmtPrice": limit}
    wire.send(PLACE, orderId=order_id, conId=AAPL, action=action, totalQuantity=10, transmit=1, **terms)


async def watching(dial: MakeWire) -> Wire:
    wire = await dial(1)
    wire.send(QUOTES, reqId=7, conId=AAPL)
    assert prices(await told(wire), BID, ASK) == [99.99, 100.0]
    return wire


async def test_while_trading_is_halted_nothing_ticks_or_fills(dial: MakeWire, gateway: Gateway) -> None:
    wire = await watching(dial)

    gateway.faults.cause(Halt(symbol="AAPL", for_seconds=3))
    order(wire, 1, "BUY")
    gateway.advance(2.5)
    during = await told(wire)
    assert [float(texts["value"]) for _, texts in during if texts.get("tickType") == HALTED] == [1.0]
    assert (executed(during), prices(during, LAST)) == ([], [])
    gateway.advance(1.25)
    after = await told(wire)

    assert [float(texts["value"]) for _, texts in after if texts.get("tickType") == HALTED] == [0.0]
    # It resumed at 3 s, when the quote of 2.5 s stood: the order is filled at its ask of 102.
    assert executed(after) == [102.0]
    assert prices(after, LAST) == [101.0]


async def test_while_the_market_is_stale_nothing_ticks_and_orders_fill(dial: MakeWire, gateway: Gateway) -> None:
    wire = await watching(dial)

    gateway.faults.cause(GoStale(for_seconds=2))
    gateway.advance(1.25)
    order(wire, 1, "BUY")
    during = await told(wire)
    assert (prices(during, BID, ASK, LAST), executed(during)) == ([], [99.0])
    gateway.advance(1.25)

    assert prices(await told(wire), BID, ASK) == [101.99, 102.0]


async def test_a_crossed_market_has_its_bid_above_its_ask_and_comes_right_again(
    dial: MakeWire, gateway: Gateway
) -> None:
    wire = await watching(dial)

    gateway.faults.cause(Cross(symbol="AAPL", ticks=2, for_seconds=2))
    assert prices(await told(wire), BID, ASK) == [100.02]
    gateway.advance(1.25)
    assert prices(await told(wire), BID, ASK) == [99.02, 99.0]
    gateway.advance(1)

    assert prices(await told(wire), BID, ASK) == [98.99]


async def test_a_gap_moves_every_price_at_once_and_orders_with_it(dial: MakeWire, gateway: Gateway) -> None:
    wire = await watching(dial)
    order(wire, 1, "BUY", 95.0)
    await told(wire)

    gateway.faults.cause(Gap(symbol="AAPL", percent=-10, for_seconds=2))
    during = await told(wire)
    # 99.99 and 100.00 less a tenth, on the grid of a cent.
    assert prices(during, BID, ASK) == [89.99, 90.0]
    assert executed(during) == [90.0]
    gateway.advance(1.25)
    assert prices(await told(wire), BID, ASK, LAST) == [89.09, 89.1, 89.1]
    gateway.advance(1.25)

    # Back where it was at 2 s, and on from there at 2.5 s.
    assert prices(await told(wire), BID, ASK) == [98.99, 99.0, 101.99, 102.0]


async def test_a_fault_of_one_instrument_leaves_the_others(dial: MakeWire, gateway: Gateway) -> None:
    wire = await dial(1)
    wire.send(QUOTES, reqId=8, symbol="EUR", secType="CASH", exchange="IDEALPRO", currency="USD")
    before = prices(await told(wire), BID)

    gateway.faults.cause(Gap(symbol="AAPL", for_seconds=2))
    gateway.faults.cause(Halt(symbol="AAPL", for_seconds=2))
    gateway.faults.cause(Halt(symbol="NONE"))

    assert len(before) == 1
    assert [name for name, _ in await told(wire)] == []
    gateway.advance(1.25)
    assert len(prices(await told(wire), BID)) == 1
    assert gateway.faults.fired[-1][1] == "halt symbol=NONE: no such instrument is played"


async def test_a_later_fault_of_the_same_instrument_is_not_ended_by_the_earlier_one(
    dial: MakeWire, gateway: Gateway
) -> None:
    wire = await watching(dial)

    gateway.faults.cause(Gap(symbol="AAPL", percent=-10, for_seconds=1))
    gateway.faults.cause(Gap(symbol="AAPL", percent=10, for_seconds=3))
    gateway.advance(1.25)

    assert prices(await told(wire), ASK)[-1] == 108.9


async def test_of_two_halts_the_one_that_ends_last_ends_it(dial: MakeWire, gateway: Gateway) -> None:
    wire = await watching(dial)

    gateway.faults.cause(Halt(symbol="AAPL", for_seconds=3))
    gateway.faults.cause(Halt(symbol="AAPL", for_seconds=6))
    gateway.faults.cause(GoStale(symbol="EUR.USD", for_seconds=1))
    order(wire, 1, "BUY")
    gateway.advance(5.5)
    assert executed(await told(wire)) == []
    gateway.advance(1)

    assert len(executed(await told(wire))) == 1
