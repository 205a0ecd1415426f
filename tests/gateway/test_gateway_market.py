"""The market sources: exact replays and repeatable walks, on any clock."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import TYPE_CHECKING

import ib_async as ib
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ibdesk.clock import SECOND, ManualClock, ScaledClock
from ibdesk.errors import AddressInUseError, ConfigError, DataError
from ibdesk.gateway import Gateway, GatewaySettings, RandomWalk, Replay
from ibdesk.gateway.contracts.book import ContractBook
from ibdesk.gateway.contracts.hours import hours_of
from ibdesk.gateway.market.instrument_state import InstrumentState, PartialBar
from ibdesk.gateway.market.source import BarRow, path, played, quotes_around, shares
from ibdesk.gateway.market.tape import Tape
from ibdesk.gateway.market.walks import Walk
from ibdesk.gateway.schedule import Schedule
from ibdesk.model import Quote, Stock, Tick, nanoseconds

if TYPE_CHECKING:
    from tests.gateway.conftest import MakeBars

# The opening of the market in these tests, and four steps of it.
OPENED_AT = dt.datetime(2026, 4, 13, 14, 0, tzinfo=dt.UTC)
AAPL_ROWS = [
    (99.00, 101.00, 98.00, 100.00, 400.0),
    (100.00, 102.00, 99.00, 101.00, 1000.0),
    (101.00, 103.00, 100.50, 102.50, 801.0),
    (102.50, 104.00, 102.00, 103.00, 1200.0),
]
T0 = nanoseconds(OPENED_AT)
HALF_HOURS = ((13, 0), (13, 1), (16, 1), (19, 1))
"""Of New York's day, in UTC: an hour, and whether its second half."""


@given(st.floats(0, 1e12, allow_nan=False))
def test_the_parts_of_a_volume_add_up_to_it_exactly(volume: float) -> None:
    first, second, third, fourth = shares(volume)

    assert first + second + third + fourth == volume


@pytest.mark.parametrize(
    ("row", "prices"),
    [((10.0, 14.0, 9.0, 12.0), (10.0, 9.0, 14.0, 12.0)), ((10.0, 11.0, 5.0, 8.0), (10.0, 11.0, 5.0, 8.0))],
)
def test_a_row_first_goes_to_the_extreme_nearer_its_open(row: tuple[float, ...], prices: tuple[float, ...]) -> None:
    assert path(BarRow("X", row[0], row[1], row[2], row[3], 100.0)) == prices


@given(st.floats(0.02, 1e5))
def test_the_quote_holds_the_price_and_stands_on_the_grid(price: float) -> None:
    [bid], [ask] = quotes_around(np.array([price]), 0.01)

    assert bid - 1e-9 <= price <= ask + 1e-9
    assert bid < ask
    for side in (bid, ask):
        assert side == pytest.approx(round(side, 2), abs=1e-9)


def test_a_row_is_played_in_quarters_of_its_step() -> None:
    row = BarRow("X", 10.0, 14.0, 9.0, 12.0, 403.0)

    moments = list(played(row, T0, 8 * SECOND, Stock("X")))

    assert [(at_ns - T0) / SECOND for at_ns, _ in moments] == [0, 2, 4, 6]
    ticks = [event for _, events in moments for event in events if isinstance(event, Tick)]
    assert [(tick.price, tick.size) for tick in ticks] == [(10, 100), (9, 100), (14, 100), (12, 103)]
    assert all(isinstance(events[0], Quote) for _, events in moments)


def daily(make_bars: MakeBars) -> pl.DataFrame:
    """Return thirty daily bars from `OPENED_AT`, each with its own price."""
    rows = [(100.0 + day, 102.5 + day, 99.0 + day, 101.0 + day, 1000.0 + 3 * day) for day in range(30)]
    return make_bars({"AAPL": rows}, step=dt.timedelta(days=1))


async def test_days_squeezed_into_five_seconds_arrive_as_five_second_bars(make_bars: MakeBars) -> None:
    replay = Replay(daily(make_bars), play_each_over_seconds=5, start=10)
    async with Gateway(market=replay, clock=ManualClock(T0)) as gateway:
        client = await ib.IB().connectAsync("127.0.0.1", gateway.port, clientId=1)
        [aapl] = await client.qualifyContractsAsync(ib.Stock("AAPL", "SMART", "USD"))
        assert isinstance(aapl, ib.Contract)
        bars = client.reqRealTimeBars(aapl, 5, "TRADES", False)
        await client.reqCurrentTimeAsync()
        gateway.advance(100)
        await client.reqCurrentTimeAsync()

        live = [(bar.open_, bar.high, bar.low, bar.close, bar.volume) for bar in bars]
        past = await client.reqHistoricalDataAsync(aapl, "", "150 S", "5 secs", "TRADES", False)
        days = await client.reqHistoricalDataAsync(aapl, "", "1 Y", "1 day", "TRADES", False)
        client.disconnect()

    rows = daily(make_bars).select("open", "high", "low", "close", "volume").rows()
    assert live == rows[10:]
    # On the gateway's clock the past and what was played are one line of 5-second bars.
    assert [(bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in past] == rows
    # Bars of days keep their own dates.
    assert [bar.date for bar in days] == [OPENED_AT.date() + dt.timedelta(days=day) for day in range(30)]


def test_a_replay_can_begin_again(make_bars: MakeBars) -> None:
    replay = Replay(make_bars({"AAPL": AAPL_ROWS}, step=dt.timedelta(seconds=5)), start=2, loop=True)
    replay.open(T0, {"AAPL": Stock("AAPL")})

    opens = [events for _, events in itertools.islice(replay.events(), 0, 16, 4)]

    assert [tick.price for events in opens for tick in events if isinstance(tick, Tick)] == [101, 102.5, 101, 102.5]


def test_a_missing_row_of_one_symbol_leaves_the_others_in_step(make_bars: MakeBars) -> None:
    frame = make_bars({"AAPL": AAPL_ROWS, "MSFT": AAPL_ROWS}, step=dt.timedelta(seconds=5))
    gap = frame.filter((pl.col("symbol") == "AAPL") | (pl.col("opened_at") != OPENED_AT + dt.timedelta(seconds=5)))
    replay = Replay(gap)
    replay.open(T0, {"AAPL": Stock("AAPL"), "MSFT": Stock("MSFT")})

    times = [(at_ns - T0) / SECOND for at_ns, events in replay.events() if any(e.instrument == "MSFT" for e in events)]

    assert times == [0, 1.25, 2.5, 3.75, 10, 11.25, 12.5, 13.75, 15, 16.25, 17.5, 18.75]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda frame: frame.drop("close"), "lacks close"),
        (lambda frame: frame.with_columns(low=float("nan")), "missing, infinite or not positive"),
        (lambda frame: pl.concat([frame, frame]), "two bars of one symbol at one time"),
        (lambda frame: frame.clear(), "leaves no row"),
    ],
)
def test_a_frame_that_cannot_be_played_is_refused(spoil: object, words: str, make_bars: MakeBars) -> None:
    frame = make_bars({"AAPL": AAPL_ROWS}, step=dt.timedelta(seconds=5))

    with pytest.raises(DataError, match=words):
        Replay(spoil(frame))  # type: ignore[operator]


def test_a_walk_is_the_same_every_time_and_another_with_another_seed() -> None:
    def first_prices(seed: int) -> list[float]:
        walk = RandomWalk(seed, ["AAPL", "EUR.USD"])
        book = ContractBook(OPENED_AT.date(), walk.symbols)
        walk.open(T0, {name: contract.instrument for name in walk.symbols if (contract := book.named(name))})
        return [
            quote.bid
            for _, events in itertools.islice(walk.events(), 800)
            for quote in events
            if isinstance(quote, Quote)
        ]

    assert first_prices(1) == first_prices(1)
    assert first_prices(1) != first_prices(2)


def test_the_past_of_a_walk_leads_to_its_start_and_does_not_depend_on_how_much_is_asked() -> None:
    walk = RandomWalk(5, {"AAPL": 200.0})
    walk.open(T0, {"AAPL": Stock("AAPL")})

    long, short = walk.prints("AAPL", T0 - 3600 * SECOND, T0), walk.prints("AAPL", T0 - 60 * SECOND, T0)

    assert long.prices[-1] == 200.0
    assert long.prices[-len(short.prices) :].tolist() == short.prices.tolist()
    assert len(short.prices) == 12 * 4


def test_what_a_walk_played_is_its_history() -> None:
    walk = RandomWalk(5, {"AAPL": 200.0}, step_seconds=1)
    walk.open(T0, {"AAPL": Stock("AAPL")})

    ticks = [e for _, events in itertools.islice(walk.events(), 40) for e in events if isinstance(e, Tick)]

    found = walk.prints("AAPL", T0, T0 + 10 * SECOND)
    assert found.prices.tolist() == [tick.price for tick in ticks]
    assert found.times.tolist() == [tick.at_ns for tick in ticks]


def test_an_instrument_that_is_added_late_walks_as_if_it_always_had() -> None:
    def ticks(*, late: bool) -> list[Tick]:
        walk = RandomWalk(5, ["AAPL"] if late else ["AAPL", "MSFT"])
        walk.open(T0, {"AAPL": Stock("AAPL"), "MSFT": Stock("MSFT")})
        events = walk.events()
        # Four moments a row and instrument; ten rows before MSFT is asked for.
        for _ in range(40 if late else 80):
            next(events)
        if late:
            assert walk.add(Stock("MSFT"))
        found = itertools.islice((event for _, each in events for event in each if isinstance(event, Tick)), 80)
        return [tick for tick in found if tick.instrument == "MSFT"]

    assert ticks(late=True) == ticks(late=False)


def test_the_volume_of_a_day_is_the_walks() -> None:
    walk = RandomWalk(5, {"AAPL": Walk(price=200.0, volume=1_000_000)})
    walk.open(T0, {"AAPL": Stock("AAPL")})

    found = walk.prints("AAPL", T0 - int(6.5 * 3600) * SECOND, T0)

    # 4,680 rows whose volumes deviate by 0.66 of their mean: the sum is within a few percent.
    assert found.sizes.sum() == pytest.approx(1_000_000, rel=0.05)


def test_in_exchange_hours_most_trades_at_open_and_close_and_hardly_any_outside() -> None:
    walk = RandomWalk(5, {"AAPL": Walk(price=200.0, volume=1_000_000)})
    walk.keep_hours(lambda _name: hours_of("us_share"))
    walk.open(T0, {"AAPL": Stock("AAPL")})

    # Friday, 10 April 2026: half hours from 9:00, 9:30, 12:30 and 15:30 in New York.
    starts = [nanoseconds(dt.datetime(2026, 4, 10, hour, 30 * half, tzinfo=dt.UTC)) for hour, half in HALF_HOURS]
    before, at_open, noon, at_close = (
        float(walk.prints("AAPL", start, start + 1800 * SECOND).sizes.sum()) for start in starts
    )

    # A thirteenth of the volume on average; the parabola gives 1.78 times that in the first and last half hour
    # (2 - 1.5 x the mean of 1 - x^2 from 11/13 to 1), and half of it at noon.
    mean = 1_000_000 / 13
    assert at_open == pytest.approx(1.78 * mean, rel=0.15)
    assert at_close == pytest.approx(1.78 * mean, rel=0.15)
    assert noon == pytest.approx(0.503 * mean, rel=0.15)
    assert before == pytest.approx(0.05 * mean, rel=0.15)


@pytest.mark.parametrize(
    ("walk", "words"),
    [(Walk(price=0.0), "the walk of AAPL: price"), (Walk(volume=-1.0), "the walk of AAPL: volume")],
)
def test_a_wrong_figure_of_a_walk_is_named(walk: Walk, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        RandomWalk(1, {"AAPL": walk})


async def test_what_nobody_named_is_played_once_somebody_asks_for_it() -> None:
    async with Gateway(market=RandomWalk(1, ["AAPL"]), clock=ManualClock(T0)) as gateway:
        client = await ib.IB().connectAsync("127.0.0.1", gateway.port, clientId=1)
        [nvda] = await client.qualifyContractsAsync(ib.Stock("NVDA", "SMART", "USD"))
        assert isinstance(nvda, ib.Contract)
        [ticker] = await client.reqTickersAsync(nvda)
        trade = client.placeOrder(nvda, ib.MarketOrder("BUY", 10))
        await client.reqCurrentTimeAsync()
        client.disconnect()

    # It is quoted at once, before anything else happens in the market.
    assert ticker.ask > ticker.bid > 0
    assert (trade.orderStatus.status, trade.orderStatus.avgFillPrice) == ("Filled", ticker.ask)


async def test_executions_of_two_runs_have_different_ids(make_bars: MakeBars) -> None:
    seen: list[str] = []
    for started_ns in (T0, T0 + 1):
        replay = Replay(make_bars({"AAPL": AAPL_ROWS}, step=dt.timedelta(seconds=5)))
        async with Gateway(market=replay, clock=ManualClock(started_ns)) as gateway:
            client = await ib.IB().connectAsync("127.0.0.1", gateway.port, clientId=1)
            client.placeOrder(ib.Stock("AAPL", "SMART", "USD"), ib.MarketOrder("BUY", 1))
            seen += [fill.execution.execId for fill in await client.reqExecutionsAsync()]
            client.disconnect()

    assert len(set(seen)) == 2


async def test_with_partial_fills_an_order_takes_no_more_than_is_shown(make_bars: MakeBars) -> None:
    # A thousand shares in four trades: quotes show a round lot.
    frame = make_bars({"AAPL": [(100.0, 100.0, 100.0, 100.0, 1000.0)] * 2}, step=dt.timedelta(seconds=5))
    async with Gateway(market=Replay(frame), clock=ManualClock(T0), partial=True) as gateway:
        client = await ib.IB().connectAsync("127.0.0.1", gateway.port, clientId=1)
        [aapl] = await client.qualifyContractsAsync(ib.Stock("AAPL", "SMART", "USD"))
        assert isinstance(aapl, ib.Contract)
        trade = client.placeOrder(aapl, ib.MarketOrder("BUY", 250))
        await client.reqCurrentTimeAsync()
        statuses = [(trade.orderStatus.status, trade.orderStatus.filled)]
        for _ in range(2):
            gateway.advance(1.25)
            await client.reqCurrentTimeAsync()
            statuses.append((trade.orderStatus.status, trade.orderStatus.filled))
        client.disconnect()

    assert statuses == [("Submitted", 100), ("Submitted", 200), ("Filled", 250)]
    # The minimum of a dollar is charged once; 250 shares cost 1.25 in all.
    assert [fill.commissionReport.commission for fill in trade.fills] == pytest.approx([1.0, 0.0, 0.25])


async def test_a_fast_clock_delivers_every_bar_in_order() -> None:
    clock = ScaledClock(T0, speed=200)
    async with Gateway(market=RandomWalk(1, ["AAPL", "MSFT"]), clock=clock) as gateway:
        client = await ib.IB().connectAsync("127.0.0.1", gateway.port, clientId=1)
        contracts = await client.qualifyContractsAsync(*(ib.Stock(name, "SMART", "USD") for name in ("AAPL", "MSFT")))
        feeds = [client.reqRealTimeBars(each, 5, "TRADES", False) for each in contracts]
        while min(map(len, feeds)) < 20:
            await client.updateEvent
        client.disconnect()

    for bars in feeds:
        times = [bar.time for bar in bars]
        assert {after - before for before, after in itertools.pairwise(times)} == {dt.timedelta(seconds=5)}


def test_the_schedule_keeps_order_and_time() -> None:
    schedule, done = Schedule(ManualClock(T0)), []

    schedule.after(2, lambda: done.append(("two", schedule.now_ns - T0)))
    schedule.after(1, lambda: done.append(("one", schedule.now_ns - T0)))

    def later() -> None:
        schedule.after(0.5, lambda: done.append(("half", schedule.now_ns - T0)))

    schedule.after(1, later)
    schedule.after(3, lambda: done.append(("never", 0))).cancel()
    schedule.advance(10)

    assert done == [("one", SECOND), ("half", 1.5 * SECOND), ("two", 2 * SECOND)]
    assert schedule.now_ns == T0 + 10 * SECOND


def test_only_a_manual_clock_can_be_moved() -> None:
    with pytest.raises(TypeError, match="runs on a ScaledClock"):
        Schedule(ScaledClock(T0, 2)).advance(1)


def test_a_five_second_bar_without_a_trade_is_flat(make_bars: MakeBars) -> None:
    schedule = Schedule(ManualClock(T0))
    replay = Replay(make_bars({"AAPL": AAPL_ROWS}, step=dt.timedelta(seconds=40)))
    replay.open(T0, {"AAPL": Stock("AAPL")})
    tape = Tape(replay, schedule)
    heard: list[PartialBar] = []

    class Listener:
        def on_quote(self, quote: Quote) -> None: ...

        def on_tick(self, tick: Tick) -> None: ...

        def on_state(self, state: InstrumentState) -> None: ...

        def on_bar(self, instrument: str, opened_ns: int, bars: dict[str, PartialBar]) -> None:
            heard.append(bars["TRADES"])

    tape.watch("AAPL", Listener())
    tape.open(T0, lambda quote: None)
    schedule.advance(10)

    assert [(bar.open, bar.close, bar.volume, bar.count) for bar in heard] == [(99.0, 99.0, 100, 1), (99.0, 99.0, 0, 0)]


def test_strict_contracts_do_not_follow_the_market() -> None:
    loose, strict = (ContractBook(OPENED_AT.date(), ["ACME"], strict=strict) for strict in (False, True))

    assert loose.named("ACME") is not None
    assert strict.named("ACME") is None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"port": 70_000}, "port\n"),
        ({"speed": 0}, "speed\n"),
        ({"account": "U123"}, "gateway.account"),
        ({"play_each_over_seconds": 5}, "needs gateway.replay"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        GatewaySettings.model_validate(settings)


async def test_a_port_in_use_is_named() -> None:
    async with Gateway() as first:
        with pytest.raises(AddressInUseError, match=f"127.0.0.1:{first.port} is taken"):
            await Gateway(port=first.port).start()
