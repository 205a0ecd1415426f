"""The gateway accepts only prices on the contract's grid and whole sizes, as TWS does."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import ib_async as ib
import polars as pl
import pytest

from ibdesk.clock import ManualClock
from ibdesk.errors import DataError
from ibdesk.gateway import Gateway, MarketScript, Replay
from ibdesk.gateway.market.walk import RandomWalk
from ibdesk.model import nanoseconds

if TYPE_CHECKING:
    from tests.gateway.conftest import Until

OPENED_AT = dt.datetime(2026, 4, 13, 14, 0, tzinfo=dt.UTC)
OFF_THE_GRID = (110, "The price does not conform to the minimum price variation for this contract.")
PLACED, CHANGED = (
    f"Fractional-sized order cannot be {verb} via API. Please use desktop version to {doing} this order."
    for verb, doing in (("placed", "place"), ("modified", "revise"))
)


@pytest.fixture
def market() -> RandomWalk:
    prices = {"AAPL": 230.0, "EUR.USD": 1.08, "ES-202606": 5900.0, "SPX-IND": 5900.0, "PENY": 0.98}
    return RandomWalk(seed=1, prices=prices)


@pytest.fixture
async def gateway(market: RandomWalk) -> AsyncIterator[Gateway]:
    async with Gateway(market=market, clock=ManualClock(nanoseconds(OPENED_AT)), cash=1e8) as running:
        yield running


@pytest.fixture
def tolerated() -> set[int]:
    return {110, 321, 10242, 10243, 10318}


@pytest.fixture
def errors(client: ib.IB) -> list[tuple[int, str]]:
    heard: list[tuple[int, str]] = []
    client.errorEvent += lambda _id, code, text, _contract: heard.append((code, text))
    return heard


CONTRACTS = {
    "share": ib.Stock("AAPL", "SMART", "USD"),
    "penny share": ib.Stock("PENY", "SMART", "USD"),
    "future": ib.Future("ES", "202606", "CME"),
    "currency": ib.Forex("EURUSD"),
    "option": ib.Option("AAPL", "20260515", 230, "C", "SMART"),
    "index option": ib.Option("SPX", "20260424", 5900, "C", "SMART", tradingClass="SPXW"),
}


async def contract(client: ib.IB, name: str) -> ib.Contract:
    [found] = await client.qualifyContractsAsync(CONTRACTS[name])
    assert isinstance(found, ib.Contract)
    return found


@pytest.mark.parametrize(
    ("name", "side", "price", "is_taken"),
    [
        ("index option", "BUY", 5.05, False),
        ("index option", "SELL", 5.05, False),
        ("index option", "BUY", 5.1, True),
        ("index option", "BUY", 2.95, True),
        ("index option", "BUY", 2.97, False),
        ("penny share", "BUY", 0.9776, True),
        ("penny share", "BUY", 0.97765, False),
        ("share", "BUY", 100.005, False),
        ("share", "BUY", 0.0, False),
        ("future", "BUY", 5899.9, False),
        ("currency", "BUY", 1.07005, True),
    ],
)
async def test_a_price_off_the_grid_of_its_level_is_error_110(
    client: ib.IB,
    errors: list[tuple[int, str]],
    until: Until,
    name: str,
    side: str,
    price: float,
    is_taken: bool,
) -> None:
    trade = client.placeOrder(await contract(client, name), ib.LimitOrder(side, 1, price))
    await until(client, lambda: errors or trade.orderStatus.status in ("Submitted", "PreSubmitted", "Filled"))

    assert [code for code, _ in errors if code != 399] == ([] if is_taken else [321 if price == 0 else 110])


async def test_a_change_to_a_price_off_the_grid_leaves_the_order_as_it_is(
    client: ib.IB, errors: list[tuple[int, str]], until: Until
) -> None:
    option = await contract(client, "index option")
    trade = client.placeOrder(option, ib.LimitOrder("BUY", 1, 5.0))
    await until(client, lambda: trade.orderStatus.status in ("Submitted", "PreSubmitted"))

    client.placeOrder(option, ib.LimitOrder("BUY", 1, 5.05, orderId=trade.order.orderId))
    await until(client, lambda: errors)

    assert errors == [OFF_THE_GRID]


@pytest.mark.parametrize(
    ("name", "size", "refusal"),
    [
        ("share", 1.5, (10243, PLACED)),
        ("share", 53.4178, (10243, PLACED)),
        ("currency", 25_000.5, (10318, "This order doesn't support fractional quantity trading")),
        ("future", 1.5, (321, "Error validating request.-'gw' : cause - Order size does not conform to market rule.")),
        ("option", 0.5, (321, "Error validating request.-'gw' : cause - Order size does not conform to market rule.")),
    ],
)
async def test_a_fraction_is_refused(
    client: ib.IB, errors: list[tuple[int, str]], until: Until, name: str, size: float, refusal: tuple[int, str]
) -> None:
    client.placeOrder(await contract(client, name), ib.MarketOrder("BUY", size))
    await until(client, lambda: errors)

    assert errors == [refusal]
    assert client.fills() == []


async def test_a_change_to_a_fraction_is_refused_and_the_order_stays_open(
    client: ib.IB, errors: list[tuple[int, str]], until: Until
) -> None:
    share = await contract(client, "share")
    trade = client.placeOrder(share, ib.LimitOrder("BUY", 2, 100.0))
    await until(client, lambda: trade.orderStatus.status == "Submitted")

    client.placeOrder(share, ib.LimitOrder("BUY", 1.5, 100.0, orderId=trade.order.orderId))
    await until(client, lambda: errors)

    assert errors == [(10242, CHANGED)]
    assert [each.order.totalQuantity for each in await client.reqAllOpenOrdersAsync()] == [2]


@pytest.mark.parametrize(
    ("name", "rule", "steps", "size"),
    [
        # A US share is listed by ten thousandths and moves by a cent (captured for AAPL), below a dollar by less.
        ("share", 557, [(0.0, 0.0001), (1.0, 0.01)], 0.0001),
        ("index option", 110, [(0.0, 0.05), (3.0, 0.1)], 1.0),
        ("future", 67, [(0.0, 0.25)], 1.0),
        ("currency", 239, [(0.0, 0.00005)], 0.01),
    ],
)
async def test_the_details_of_a_contract_name_its_rule_and_its_size_increment(
    client: ib.IB, name: str, rule: int, steps: list[tuple[float, float]], size: float
) -> None:
    [details] = await client.reqContractDetailsAsync(CONTRACTS[name])

    assert set(details.marketRuleIds.split(",")) == {str(rule)}
    told = await client.reqMarketRuleAsync(rule) or []
    assert [(each.lowEdge, each.increment) for each in told] == steps
    assert (details.minSize, details.sizeIncrement) == (size, size)


async def test_quotes_of_index_options_lie_on_their_grid(client: ib.IB, gateway: Gateway, until: Until) -> None:
    cheap, dear = ib.Option("SPX", "20260424", 6250, "C", "SMART"), CONTRACTS["index option"]
    found = await client.qualifyContractsAsync(cheap, dear)
    tickers = [client.reqMktData(option) for option in found if isinstance(option, ib.Contract)]
    assert len(tickers) == 2
    gateway.advance(2.0)
    await until(client, lambda: all(ticker.ask > 0 for ticker in tickers))

    for ticker in tickers:
        step = 0.1 if ticker.ask >= 3 else 0.05
        assert ticker.ask / step == pytest.approx(round(ticker.ask / step), abs=1e-6)


@pytest.mark.parametrize("name", ["option", "share"])
async def test_a_limit_order_outside_hours_is_held_for_the_next_session(name: str) -> None:
    # A Sunday evening in New York; the option has no quote yet.
    sunday = nanoseconds(dt.datetime(2026, 4, 13, 2, 0, tzinfo=dt.UTC))
    market = RandomWalk(seed=1, prices={"AAPL": 230.0})
    async with Gateway(market=market, clock=ManualClock(sunday), hours="exchange") as gateway:
        client = ib.IB()
        errors: list[tuple[int, str]] = []
        await client.connectAsync("127.0.0.1", gateway.port, clientId=1)
        client.errorEvent += lambda _id, code, text, _contract: errors.append((code, text.splitlines()[-1]))
        trade = client.placeOrder(await contract(client, name), ib.LimitOrder("BUY", 1, 5.0))
        async with asyncio.timeout(5):
            while not errors:
                await client.updateEvent
        [still] = await client.reqAllOpenOrdersAsync()
        client.disconnect()

    held = "Warning: Your order will not be placed at the exchange until 2026-04-13 09:30:00 US/Eastern"
    assert errors == [(399, held)]
    assert (still.order.orderId, still.orderStatus.status) == (trade.order.orderId, "PreSubmitted")


async def test_oil_trades_below_nothing(until: Until) -> None:
    # April 2020 again, on a contract of 2026: the market falls to -37.63, and a buy at -37.60 trades at the ask.
    script = MarketScript().quote("CLM6", -37.65, -37.62, at=0.5).trade("CL-202606", -37.63, at=0.6)
    async with Gateway(market=script, clock=ManualClock(nanoseconds(OPENED_AT))) as gateway:
        client = ib.IB()
        await client.connectAsync("127.0.0.1", gateway.port, clientId=1)
        [oil] = await client.qualifyContractsAsync(ib.Future("CL", "202606", "NYMEX"))
        assert isinstance(oil, ib.Contract)
        gateway.advance(1.0)
        trade = client.placeOrder(oil, ib.LimitOrder("BUY", 1, -37.6))
        await until(client, lambda: trade.fills)
        resting = client.placeOrder(oil, ib.LimitOrder("BUY", 1, -40.0))
        await until(client, lambda: resting.orderStatus.status == "Submitted")
        client.disconnect()

    assert [fill.execution.price for fill in trade.fills] == [-37.62]


@pytest.mark.parametrize("name", ["AAPL", "EUR.USD", "AAPL-20260515-C-230"])
def test_what_is_not_a_future_never_trades_at_nothing(name: str) -> None:
    with pytest.raises(DataError, match="must be positive"):
        MarketScript().trade(name, 0.0, at=1.0)
    frame = bar_frame(name, -1.0)
    with pytest.raises(DataError, match="only futures trade at zero or below"):
        Replay(frame)


def test_a_replay_may_fall_below_nothing() -> None:
    Replay(bar_frame("CL-202606", -37.63))


def test_a_market_plays_ids_however_they_are_spelled() -> None:
    assert Replay(bar_frame("brk-b", 400.0)).symbols == ("BRK.B",)
    assert RandomWalk(1, ["EURUSD", "ESM6", "sap.de"]).symbols == ("EUR.USD", "ES-202606", "SAP@IBIS")


def bar_frame(name: str, price: float) -> pl.DataFrame:
    row = (name, OPENED_AT, *[price] * 4, 100.0)
    schema = ["symbol", "opened_at", "open", "high", "low", "close", "volume"]
    return pl.DataFrame([row], schema=schema, orient="row")
