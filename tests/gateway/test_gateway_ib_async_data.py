"""ib_async, unmodified, gets contracts, quotes, bars, ticks and history from the gateway."""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING

import ib_async as ib
import pytest

from ibdesk.clock import ManualClock
from ibdesk.gateway import Gateway

if TYPE_CHECKING:
    from tests.gateway.conftest import Connect, Until

OPENED_AT = dt.datetime(2026, 4, 13, 14, 0, tzinfo=dt.UTC)
"""When the market of the `gateway` fixture opens."""
EUR_USD = ib.Forex("EURUSD")


async def test_the_whole_start_up_ends_without_a_time_out(connect: Connect) -> None:
    client = await connect(1)

    assert client.client.serverVersion() == 178
    assert client.managedAccounts() == ["DU9000001"]
    values = {value.tag: value.value for value in client.accountValues()}
    assert values["NetLiquidation"] == values["TotalCashValue"] == "1000000.00"


async def test_client_zero_may_bind_orders_placed_by_hand(connect: Connect) -> None:
    assert (await connect(0)).isConnected()


async def test_a_known_share_is_qualified(aapl: ib.Contract) -> None:
    assert (aapl.conId, aapl.primaryExchange, aapl.tradingClass) == (265598, "NASDAQ", "NMS")


async def test_the_details_of_a_future_tell_multiplier_tick_and_hours(client: ib.IB) -> None:
    [details] = await client.reqContractDetailsAsync(ib.Future("ES", "202606", "CME"))

    assert details.contract is not None
    assert (details.contract.multiplier, details.minTick, details.contract.localSymbol) == ("50", 0.25, "ESM6")
    assert details.tradingHours.startswith("20260413:0000-20260414:0000;")


async def test_a_description_that_fits_several_contracts_returns_them_all(client: ib.IB) -> None:
    several = await client.reqContractDetailsAsync(ib.Future("ES", exchange="CME"))

    assert [details.contract.lastTradeDateOrContractMonth for details in several if details.contract] == [
        "20260618",
        "20260918",
        "20261218",
        "20270319",
    ]


async def test_an_unknown_symbol_is_error_200(client: ib.IB, tolerated: set[int]) -> None:
    tolerated.add(200)

    assert await client.qualifyContractsAsync(ib.Stock("NOSUCH", "SMART", "USD")) == [None]


async def test_matching_symbols_are_found_by_symbol_and_by_name(client: ib.IB) -> None:
    by_symbol = await client.reqMatchingSymbolsAsync("AAPL")
    by_name = await client.reqMatchingSymbolsAsync("microsoft")

    assert [found.contract.symbol for found in by_symbol or [] if found.contract] == ["AAPL"]
    assert [found.contract.symbol for found in by_name or [] if found.contract] == ["MSFT"]


async def test_quotes_and_trades_arrive_as_they_happen(
    client: ib.IB, aapl: ib.Contract, gateway: Gateway, until: Until
) -> None:
    ticker = client.reqMktData(aapl, "233")
    await until(client, lambda: ticker.last == 100.0)
    # Past row: closed at 100. First trade: 100.00 with a quarter of 1000 shares, quoted 99.99 to 100.00.
    assert (ticker.bid, ticker.ask, ticker.close, ticker.volume) == (99.99, 100.0, 100.0, 250)

    gateway.advance(1.25)
    await until(client, lambda: ticker.last == 99.0)

    assert (ticker.bid, ticker.ask, ticker.low, ticker.volume, ticker.rtVolume) == (98.99, 99.0, 99.0, 500, 500)


async def test_a_snapshot_ends(client: ib.IB, aapl: ib.Contract) -> None:
    [ticker] = await client.reqTickersAsync(aapl)

    assert ticker.last == 100.0


async def test_a_cancelled_line_is_silent(client: ib.IB, aapl: ib.Contract, gateway: Gateway, until: Until) -> None:
    ticker = client.reqMktData(aapl)
    await until(client, lambda: ticker.last == 100.0)
    client.cancelMktData(aapl)
    await client.reqCurrentTimeAsync()

    gateway.advance(5)
    await client.reqCurrentTimeAsync()

    assert ticker.last == 100.0


async def test_each_five_second_bar_is_exactly_the_row_that_was_played(
    client: ib.IB, aapl: ib.Contract, gateway: Gateway, until: Until
) -> None:
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


async def test_bars_of_quotes_carry_no_volume(client: ib.IB, aapl: ib.Contract, gateway: Gateway, until: Until) -> None:
    bars = client.reqRealTimeBars(aapl, 5, "BID", False)
    await client.reqCurrentTimeAsync()

    gateway.advance(5)
    await until(client, lambda: bars)

    [bar] = bars
    assert (bar.open_, bar.high, bar.low, bar.close) == (99.99, 101.99, 98.99, 100.99)
    assert (bar.volume, bar.wap, bar.count) == (-1, -1, -1)


async def test_currencies_have_middles_and_no_trades(
    client: ib.IB, gateway: Gateway, tolerated: set[int], until: Until
) -> None:
    tolerated.add(420)
    [pair] = await client.qualifyContractsAsync(EUR_USD)
    assert isinstance(pair, ib.Contract)
    bars = client.reqRealTimeBars(pair, 5, "MIDPOINT", False)
    refused = client.reqRealTimeBars(pair, 5, "TRADES", False)
    await client.reqCurrentTimeAsync()

    gateway.advance(5)
    await until(client, lambda: bars)

    # The quote around 1.2 is two ticks of 0.00005 wide: 1.19995 to 1.20005.
    assert bars[0].high == pytest.approx(1.2)
    assert not refused


async def test_ticks_arrive_one_by_one(client: ib.IB, aapl: ib.Contract, gateway: Gateway, until: Until) -> None:
    ticker = client.reqTickByTickData(aapl, "AllLast")
    middles = client.reqTickByTickData(aapl, "MidPoint")
    await client.reqCurrentTimeAsync()

    gateway.advance(1.25)
    await until(client, lambda: len(ticker.tickByTicks) == 2)

    assert middles is ticker
    assert {type(tick) for tick in ticker.tickByTicks} == {ib.TickByTickAllLast, ib.TickByTickMidPoint}
    [trade] = [tick for tick in ticker.tickByTicks if isinstance(tick, ib.TickByTickAllLast)]
    assert (trade.price, trade.size) == (99.0, 250)


async def history(client: ib.IB, contract: ib.Contract, duration: str, size: str, **more: object) -> ib.BarDataList:
    settings: dict[str, object] = {"whatToShow": "TRADES", "useRTH": False, "endDateTime": "", **more}
    return await client.reqHistoricalDataAsync(
        contract,
        durationStr=duration,
        barSizeSetting=size,
        **settings,  # type: ignore[arg-type]
    )


async def test_history_ends_with_the_bar_in_the_making(client: ib.IB, aapl: ib.Contract, gateway: Gateway) -> None:
    gateway.advance(5)

    bars = await history(client, aapl, "60 S", "5 secs", formatDate=2)

    assert [(bar.date, bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in bars] == [
        (OPENED_AT - dt.timedelta(seconds=5), 99.0, 101.0, 98.0, 100.0, 400.0),
        (OPENED_AT, 100.0, 102.0, 99.0, 101.0, 1000.0),
        (OPENED_AT + dt.timedelta(seconds=5), 101.0, 101.0, 101.0, 101.0, 200.0),
    ]


async def test_smaller_and_larger_bars_come_from_the_same_trades(
    client: ib.IB, aapl: ib.Contract, gateway: Gateway
) -> None:
    gateway.advance(14.9)

    minute = await history(client, aapl, "1 D", "1 min")
    seconds = await history(client, aapl, "5 S", "1 secs")

    # 13:59:55 is in the minute before.
    assert [(bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in minute] == [
        (99.0, 101.0, 98.0, 100.0, 400.0),
        (100.0, 104.0, 99.0, 103.0, 3001.0),
    ]
    assert [bar.close for bar in seconds] == [102.5, 102.0, 104.0, 103.0]


async def test_an_end_time_leaves_out_later_events(client: ib.IB, aapl: ib.Contract, gateway: Gateway) -> None:
    gateway.advance(10)

    bars = await history(client, aapl, "60 S", "5 secs", endDateTime=OPENED_AT)

    assert [bar.open for bar in bars] == [99.0]


async def test_no_data_is_error_162(client: ib.IB, tolerated: set[int]) -> None:
    tolerated.add(162)
    [ibm] = await client.qualifyContractsAsync(ib.Stock("IBM", "SMART", "USD"))
    assert isinstance(ibm, ib.Contract)

    assert list(await history(client, ibm, "1 D", "1 min")) == []


@pytest.mark.parametrize(("duration", "size"), [("1 X", "5 secs"), ("60 S", "7 secs")])
async def test_a_span_or_size_that_tws_does_not_know_is_error_321(
    client: ib.IB, aapl: ib.Contract, duration: str, size: str, until: Until
) -> None:
    errors: list[int] = []
    client.errorEvent += lambda _id, code, *_rest: errors.append(code)

    # ib_async takes 321 for a warning and would wait for ever: the raw request shows the error.
    client.client.reqHistoricalData(99, aapl, "", duration, size, "TRADES", 0, 1, False, [])
    await until(client, lambda: errors)

    assert errors == [321]


async def test_history_kept_up_to_date_follows_the_bar_in_the_making(
    client: ib.IB, aapl: ib.Contract, gateway: Gateway, tolerated: set[int], until: Until
) -> None:
    tolerated.add(162)
    bars = await history(client, aapl, "60 S", "10 secs", keepUpToDate=True)
    before = len(bars)

    gateway.advance(10)
    await until(client, lambda: bars[-1].volume == 1801.0)
    client.cancelHistoricalData(bars)
    await client.reqCurrentTimeAsync()

    assert len(bars) == before
    assert (bars[-1].open, bars[-1].high, bars[-1].low, bars[-1].close) == (100.0, 103.0, 99.0, 102.5)


async def test_the_head_of_the_history_is_the_first_row(client: ib.IB, aapl: ib.Contract) -> None:
    head = await client.reqHeadTimeStampAsync(aapl, "TRADES", False, 2)

    assert head == OPENED_AT - dt.timedelta(seconds=5)


async def test_past_ticks_are_the_trades_that_were(client: ib.IB, aapl: ib.Contract) -> None:
    ticks = await client.reqHistoricalTicksAsync(aapl, "", OPENED_AT, 3, "TRADES", False)
    quotes = await client.reqHistoricalTicksAsync(aapl, "", OPENED_AT, 1, "BID_ASK", False)

    assert [tick.price for tick in ticks] == [98.0, 101.0, 100.0]
    assert [(quote.priceBid, quote.priceAsk) for quote in quotes] == [(99.99, 100.0)]


async def test_a_histogram_counts_the_shares_at_each_price(client: ib.IB, aapl: ib.Contract) -> None:
    items = await client.reqHistogramDataAsync(aapl, False, "1 day")

    assert {item.price: item.count for item in items} == {98.0: 100, 99.0: 100, 100.0: 350, 101.0: 100}


async def test_small_questions_have_their_documented_answers(client: ib.IB) -> None:
    assert await client.reqCurrentTimeAsync() == OPENED_AT
    assert await client.reqNewsProvidersAsync() == []
    assert "ScanParameterResponse" in (await client.reqScannerParametersAsync())
    assert not await client.reqUserInfoAsync()
    assert [rule.increment for rule in (await client.reqMarketRuleAsync(26)) or []] == [0.01]


async def test_a_request_that_is_not_served_is_answered_with_an_error(
    client: ib.IB, aapl: ib.Contract, tolerated: set[int], until: Until
) -> None:
    tolerated.add(430)
    errors: list[tuple[int, int]] = []
    client.errorEvent += lambda request_id, code, *_rest: errors.append((request_id, code))

    client.client.reqFundamentalData(77, aapl, "ReportSnapshot", [])
    await until(client, lambda: errors)

    assert errors == [(77, 430)]


async def test_cancelling_an_unknown_request_is_error_300_or_366(
    client: ib.IB, tolerated: set[int], until: Until
) -> None:
    tolerated.update((300, 366))
    errors: list[int] = []
    client.errorEvent += lambda _id, code, *_rest: errors.append(code)

    client.client.cancelMktData(4711)
    client.client.cancelRealTimeBars(4712)
    client.client.cancelHistoricalData(4713)
    await until(client, lambda: len(errors) == 3)

    assert errors == [300, 300, 366]


async def test_after_the_replay_the_last_quote_stays(client: ib.IB, aapl: ib.Contract, gateway: Gateway) -> None:
    gateway.advance(3600)
    bars = client.reqRealTimeBars(aapl, 5, "TRADES", False)
    [ticker] = await client.reqTickersAsync(aapl)

    gateway.advance(10)
    await client.reqCurrentTimeAsync()

    assert (ticker.bid, ticker.last) == (102.99, 103.0)
    assert list(bars) == []
    assert not math.isnan(ticker.ask)


@pytest.mark.parametrize(
    ("hours", "regular", "extended"),
    [
        ("exchange", "20260413:0830-20260413:1600;", "20260412:1700-20260413:1600;"),
        ("always", "20260413:0000-20260414:0000;", "20260413:0000-20260414:0000;"),
    ],
)
async def test_a_gateway_reports_the_hours_that_it_keeps(hours, regular, extended) -> None:
    start_ns = int(OPENED_AT.timestamp()) * 1_000_000_000
    client = ib.IB()
    async with Gateway(clock=ManualClock(start_ns), hours=hours) as gateway:
        await client.connectAsync("127.0.0.1", gateway.port, clientId=1)
        [details] = await client.reqContractDetailsAsync(ib.Future("ES", "202606", "CME"))
        client.disconnect()

    assert details.liquidHours.startswith(regular)
    assert details.tradingHours.startswith(extended)
