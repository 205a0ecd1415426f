"""Market data: quotes, snapshots, tick by tick, 5-second bars, depth."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import AsyncIterator

import pytest

from ibdesk.clock import ManualClock
from ibdesk.gateway import Gateway, MarketSource, Replay

OPENED_AT = dt.datetime(2026, 4, 13, 14, 0, tzinfo=dt.UTC)


@pytest.fixture
def market(played: Replay) -> MarketSource:
    return played


async def test_a_line_begins_with_the_present_state_and_follows_the_market(
    client, aapl, gateway: Gateway, until
) -> None:
    ticker = client.reqMktData(aapl, "233")
    await until(client, lambda: ticker.last == 100.0)
    # The past row closed at 100. The first trade: 100.00 with a quarter of 1000 shares, quoted 99.99 to 100.00.
    assert (ticker.bid, ticker.ask, ticker.close, ticker.volume) == (99.99, 100.0, 100.0, 250)

    gateway.advance(1.25)
    await until(client, lambda: ticker.last == 99.0)

    assert (ticker.bid, ticker.ask, ticker.low, ticker.high) == (98.99, 99.0, 99.0, 100.0)
    assert (ticker.volume, ticker.lastSize) == (500, 250)


async def test_sizes_of_quotes_are_shares(client, aapl, gateway: Gateway, until) -> None:
    ticker = client.reqMktData(aapl)
    gateway.quote("AAPL", 99.50, 99.60, bid_size=300, ask_size=700)

    await until(client, lambda: ticker.bid == 99.50 and ticker.ask == 99.60)

    assert (ticker.bidSize, ticker.askSize) == (300, 700)


async def test_a_snapshot_ends(client, aapl) -> None:
    [ticker] = await client.reqTickersAsync(aapl)

    assert (ticker.bid, ticker.ask, ticker.last) == (99.99, 100.0, 100.0)


async def test_a_cancelled_line_is_silent(client, aapl, gateway: Gateway, until) -> None:
    ticker = client.reqMktData(aapl)
    await until(client, lambda: ticker.last == 100.0)
    client.cancelMktData(aapl)
    await client.reqCurrentTimeAsync()

    gateway.advance(5)
    await client.reqCurrentTimeAsync()

    assert ticker.last == 100.0


async def test_asking_for_delayed_data_is_no_error(client, aapl, until) -> None:
    client.reqMarketDataType(3)
    ticker = client.reqMktData(aapl)

    await until(client, lambda: ticker.last == 100.0)


async def test_options_are_quoted_with_their_greeks(ib, client, aapl, until) -> None:
    [chain, *_] = await client.reqSecDefOptParamsAsync("AAPL", "", "STK", aapl.conId)
    expiry = sorted(chain.expirations)[-1]
    pair = await client.qualifyContractsAsync(
        *(ib.Option("AAPL", expiry, 100.0, right, "SMART", currency="USD") for right in "CP")
    )

    tickers = [client.reqMktData(option) for option in pair]
    await until(client, lambda: all(ticker.modelGreeks for ticker in tickers))

    call, put = (ticker.modelGreeks for ticker in tickers)
    # At the money a call's delta is a little above a half.
    assert 0.5 < call.delta < 0.75
    # A call and a put sold are the share: together they have its delta of one (less what dividends take), no gamma,
    # and cost what it costs less the strike, which is discounted by at most a tenth a year.
    assert call.delta - put.delta == pytest.approx(1.0, abs=0.05)
    assert call.gamma == pytest.approx(put.gamma, rel=0.05)
    assert -5.0 < call.optPrice - put.optPrice < 10.0
    assert call.gamma > 0 > call.theta
    assert call.undPrice == pytest.approx(100.0, abs=0.01)
    for ticker in tickers:
        assert ticker.bid <= ticker.modelGreeks.optPrice + 0.05
        assert ticker.ask >= ticker.modelGreeks.optPrice - 0.05
        assert ticker.bid < ticker.ask


@pytest.mark.parametrize("kind", ["Last", "AllLast"])
async def test_every_trade_arrives_tick_by_tick(ib, client, aapl, gateway: Gateway, until, kind: str) -> None:
    ticker = client.reqTickByTickData(aapl, kind)
    await client.reqCurrentTimeAsync()
    heard: list = []
    ticker.updateEvent += lambda ticker: heard.extend(ticker.tickByTicks)

    gateway.trade("AAPL", 100.25, 40)
    gateway.trade("AAPL", 100.30, 60)
    await until(client, lambda: len(heard) == 2)

    assert [(tick.price, tick.size) for tick in heard] == [(100.25, 40), (100.30, 60)]
    client.cancelTickByTickData(aapl, kind)


async def test_every_quote_arrives_tick_by_tick(client, aapl, gateway: Gateway, until) -> None:
    ticker = client.reqTickByTickData(aapl, "BidAsk")
    await client.reqCurrentTimeAsync()
    heard: list = []
    ticker.updateEvent += lambda ticker: heard.extend(ticker.tickByTicks)

    gateway.quote("AAPL", 99.50, 99.60, bid_size=300, ask_size=700)
    await until(client, lambda: heard)

    [tick] = heard
    assert (tick.bidPrice, tick.askPrice, tick.bidSize, tick.askSize) == (99.50, 99.60, 300, 700)


async def test_every_middle_arrives_tick_by_tick(client, aapl, gateway: Gateway, until) -> None:
    ticker = client.reqTickByTickData(aapl, "MidPoint")
    await client.reqCurrentTimeAsync()
    heard: list = []
    ticker.updateEvent += lambda ticker: heard.extend(ticker.tickByTicks)

    gateway.quote("AAPL", 99.50, 99.60)
    await until(client, lambda: heard)

    assert [tick.midPoint for tick in heard] == [pytest.approx(99.55)]


async def test_each_five_second_bar_is_the_row_that_was_played(client, aapl, gateway: Gateway, until) -> None:
    bars = client.reqRealTimeBars(aapl, 5, "TRADES", False)
    await client.reqCurrentTimeAsync()

    gateway.advance(15)
    await until(client, lambda: len(bars) == 3)

    assert [(bar.open_, bar.high, bar.low, bar.close, bar.volume, bar.count) for bar in bars] == [
        (100.0, 102.0, 99.0, 101.0, 1000.0, 4),
        (101.0, 103.0, 100.5, 102.5, 801.0, 4),
        (102.5, 104.0, 102.0, 103.0, 1200.0, 4),
    ]
    assert [bar.time for bar in bars] == [OPENED_AT + dt.timedelta(seconds=5 * index) for index in range(3)]
    # A quarter each at 100, 99, 102 and 101.
    assert bars[0].wap == pytest.approx(100.5)
    client.cancelRealTimeBars(bars)


async def test_bars_of_currencies_are_middles(ib, client, gateway: Gateway, until) -> None:
    [pair] = await client.qualifyContractsAsync(ib.Forex("EURUSD"))
    bars = client.reqRealTimeBars(pair, 5, "MIDPOINT", False)
    await client.reqCurrentTimeAsync()

    gateway.advance(5)
    await until(client, lambda: bars)

    # The quote around 1.2 is two ticks of 0.00005 wide: 1.19995 to 1.20005.
    assert (bars[0].high, bars[0].low) == (pytest.approx(1.2), pytest.approx(1.0))
    assert (bars[0].volume, bars[0].count) == (-1, -1)


async def test_trades_of_currencies_are_refused(ib, client, announced, errors) -> None:
    announced.update((420, 162))
    [pair] = await client.qualifyContractsAsync(ib.Forex("EURUSD"))

    bars = client.reqRealTimeBars(pair, 5, "TRADES", False)
    await client.reqCurrentTimeAsync()

    assert errors[-1][1] == 420
    assert not bars


@pytest.mark.parametrize("smart", [False, True])
async def test_depth_has_the_quote_at_its_top(client, aapl, gateway: Gateway, until, announced, smart: bool) -> None:
    # 2152 names the venues in a smart book.
    announced.add(2152)
    ticker = client.reqMktDepth(aapl, numRows=5, isSmartDepth=smart)
    await until(client, lambda: len(ticker.domBids) == 5 and len(ticker.domAsks) == 5)
    bids, asks = [level.price for level in ticker.domBids], [level.price for level in ticker.domAsks]
    assert (bids[0], asks[0]) == (99.99, 100.0)
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert all(level.size > 0 for level in [*ticker.domBids, *ticker.domAsks])
    assert all(level.marketMaker for level in ticker.domBids) is smart

    gateway.quote("AAPL", 101.00, 101.05, bid_size=300, ask_size=700)
    await until(client, lambda: ticker.domBids[0].price == 101.00 and ticker.domAsks[0].price == 101.05)

    client.cancelMktDepth(aapl, isSmartDepth=smart)
    await client.reqCurrentTimeAsync()


class TestWithoutLiveData:
    """A gateway whose account has delayed data only."""

    @pytest.fixture
    async def gateway(self, market: MarketSource, clock: ManualClock) -> AsyncIterator[Gateway]:
        async with Gateway(market=market, clock=clock, data="delayed") as running:
            yield running

    async def test_a_line_is_refused_to_a_client_that_wants_live_data(self, client, aapl, announced, errors) -> None:
        announced.update((354, 10089, 10168))

        ticker = client.reqMktData(aapl)
        await client.reqCurrentTimeAsync()

        assert math.isnan(ticker.bid)
        assert {error[1] for error in errors if error[0] != -1} <= {354, 10089, 10168}
        assert errors[-1][0] != -1

    async def test_a_client_that_takes_delayed_data_gets_it(self, client, aapl, until, announced, errors) -> None:
        announced.add(10167)
        client.reqMarketDataType(3)

        ticker = client.reqMktData(aapl)
        await until(client, lambda: ticker.last == 100.0)

        assert (ticker.bid, ticker.ask, ticker.marketDataType) == (99.99, 100.0, 3)
        assert [error[1] for error in errors if error[0] != -1] == [10167]
