"""A market of given prices: clients see what the script says, in time, order and history."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import ib_async as ib
import pytest

from ibdesk.clock import ManualClock
from ibdesk.errors import DataError
from ibdesk.gateway import Gateway, GatewayThread
from ibdesk.gateway.market.script import MarketScript
from ibdesk.model import nanoseconds

OPENED_AT = dt.datetime(2026, 4, 13, 14, 0, tzinfo=dt.UTC)
"""Monday, 13 April 2026, 10:00 in New York."""
T0 = nanoseconds(OPENED_AT)


@pytest.fixture
def script() -> MarketScript:
    """Two past trades, then a quote, a trade inside it, and the next quote."""
    return (
        MarketScript()
        .trade("AAPL", 99.0, 300, at=-10)
        .trade("AAPL", 99.5, 100, at=-8)
        .quote("AAPL", 100.00, 100.02, at=0)
        .trade("AAPL", 100.01, 200, at=1.5)
        .quote("AAPL", 100.01, 100.03, at=1.5, bid_size=700)
    )


@pytest.fixture
async def scripted(script: MarketScript) -> AsyncIterator[Gateway]:
    """A gateway that plays the script, with a clock moved by the test."""
    async with Gateway(market=script, clock=ManualClock(T0)) as gateway:
        yield gateway


@pytest.fixture
async def client(scripted: Gateway) -> AsyncIterator[ib.IB]:
    """An ib_async client of that gateway."""
    client = ib.IB()
    yield await client.connectAsync("127.0.0.1", scripted.port, clientId=1, timeout=5)
    client.disconnect()


@pytest.fixture
async def aapl(client: ib.IB) -> ib.Contract:
    """AAPL as the gateway qualifies it."""
    [contract] = await client.qualifyContractsAsync(ib.Stock("AAPL", "SMART", "USD"))
    assert isinstance(contract, ib.Contract)
    return contract


def shown(ticker: ib.Ticker) -> tuple[float, float, float, float]:
    """Return bid, bid size, ask and last price."""
    return ticker.bid, ticker.bidSize, ticker.ask, ticker.last


async def test_a_client_sees_each_quote_and_trade_at_its_time(
    client: ib.IB, aapl: ib.Contract, scripted: Gateway
) -> None:
    ticker = client.reqMktData(aapl)
    await client.reqCurrentTimeAsync()
    at_opening = (ticker.bid, ticker.bidSize, ticker.ask, ticker.close)

    scripted.advance(1.499)
    await client.reqCurrentTimeAsync()
    before = (ticker.bid, ticker.hasBidAsk(), ticker.lastSize)
    scripted.advance(0.001)
    await client.reqCurrentTimeAsync()

    # The last trade of the past is the previous close.
    assert at_opening == (100.00, 100, 100.02, 99.5)
    assert before[:2] == (100.00, True)
    assert shown(ticker) == (100.01, 700, 100.03, 100.01)
    assert (ticker.lastSize, ticker.volume) == (200, 200)


async def test_history_is_the_given_events(client: ib.IB, aapl: ib.Contract, scripted: Gateway) -> None:
    scripted.advance(2)

    bars = await client.reqHistoricalDataAsync(aapl, "", "60 S", "5 secs", "TRADES", False, formatDate=2)
    bids = await client.reqHistoricalDataAsync(aapl, "", "60 S", "5 secs", "BID", False, formatDate=2)
    both = await client.reqHistoricalDataAsync(aapl, OPENED_AT, "60 S", "5 secs", "TRADES", False, formatDate=2)

    assert [(bar.date, bar.open, bar.close, bar.volume) for bar in bars] == [
        (OPENED_AT - dt.timedelta(seconds=10), 99.0, 99.5, 400),
        (OPENED_AT, 100.01, 100.01, 200),
    ]
    assert [(bar.open, bar.close, bar.volume) for bar in bids] == [(100.00, 100.01, -1)]
    assert len(both) == 1


async def test_bars_of_bid_and_ask_open_and_close_at_their_time_averages(
    client: ib.IB, aapl: ib.Contract, scripted: Gateway
) -> None:
    scripted.advance(5)

    [bar] = await client.reqHistoricalDataAsync(aapl, "", "60 S", "5 secs", "BID_ASK", False)

    # 1.5 seconds at 100.00 to 100.02 and 3.5 seconds a cent higher: a cent times 3.5 of 5 seconds is 0.007.
    assert (bar.open, bar.low, bar.high, bar.close) == (100.007, 100.00, 100.03, 100.027)


async def test_past_ticks_carry_the_quotes_that_stood(client: ib.IB, aapl: ib.Contract, scripted: Gateway) -> None:
    scripted.advance(2)

    quotes = await client.reqHistoricalTicksAsync(aapl, OPENED_AT, "", 10, "BID_ASK", False)
    middles = await client.reqHistoricalTicksAsync(aapl, "", OPENED_AT + dt.timedelta(seconds=2), 1, "MIDPOINT", False)

    assert [(tick.priceBid, tick.priceAsk, tick.sizeBid) for tick in quotes] == [
        (100.00, 100.02, 100),
        (100.01, 100.03, 700),
    ]
    assert [tick.price for tick in middles] == [pytest.approx(100.02)]


async def test_a_quote_and_a_trade_by_hand_happen_now(client: ib.IB, aapl: ib.Contract, scripted: Gateway) -> None:
    scripted.advance(10)
    ticker = client.reqMktData(aapl)
    await client.reqCurrentTimeAsync()

    scripted.quote("AAPL", 250.0, 250.5, bid_size=300)
    scripted.trade("AAPL", 250.25, 50)
    await client.reqCurrentTimeAsync()
    bars = await client.reqHistoricalDataAsync(aapl, "", "5 S", "5 secs", "TRADES", False)

    assert shown(ticker) == (250.0, 300, 250.5, 250.25)
    assert [(bar.close, bar.volume) for bar in bars] == [(250.25, 50)]


async def test_an_order_fills_at_the_quote_that_was_said(client: ib.IB, aapl: ib.Contract, scripted: Gateway) -> None:
    trade = client.placeOrder(aapl, ib.LimitOrder("BUY", 10, 90.0))
    await client.reqCurrentTimeAsync()
    waited = trade.orderStatus.status

    scripted.quote("AAPL", 89.0, 89.5)
    await client.reqCurrentTimeAsync()

    assert waited == "Submitted"
    assert (trade.orderStatus.status, trade.orderStatus.avgFillPrice) == ("Filled", 89.5)


async def test_a_crossed_quote_and_a_missing_side_are_reported_unchanged(
    client: ib.IB, aapl: ib.Contract, scripted: Gateway
) -> None:
    ticker = client.reqMktData(aapl)
    await client.reqCurrentTimeAsync()

    scripted.quote("AAPL", 101.0, 100.0)
    await client.reqCurrentTimeAsync()
    crossed = (ticker.bid, ticker.ask)
    scripted.quote("AAPL", None, 100.0)
    await client.reqCurrentTimeAsync()

    assert crossed == (101.0, 100.0)
    assert (ticker.bid, ticker.bidSize, ticker.ask) == (-1, 0, 100.0)


def test_the_market_can_be_said_from_another_thread() -> None:
    with GatewayThread(Gateway(market=MarketScript(["AAPL"]), clock=ManualClock(T0))) as thread:
        thread.call(lambda: thread.gateway.quote("AAPL", 10.0, 10.1))

        quote = thread.call(lambda: thread.gateway.tape.quote("AAPL"))

    assert quote is not None
    assert (quote.bid, quote.ask, quote.at_ns) == (10.0, 10.1, T0)


async def test_a_name_that_is_not_a_contract_cannot_be_quoted(scripted: Gateway) -> None:
    with pytest.raises(DataError, match="'no such' is not a contract"):
        scripted.quote("no such", 1.0, 1.1)


async def test_a_script_that_is_played_takes_no_more(script: MarketScript, scripted: Gateway) -> None:
    with pytest.raises(DataError, match="use the running gateway's quote"):
        script.quote("AAPL", 1.0, 1.1, at=3)


@pytest.mark.parametrize(
    ("say", "words"),
    [
        (lambda script: script.quote("AAPL", -1.0, 2.0, at=0), "AAPL: bid must be positive"),
        (lambda script: script.quote("AAPL", 1.0, 2.0, at=0, ask_size=-5), "AAPL: ask_size must be zero or more"),
        (lambda script: script.trade("AAPL", float("nan"), at=0), "AAPL: the price of a trade must be positive"),
        (lambda script: script.trade("AAPL", 1.0, 0, at=0), "AAPL: the size of a trade must be positive"),
        (lambda script: script.trade("AAPL", 1.0, at=float("inf")), "AAPL: at must be seconds"),
    ],
)
def test_what_cannot_be_a_market_is_refused_by_name(say: Callable[[MarketScript], Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        say(MarketScript())


def test_a_file_says_the_same_as_the_code(tmp_path: Path, script: MarketScript) -> None:
    rows = tmp_path / "market.csv"
    rows.write_text(
        "symbol,at,bid,ask,bid_size,price,size\n"
        "AAPL,-10,,,,99.0,300\n"
        "AAPL,-8,,,,99.5,\n"
        "AAPL,0,100.00,100.02,,,\n"
        "AAPL,1.5,,,,100.01,200\n"
        "AAPL,1.5,100.01,100.03,700,,\n"
    )
    tables = tmp_path / "market.toml"
    tables.write_text(
        "events = [\n"
        '{symbol = "AAPL", at = -10, price = 99.0, size = 300},\n'
        '{symbol = "AAPL", at = -8, price = 99.5},\n'
        '{symbol = "AAPL", at = 0, bid = 100.00, ask = 100.02},\n'
        '{symbol = "AAPL", at = 1.5, price = 100.01, size = 200},\n'
        '{symbol = "AAPL", at = 1.5, bid = 100.01, ask = 100.03, bid_size = 700},\n'
        "]\n"
    )

    said = []
    for market in (script, MarketScript.read(rows), MarketScript.read(tables)):
        market.open(T0, {})
        said.append((list(market.events()), market.prints("AAPL", 0, T0).prices.tolist()))

    assert said[1] == said[0]
    assert said[2] == said[0]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("AAPL,0,,,,,", "row 1 of the script: a quote needs bid or ask, a trade needs price"),
        ("AAPL,,1,2,,,", "row 1 of the script: 'at' is missing"),
        ("AAPL,soon,1,2,,,", "row 1 of the script: could not convert"),
        ("AAPL,0,1,,,2,", "row 1 of the script: bid: not a field of a trade"),
    ],
)
def test_a_wrong_line_of_a_file_is_named(line: str, words: str, tmp_path: Path) -> None:
    rows = tmp_path / "market.csv"
    rows.write_text(f"symbol,at,bid,ask,bid_size,price,size\n{line}\n")

    with pytest.raises(DataError, match=words):
        MarketScript.read(rows)


def test_things_of_one_time_happen_in_the_order_they_were_said() -> None:
    script = (
        MarketScript()
        .trade("MSFT", 1.0, at=1)
        .trade("AAPL", 2.0, at=1)
        .trade("MSFT", 3.0, at=1)
        .trade("AAPL", 4.0, at=0)
    )
    script.open(T0, {})

    happened = [event for _, events in script.events() for event in events]

    assert [getattr(event, "price", None) for event in happened] == [4.0, 1.0, 2.0, 3.0]
