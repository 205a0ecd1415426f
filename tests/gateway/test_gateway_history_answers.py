"""Requests for history: trading hours, days, sessions, long answers over many turns, and refusals."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable
from typing import Any

import ib_async as ib
import numpy as np
import pytest

from ibdesk.clock import SECOND, ManualClock
from ibdesk.gateway import Gateway, RandomWalk
from ibdesk.gateway.market.bars import MONTH, WEEK, opened_of
from ibdesk.gateway.market.script import MarketScript
from ibdesk.gateway.market.time_slicer import SlicedJob, TimeSlicer
from ibdesk.gateway.protocol.framing import FrameReader
from ibdesk.model import nanoseconds

# Tuesday, 14 April 2026, 10:00 in New York, which is four hours behind UTC.
TUESDAY = dt.datetime(2026, 4, 14, 14, 0, tzinfo=dt.UTC)
T0 = nanoseconds(TUESDAY)
HOUR = 3600.0
AAPL = {"conId": 265598, "symbol": "AAPL", "secType": "STK", "exchange": "SMART", "currency": "USD"}
ASKED = {**AAPL, "endDateTime": "", "useRTH": False, "whatToShow": "TRADES", "formatDate": 1, "includeExpired": False}
DAYS_OF_5_SECONDS = {"durationStr": "3 D", "barSizeSetting": "5 secs"}
"""Three days have 51,840 bars of five seconds."""


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., Any]]:
    """Starts gateways, each with an ib_async client and its qualified AAPL."""
    ends: list[Any] = []

    async def make(market: Any, **settings: Any) -> tuple[Gateway, ib.IB, ib.Contract]:
        gateway = Gateway(market=market, clock=ManualClock(T0), **settings)
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


@pytest.fixture
def days() -> MarketScript:
    """Trades on Friday, Monday and Tuesday, each day before, in and after the regular session."""
    script = MarketScript()
    for day, price in ((-4, 100.0), (-1, 110.0), (0, 120.0)):
        # At 8:00, 9:45 and 17:00 in New York, where Tuesday's 17:00 is not yet.
        for hour, more in ((-2, 1.0), (-0.25, 2.0), (7, 3.0)):
            script.trade("AAPL", price + more, 100, at=day * 24 * HOUR + hour * HOUR)
    return script


async def asked(client: ib.IB, contract: ib.Contract, duration: str, size: str, **more: Any) -> list[ib.BarData]:
    """Return bars; by default of all hours and of trades."""
    settings: dict[str, Any] = {"whatToShow": "TRADES", "useRTH": False, "endDateTime": "", "formatDate": 2, **more}
    return list(await client.reqHistoricalDataAsync(contract, durationStr=duration, barSizeSetting=size, **settings))


async def refusal(client: ib.IB, contract: ib.Contract, **more: Any) -> tuple[int, str]:
    """Return the error that answers a request for bars."""
    errors: list[tuple[int, str]] = []
    client.errorEvent += lambda _id, code, text, *_rest: errors.append((code, text))
    query = {"end": "", "size": "1 day", "what": "TRADES", **more}
    client.client.reqHistoricalData(99, contract, query["end"], "5 D", query["size"], query["what"], 0, 1, False, [])
    await client.reqCurrentTimeAsync()
    [error] = errors
    return error


# ---- trading hours ------------------------------------------------------------------------------------------------


async def test_regular_hours_leave_out_trades_before_and_after(make: Callable[..., Any], days: MarketScript) -> None:
    _, client, aapl = await make(days, hours="exchange")

    regular = await asked(client, aapl, "5 D", "1 min", useRTH=True)
    all_day = await asked(client, aapl, "5 D", "1 min")

    assert [bar.close for bar in regular] == [102.0, 112.0, 122.0]
    assert [bar.close for bar in all_day] == [101.0, 102.0, 103.0, 111.0, 112.0, 113.0, 121.0, 122.0]


async def test_a_day_is_the_session_and_a_week_begins_on_monday(make: Callable[..., Any], days: MarketScript) -> None:
    _, client, aapl = await make(days, hours="exchange")

    regular = await asked(client, aapl, "10 D", "1 day", useRTH=True)
    weeks = await asked(client, aapl, "10 D", "1 week", useRTH=True)

    assert [(bar.date, bar.close, bar.volume) for bar in regular] == [
        (dt.date(2026, 4, 10), 102.0, 100),
        (dt.date(2026, 4, 13), 112.0, 100),
        (dt.date(2026, 4, 14), 122.0, 100),
    ]
    assert [(bar.date, bar.open, bar.close) for bar in weeks] == [
        (dt.date(2026, 4, 6), 102.0, 102.0),
        (dt.date(2026, 4, 13), 112.0, 122.0),
    ]


async def test_where_hours_do_not_matter_regular_hours_leave_out_nothing(
    make: Callable[..., Any], days: MarketScript
) -> None:
    _, client, aapl = await make(days)

    assert len(await asked(client, aapl, "5 D", "1 min", useRTH=True)) == 8


async def test_the_sessions_of_a_span_are_sent(make: Callable[..., Any]) -> None:
    _, client, aapl = await make(MarketScript(["AAPL"]))

    schedule = await client.reqHistoricalScheduleAsync(aapl, 5)

    # Friday, Monday and Tuesday; five days before Tuesday is Thursday.
    assert schedule.timeZone == "US/Eastern"
    assert [(each.startDateTime, each.endDateTime) for each in schedule.sessions] == [
        (f"202604{day:02d}-09:30:00", f"202604{day:02d}-16:00:00") for day in (9, 10, 13, 14)
    ]


def test_months_begin_on_the_first_and_weeks_on_monday() -> None:
    times = np.array([nanoseconds(dt.datetime(2026, 3, day, 5, tzinfo=dt.UTC)) for day in (1, 2, 31)])

    months, weeks = (
        [dt.datetime.fromtimestamp(int(each) // SECOND, dt.UTC).date() for each in opened_of(times, interval_ns)]
        for interval_ns in (MONTH, WEEK)
    )

    assert months == [dt.date(2026, 3, 1)] * 3
    # 1 March 2026 is a Sunday.
    assert weeks == [dt.date(2026, 2, 23), dt.date(2026, 3, 2), dt.date(2026, 3, 30)]


# ---- long answers -------------------------------------------------------------------------------------------------


async def test_a_long_answer_is_made_over_many_turns_and_others_are_served_meanwhile(
    make: Callable[..., Any], dial: Callable[..., Any]
) -> None:
    gateway, _, _ = await make(RandomWalk(1, ["AAPL"]))
    wire = await dial(port=gateway.port)
    frames, seen = FrameReader(16 << 20), list[list[bytes]]()

    wire.send(20, version=6, reqId=7, **ASKED, **DAYS_OF_5_SECONDS)
    wire.send(49)
    async with asyncio.timeout(10):
        while not seen or seen[-1][0] != b"17":
            seen += [payload.split(b"\0", 5) for payload in frames.feed(await wire.reader.read(1 << 20))]

    # The time was requested after the history and arrives before it; the unfinished bar is included.
    assert [fields[0] for fields in seen if fields[0] in (b"17", b"49")] == [b"49", b"17"]
    assert (seen[-1][1], seen[-1][4]) == (b"7", b"51841")


async def test_an_answer_in_the_making_can_be_cancelled(make: Callable[..., Any], dial: Callable[..., Any]) -> None:
    gateway, _, _ = await make(RandomWalk(1, ["AAPL"]))
    wire = await dial(port=gateway.port)

    wire.send(20, version=6, reqId=7, **ASKED, **DAYS_OF_5_SECONDS)
    wire.send(25, reqId=7)
    [*_, (_, error)] = await wire.until("errMsg")
    while error["id"] == "-1":
        [*_, (_, error)] = await wire.until("errMsg")
    # The next message answers a short request: the long one is never answered.
    wire.send(20, version=6, reqId=8, **ASKED, durationStr="60 S", barSizeSetting="5 secs")
    [*_, (_, texts)] = await wire.until("historicalData")

    assert (error["id"], error["errorCode"]) == ("7", "162")
    assert error["errorMsg"].endswith("API historical data query cancelled: 7")
    assert texts["reqId"] == "8"


async def test_long_and_short_answers_are_the_same_bars(make: Callable[..., Any]) -> None:
    _, client, aapl = await make(RandomWalk(1, ["AAPL"]))

    day = await asked(client, aapl, "1 D", "1 min")
    hour = await asked(client, aapl, "3600 S", "1 min")

    assert len(day) == 24 * 60 + 1
    assert day[-len(hour) :] == hour


async def test_a_client_that_leaves_takes_its_unfinished_answer_with_it(
    make: Callable[..., Any], dial: Callable[..., Any]
) -> None:
    gateway, client, aapl = await make(RandomWalk(1, ["AAPL"]))
    wire = await dial(port=gateway.port)

    wire.send(20, version=6, reqId=7, **ASKED, **DAYS_OF_5_SECONDS)
    wire.close()
    bars = await asked(client, aapl, "60 S", "5 secs")

    assert len(bars) == 13


async def test_jobs_take_turns_and_a_cancelled_one_does_no_more() -> None:
    done: list[str] = []
    ended = asyncio.Event()

    def work(name: str, pieces: int) -> Any:
        for _ in range(pieces):
            done.append(name)
            yield
        if name == "long":
            ended.set()

    time_slicer = TimeSlicer()
    long, cancelled = SlicedJob(work("long", 3)), SlicedJob(work("cancelled", 3))
    time_slicer.begin(long)
    time_slicer.begin(cancelled)
    cancelled.cancel()
    async with asyncio.timeout(5):
        await ended.wait()

    assert done == ["long", "cancelled", "long", "long"]


# ---- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        ({"what": "HISTORICAL_VOLATILITY"}, 162, "HMDS query returned no data: AAPL@SMART Historical_Volatility"),
        ({"what": "ADJUSTED_LAST", "end": "20260401 00:00:00"}, 321, "End Date not supported with adjusted last"),
        ({"what": "NONSENSE"}, 321, "Invalid what-to-show 'NONSENSE'"),
        ({"what": "SCHEDULE", "size": "1 min"}, 321, "A schedule has bars of 1 day"),
        ({"end": "20000101 00:00:00"}, 162, "HMDS query returned no data: AAPL@SMART Trades"),
    ],
)
async def test_what_cannot_be_shown_is_refused_in_words_of_tws(
    more: dict[str, str], code: int, words: str, make: Callable[..., Any], days: MarketScript
) -> None:
    _, client, aapl = await make(days)

    found_code, text = await refusal(client, aapl, **more)

    assert found_code == code
    assert words in text
