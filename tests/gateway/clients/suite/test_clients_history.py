"""History: bars, bars that are kept up to date, ticks, a histogram, sessions, and the head timestamp."""

from __future__ import annotations

import datetime as dt

import pytest

from ibdesk.gateway import Gateway, MarketSource, Replay

OPENED_AT = dt.datetime(2026, 4, 13, 14, 0, tzinfo=dt.UTC)


@pytest.fixture
def market(played: Replay) -> MarketSource:
    return played


async def history(client, contract, duration: str, size: str, *, what: str = "TRADES", end="", **more):
    return await client.reqHistoricalDataAsync(contract, end, duration, size, what, False, **more)


async def test_bars_end_with_the_one_in_the_making(client, aapl, gateway: Gateway) -> None:
    gateway.advance(5)

    bars = await history(client, aapl, "60 S", "5 secs", formatDate=2)

    assert [(bar.date, bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in bars] == [
        (OPENED_AT - dt.timedelta(seconds=5), 99.0, 101.0, 98.0, 100.0, 400.0),
        (OPENED_AT, 100.0, 102.0, 99.0, 101.0, 1000.0),
        (OPENED_AT + dt.timedelta(seconds=5), 101.0, 101.0, 101.0, 101.0, 200.0),
    ]


async def test_times_of_bars_carry_their_zone(client, aapl) -> None:
    [bar, _] = await history(client, aapl, "60 S", "5 secs")

    assert bar.date == OPENED_AT - dt.timedelta(seconds=5)


async def test_larger_bars_come_from_the_same_trades(client, aapl, gateway: Gateway) -> None:
    gateway.advance(14.9)

    bars = await history(client, aapl, "1 D", "1 min")

    # 13:59:55 is in the minute before.
    assert [(bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in bars] == [
        (99.0, 101.0, 98.0, 100.0, 400.0),
        (100.0, 104.0, 99.0, 103.0, 3001.0),
    ]


async def test_bars_of_days_carry_a_date(client, aapl) -> None:
    [bar] = await history(client, aapl, "1 D", "1 day")

    assert bar.date == dt.date(2026, 4, 13)


async def test_an_end_time_leaves_out_later_events(client, aapl, gateway: Gateway) -> None:
    gateway.advance(10)

    bars = await history(client, aapl, "60 S", "5 secs", end=OPENED_AT)

    assert [bar.open for bar in bars] == [99.0]


@pytest.mark.parametrize(("what", "close"), [("BID", 99.99), ("ASK", 100.0), ("MIDPOINT", 99.995)])
async def test_quotes_have_a_history_without_volume(client, aapl, what: str, close: float) -> None:
    bars = await history(client, aapl, "60 S", "5 secs", what=what, end=OPENED_AT)

    assert [(bar.close, bar.volume, bar.barCount) for bar in bars] == [(pytest.approx(close), -1, -1)]


async def test_no_data_is_error_162(ib, client, announced, errors) -> None:
    announced.add(162)
    [ibm] = await client.qualifyContractsAsync(ib.Stock("IBM", "SMART", "USD"))

    assert list(await history(client, ibm, "1 D", "1 min")) == []
    assert errors[-1][1] == 162
    assert "HMDS query returned no data" in errors[-1][2]


async def test_bars_kept_up_to_date_follow_the_market(client, aapl, gateway: Gateway, announced, until) -> None:
    announced.add(162)
    bars = await history(client, aapl, "60 S", "10 secs", keepUpToDate=True)
    assert [(bar.open, bar.close) for bar in bars] == [(99.0, 100.0), (100.0, 100.0)]

    gateway.advance(10)
    await until(client, lambda: bars[-1].volume == 1801.0)
    # The first two rows make up the ten seconds.
    assert [(bar.open, bar.high, bar.low, bar.close) for bar in bars] == [
        (99.0, 101.0, 98.0, 100.0),
        (100.0, 103.0, 99.0, 102.5),
    ]
    gateway.advance(5)
    await until(client, lambda: len(bars) == 3)

    assert (bars[-1].open, bars[-1].close) == (102.5, 103.0)
    client.cancelHistoricalData(bars)
    await client.reqCurrentTimeAsync()


async def test_the_head_is_the_first_row(client, aapl) -> None:
    assert await client.reqHeadTimeStampAsync(aapl, "TRADES", False, 2) == OPENED_AT - dt.timedelta(seconds=5)


async def test_past_ticks_of_three_kinds_are_sent(client, aapl) -> None:
    trades = await client.reqHistoricalTicksAsync(aapl, "", OPENED_AT, 3, "TRADES", False)
    quotes = await client.reqHistoricalTicksAsync(aapl, "", OPENED_AT, 1, "BID_ASK", False)
    middles = await client.reqHistoricalTicksAsync(aapl, "", OPENED_AT, 1, "MIDPOINT", False)

    # The past row ran 99, 98, 101, 100 with a quarter of 400 shares each.
    assert [(tick.price, tick.size) for tick in trades] == [(98.0, 100), (101.0, 100), (100.0, 100)]
    assert [(tick.priceBid, tick.priceAsk) for tick in quotes] == [(99.99, 100.0)]
    assert [tick.price for tick in middles] == [pytest.approx(99.995)]


async def test_past_ticks_from_a_start_on_are_sent(client, aapl) -> None:
    start = OPENED_AT - dt.timedelta(seconds=5)

    trades = await client.reqHistoricalTicksAsync(aapl, start, "", 2, "TRADES", False)

    assert [(tick.price, tick.time) for tick in trades] == [
        (99.0, start),
        (98.0, start + dt.timedelta(seconds=1)),
    ]


async def test_a_histogram_counts_the_shares_at_each_price(client, aapl) -> None:
    items = await client.reqHistogramDataAsync(aapl, False, "1 day")

    # A quarter of 400 shares at each price of the past row, and 250 of the row that has begun.
    assert {item.price: item.count for item in items} == {98.0: 100, 99.0: 100, 100.0: 350, 101.0: 100}


async def test_the_sessions_of_the_past_are_sent(client, aapl) -> None:
    schedule = await client.reqHistoricalScheduleAsync(aapl, 2, dt.datetime(2026, 4, 11, tzinfo=dt.UTC))

    # Saturday 11 April 2026 in London is Friday evening in New York.
    *_, thursday, friday = schedule.sessions
    assert (thursday.refDate, friday.refDate) == ("20260409", "20260410")
    assert (friday.startDateTime, friday.endDateTime) == ("20260410-09:30:00", "20260410-16:00:00")
    assert schedule.timeZone == "US/Eastern"
