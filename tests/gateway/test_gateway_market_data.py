"""Market data of clients: halted, stale, delayed, frozen; tick by tick; the same bytes for all."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Callable
from typing import Any

import ib_async as ib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.clock import SECOND, ManualClock
from ibdesk.gateway import Gateway
from ibdesk.gateway.market.script import MarketScript
from ibdesk.gateway.protocol.codec import encode
from ibdesk.gateway.protocol.outgoing import OUTGOING_BY_NAME
from ibdesk.gateway.protocol.ticks import generic_body, price_body, size_body, string_body, tick_frames
from ibdesk.model import nanoseconds

# Monday, 13 April 2026: New York is four hours behind UTC, trades from 9:30 to 16:00, and until 20:00 after hours.
MONDAY = dt.datetime(2026, 4, 13, tzinfo=dt.UTC)
TEN = nanoseconds(MONDAY.replace(hour=14))
HOUR = 3600.0

MakeGateway = Callable[..., Any]
FIGURES = st.floats(allow_nan=False, min_value=-1e15, max_value=1e15)


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., Any]]:
    """Starts gateways on a script, each with an ib_async client and its qualified AAPL."""
    ends: list[Any] = []

    async def make(script: MarketScript, *, at_ns: int = TEN, **settings: Any) -> tuple[Gateway, ib.IB, ib.Contract]:
        gateway = Gateway(market=script, clock=ManualClock(at_ns), **settings)
        await gateway.start()
        client = ib.IB()
        ends.append((gateway, client))
        await client.connectAsync("127.0.0.1", gateway.port, clientId=1, timeout=20)
        [aapl] = await client.qualifyContractsAsync(ib.Stock("AAPL", "SMART", "USD"))
        assert isinstance(aapl, ib.Contract)
        return gateway, client, aapl

    yield make
    for gateway, client in ends:
        client.disconnect()
        await gateway.stop()


def quoted() -> MarketScript:
    """Return a market in which AAPL is quoted 100.00 to 100.02 and nothing else happens."""
    return MarketScript().quote("AAPL", 100.00, 100.02, at=0)


def heard(client: ib.IB) -> list[int]:
    """Return the codes of all errors to the client from now on."""
    codes: list[int] = []
    client.errorEvent += lambda _id, code, *_rest: codes.append(code)
    return codes


# ---- bytes --------------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**31 - 1), st.integers(0, 105), FIGURES, FIGURES, st.integers(0, 7))
def test_a_tick_in_two_halves_has_the_bytes_of_the_table(
    request_id: int, kind: int, price: float, size: float, mask: int
) -> None:
    bodies = [
        price_body(kind, price, size, mask),
        size_body(kind, size),
        generic_body(kind, price),
        string_body(kind, "a;b"),
    ]
    head = {"reqId": request_id, "tickType": kind}

    by_table = (
        encode(OUTGOING_BY_NAME["tickPrice"], {**head, "price": price, "size": size, "attrMask": mask}, 178)
        + encode(OUTGOING_BY_NAME["tickSize"], {**head, "size": size}, 178)
        + encode(OUTGOING_BY_NAME["tickGeneric"], {**head, "value": price}, 178)
        + encode(OUTGOING_BY_NAME["tickString"], {**head, "value": "a;b"}, 178)
    )
    assert tick_frames(request_id, bodies) == by_table


async def test_each_subscriber_gets_the_ticks_under_its_own_id(make: MakeGateway, dial: Callable[..., Any]) -> None:
    gateway, _, aapl = await make(quoted())
    wires = [await dial(client_id, port=gateway.port) for client_id in (2, 3)]
    for wire, request_id in zip(wires, (7, 8888), strict=True):
        wire.send(1, version=11, reqId=request_id, conId=aapl.conId, exchange="SMART")
        await wire.until("tickGeneric")

    gateway.quote("AAPL", 101.0, 100.02, bid_size=200)

    for wire, its_id in zip(wires, ("7", "8888"), strict=True):
        seen = await wire.until("tickSize")
        assert [(name, texts["reqId"], texts.get("price"), texts["size"]) for name, texts in seen] == [
            ("tickPrice", its_id, "101.0", "200"),
            ("tickSize", its_id, None, "200"),
        ]


# ---- halts and silence --------------------------------------------------------------------------------------------


async def test_nothing_is_quoted_traded_or_filled_during_a_halt(make: MakeGateway) -> None:
    script = quoted().quote("AAPL", 100.10, 100.12, at=2).trade("AAPL", 100.11, at=2)
    gateway, client, aapl = await make(script)
    ticker = client.reqMktData(aapl)
    await client.reqCurrentTimeAsync()

    gateway.tape.halt("AAPL")
    trade = client.placeOrder(aapl, ib.MarketOrder("BUY", 10))
    gateway.advance(3)
    await client.reqCurrentTimeAsync()
    during = (ticker.halted, ticker.bid, ticker.bidSize, ticker.lastSize > 0, trade.orderStatus.filled)
    gateway.tape.resume("AAPL")
    await client.reqCurrentTimeAsync()

    assert during == (1, -1, 0, False, 0)
    # It opens again at the quote the source has by then.
    assert (ticker.halted, ticker.bid, ticker.ask) == (0, 100.10, 100.12)
    assert (trade.orderStatus.status, trade.orderStatus.avgFillPrice) == ("Filled", 100.12)


async def test_a_stale_market_is_silent_while_orders_fill(make: MakeGateway) -> None:
    gateway, client, aapl = await make(quoted())
    ticker = client.reqMktData(aapl)
    await client.reqCurrentTimeAsync()

    gateway.tape.stale("AAPL", True)
    gateway.quote("AAPL", 90.00, 90.02)
    trade = client.placeOrder(aapl, ib.MarketOrder("BUY", 10))
    await client.reqCurrentTimeAsync()
    during = (ticker.bid, trade.orderStatus.avgFillPrice)
    gateway.tape.stale("AAPL", False)
    gateway.quote("AAPL", 90.01, 90.02)
    await client.reqCurrentTimeAsync()

    assert during == (100.00, 90.02)
    assert (ticker.bid, ticker.ask) == (90.01, 90.02)


# ---- rights and kinds of data -------------------------------------------------------------------------------------


async def test_without_a_right_to_live_data_a_line_is_error_354(make: MakeGateway) -> None:
    _, client, aapl = await make(quoted(), data="delayed")
    codes = heard(client)

    client.reqMktData(aapl)
    client.reqTickByTickData(aapl, "AllLast")
    client.reqRealTimeBars(aapl, 5, "TRADES", False)
    await client.reqCurrentTimeAsync()

    assert codes == [354, 10189, 420]


async def test_delayed_data_have_a_warning_a_kind_and_tick_types_of_their_own(
    make: MakeGateway, dial: Callable[..., Any]
) -> None:
    gateway, _, aapl = await make(quoted().trade("AAPL", 100.01, 300, at=0), data="delayed")
    wire = await dial(port=gateway.port)

    wire.send(59, marketDataType=3)
    wire.send(1, version=11, reqId=7, conId=aapl.conId, exchange="SMART")
    seen = await wire.until("tickGeneric")

    told = [(name, texts) for name, texts in seen if name != "errMsg" or texts["errorCode"] == "10167"]
    assert [name for name, _ in told[:3]] == ["errMsg", "tickReqParams", "marketDataType"]
    assert told[2][1]["marketDataType"] == "3"
    types = {texts["tickType"] for name, texts in told if name.startswith("tick") and "tickType" in texts}
    assert types == {"66", "67", "69", "70", "68", "71", "72", "73", "74", "76", "88", "90"}


async def test_who_has_live_data_gets_it_whatever_is_asked_for(make: MakeGateway) -> None:
    _, client, aapl = await make(quoted())
    codes = heard(client)

    client.reqMarketDataType(3)
    ticker = client.reqMktData(aapl)
    await client.reqCurrentTimeAsync()

    assert (codes, ticker.marketDataType, ticker.bid) == ([], 1, 100.00)


# ---- hours --------------------------------------------------------------------------------------------------------


async def test_after_the_last_close_nothing_is_quoted_and_frozen_data_stay(make: MakeGateway) -> None:
    script = quoted().trade("AAPL", 100.01, 500, at=1).quote("AAPL", 50.0, 50.1, at=11 * HOUR)
    gateway, client, aapl = await make(script, hours="exchange")
    other = ib.IB()
    await other.connectAsync("127.0.0.1", gateway.port, clientId=2)
    ticker = client.reqMktData(aapl)
    other.reqMarketDataType(2)
    frozen = other.reqMktData(aapl)
    await client.reqCurrentTimeAsync()

    # From 10:00 to 20:00 in New York.
    gateway.advance(10 * HOUR - 1)
    for each in (client, other):
        await each.reqCurrentTimeAsync()
    before = (ticker.bid, frozen.bid, frozen.marketDataType)
    gateway.advance(2 * HOUR)
    for each in (client, other):
        await each.reqCurrentTimeAsync()
    other.disconnect()

    assert before == (100.00, 100.00, 1)
    assert (ticker.bid, ticker.ask, ticker.marketDataType) == (-1, -1, 1)
    assert (frozen.bid, frozen.ask, frozen.marketDataType) == (100.00, 100.02, 2)


async def test_a_new_day_has_the_last_close_and_no_figures_of_its_own(make: MakeGateway) -> None:
    script = (
        quoted()
        .trade("AAPL", 100.01, 500, at=1)
        # 17:00 and 5:00 are outside the regular session: neither is the close, nor does it count for a day.
        .trade("AAPL", 103.0, 900, at=7 * HOUR)
        .trade("AAPL", 104.0, 900, at=19 * HOUR)
        .trade("AAPL", 102.0, 700, at=23.5 * HOUR + 60)
    )
    gateway, client, aapl = await make(script, hours="exchange")
    ticker = client.reqMktData(aapl)

    gateway.advance(20 * HOUR)
    await client.reqCurrentTimeAsync()
    night = (ticker.volume, ticker.high, ticker.last)
    # 9:31 on Tuesday.
    gateway.advance(3.5 * HOUR + 60)
    ticks = await client.reqTickersAsync(aapl)

    assert night == (500, 100.01, 104.0)
    [morning] = ticks
    assert (morning.close, morning.open, morning.volume) == (100.01, 102.0, 700)


async def test_day_and_night_the_market_trades_when_hours_do_not_matter(make: MakeGateway) -> None:
    script = quoted().quote("AAPL", 50.0, 50.1, at=11 * HOUR)
    gateway, client, aapl = await make(script)
    ticker = client.reqMktData(aapl)

    gateway.advance(11 * HOUR)
    await client.reqCurrentTimeAsync()

    assert (ticker.bid, ticker.marketDataType) == (50.0, 1)


# ---- ticks --------------------------------------------------------------------------------------------------------


async def test_ticks_of_the_past_come_before_the_ones_that_happen(make: MakeGateway, dial: Callable[..., Any]) -> None:
    script = MarketScript()
    for number in range(5):
        script.trade("AAPL", 100.0 + number, at=number - 5)
    gateway, _, aapl = await make(script)
    wire = await dial(port=gateway.port)

    wire.send(97, reqId=7, conId=aapl.conId, exchange="SMART", tickType="Last", numberOfTicks=2, ignoreSize=False)
    [*_, (name, texts)] = await wire.until("historicalTicksLast")
    gateway.trade("AAPL", 200.0)
    [*_, (_, tick)] = await wire.until("tickByTick")

    assert (name, texts["reqId"], texts["done"]) == ("historicalTicksLast", "7", "1")
    assert (tick["price"], int(tick["time"])) == ("200.0", TEN // SECOND)


async def test_quotes_that_change_in_size_alone_may_be_left_out(make: MakeGateway) -> None:
    gateway, client, aapl = await make(quoted())
    ticker = client.reqTickByTickData(aapl, "BidAsk", ignoreSize=True)
    await client.reqCurrentTimeAsync()

    seen: list[float] = []
    client.pendingTickersEvent += lambda _tickers: seen.extend(tick.askPrice for tick in ticker.tickByTicks)
    gateway.quote("AAPL", 100.00, 100.03, bid_size=100)
    gateway.quote("AAPL", 100.00, 100.03, bid_size=900)
    gateway.quote("AAPL", 100.00, 100.04, bid_size=900)
    await client.reqCurrentTimeAsync()

    assert seen == [100.03, 100.04]


async def test_generic_ticks_come_with_each_trade(make: MakeGateway) -> None:
    gateway, client, aapl = await make(quoted())
    ticker = client.reqMktData(aapl, "233,293,236,221")
    await client.reqCurrentTimeAsync()

    gateway.trade("AAPL", 100.0, 100)
    gateway.trade("AAPL", 103.0, 200)
    await client.reqCurrentTimeAsync()

    # A hundred at 100 and two hundred at 103 are 300 at 102 on average.
    assert (ticker.rtVolume, ticker.vwap, ticker.tradeCount, ticker.markPrice) == (300, 102.0, 2, 103.0)
    assert ticker.shortableShares > 0


@pytest.mark.parametrize(
    ("generics", "is_snapshot"), [("233,4711", False), ("233", True)], ids=["unknown", "with a snapshot"]
)
async def test_generic_ticks_that_cannot_be_had_are_error_321(
    generics: str, is_snapshot: bool, make: MakeGateway
) -> None:
    _, client, aapl = await make(quoted())
    codes = heard(client)

    client.client.reqMktData(77, aapl, generics, is_snapshot, False, [])
    await client.reqCurrentTimeAsync()

    assert codes == [321]
