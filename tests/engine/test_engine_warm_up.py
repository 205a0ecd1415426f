"""A run that starts with history decides like one that ran from the first bar, bit for bit."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Sequence

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from ibdesk import Field, Strategy, ema
from ibdesk.engine import ColumnFeatures, Engine, FeatureSource, GrowingFeatures, RiskLimits, evaluate
from ibdesk.model import (
    Action,
    Bar,
    BarHistory,
    Fill,
    Order,
    PlaceOrder,
    StartStrategy,
    Stock,
    StrategySource,
    encode_actions,
)

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
TEN = 1_773_151_200 * SECOND


class Cross(Strategy):
    """Long above the slow average, short below it, by how far the fast one is off."""

    fast: int = Field(2, ge=1)
    slow: int = Field(5, ge=1)

    def features(self) -> dict[str, pl.Expr]:
        return {
            "fast": ema("close", self.fast),
            "slow": ema("close", self.slow),
            "spread": pl.col("high").rolling_max(3) - pl.col("low").rolling_min(3),
        }

    def target(self) -> pl.Expr:
        return pl.when(pl.col("fast") > pl.col("slow")).then(10).otherwise(-5) * pl.col("spread").sign()


class Recorder:
    """An engine with one run; fills every order at once, and keeps decisions and features bar by bar."""

    def __init__(self, strategy: Strategy, features: FeatureSource | None = None) -> None:
        make: Callable[..., FeatureSource] = lambda strategy, _: features or GrowingFeatures(strategy)  # noqa: E731
        self.engine = Engine(strategies=lambda _: strategy, limits=RiskLimits.none(), make_features=make, strict=True)
        self.seen: list[tuple[int, list[tuple[str, bytes | None]]]] = []
        self.orders: list[Order] = []

    def start(self, history: Sequence[BarHistory] = (), at_ns: int = 0) -> None:
        start = StartStrategy(
            run_id="run",
            source=StrategySource("Cross"),
            parameters={},
            instruments=[Stock("AAPL")],
            interval_ns=MINUTE,
            at_ns=at_ns,
            history=list(history),
        )
        self._act(self.engine.handle(start))

    def take(self, bars: Sequence[Bar]) -> None:
        for bar in bars:
            self._act(self.engine.handle(bar))

    def _act(self, actions: Sequence[Action]) -> None:
        lane = self.engine.runs["run"].lanes["AAPL"]
        last = lane.last_bar
        if last is not None and (not self.seen or self.seen[-1][0] != last.opened_ns):
            self.seen.append((last.opened_ns, [(name, bits(value)) for name, value in lane.features.values().items()]))
        for action in actions:
            if isinstance(action, PlaceOrder):
                self.orders.append(action.order)
                self.engine.handle(fill_of(action.order, len(self.orders)))


def bits(value: float | None) -> bytes | None:
    return None if value is None else struct.pack("<d", value)


def fill_of(order: Order, number: int) -> Fill:
    return Fill(
        execution_id=str(number),
        order_id=order.id,
        instrument="AAPL",
        side=order.side,
        quantity=order.quantity,
        price=10.0,
        at_ns=order.created_ns,
    )


def bars_of(closes: Sequence[float], interval_ns: int = MINUTE, first_ns: int = TEN) -> list[Bar]:
    opens = [closes[0], *closes]
    return [
        Bar("AAPL", first_ns + i * interval_ns, interval_ns, first, max(first, last), min(first, last), last, 1.0 + i)
        for i, (first, last) in enumerate(itertools.pairwise(opens))
    ]


def history_of(bars: Sequence[Bar], interval_ns: int = MINUTE) -> BarHistory:
    columns = zip(*((b.opened_ns, b.open, b.high, b.low, b.close, b.volume) for b in bars), strict=True)
    return BarHistory("AAPL", interval_ns, *map(list, columns)) if bars else BarHistory("AAPL", interval_ns, *[[]] * 6)


def frame_of(bars: Sequence[Bar]) -> pl.DataFrame:
    history = history_of(bars)
    prices = {name: getattr(history, name) for name in ("open", "high", "low", "close", "volume")}
    opened_at = pl.Series("opened_at", history.opened_ns).cast(pl.Datetime("ns", "UTC"))
    return pl.DataFrame(prices, schema=dict.fromkeys(prices, pl.Float64)).insert_column(0, opened_at)


def terms(orders: Sequence[Order]) -> bytes:
    return encode_actions([PlaceOrder(order) for order in orders])


paths = st.lists(st.floats(1, 500), min_size=2, max_size=40)
spans = st.tuples(st.integers(1, 6), st.integers(1, 12))


@given(closes=paths, spans=spans, data=st.data())
def test_a_live_start_decides_as_a_backtest_over_the_whole_frame(
    closes: list[float], spans: tuple[int, int], data: st.DataObject
) -> None:
    bars, strategy = bars_of(closes), Cross(fast=spans[0], slow=spans[1])
    split = data.draw(st.integers(0, len(bars) - 1), label="bars of history")
    live = Recorder(strategy)
    columns = ColumnFeatures(evaluate(strategy, frame_of(bars)))
    columns.warm_up(history_of(bars[:split]))
    past = Recorder(strategy, columns)

    live.start([history_of(bars[:split])], at_ns=bars[split].opened_ns)
    past.start(at_ns=bars[split].opened_ns)
    for recorder in (live, past):
        recorder.take(bars[split:])

    assert live.seen == past.seen
    assert len(live.seen) == len(bars) - split
    assert terms(live.orders) == terms(past.orders)


@given(closes=paths, data=st.data())
def test_bars_that_are_in_the_history_already_are_passed_over(closes: list[float], data: st.DataObject) -> None:
    bars = bars_of(closes)
    split = data.draw(st.integers(1, len(bars)), label="bars of history")
    again = data.draw(st.integers(0, split), label="told again from")
    one, other = Recorder(Cross()), Recorder(Cross())
    for recorder in (one, other):
        recorder.start([history_of(bars[:split])])

    one.take(bars[split:])
    other.take(bars[again:])

    assert one.seen == other.seen
    assert terms(one.orders) == terms(other.orders)


@given(closes=st.lists(st.floats(1, 500), min_size=26, max_size=60), data=st.data())
def test_the_bar_in_progress_is_completed_from_its_parts(closes: list[float], data: st.DataObject) -> None:
    """The run starts in the middle of a minute; some parts are history, some are told twice, the rest is live."""
    parts = bars_of(closes, 5 * SECOND)
    minutes = [built for built in _minutes(parts) if built.at_ns <= parts[-1].at_ns]
    cut = data.draw(st.integers(12, len(parts) - 1), label="parts that are past at the start")
    again = data.draw(st.integers(0, 3), label="parts told again")
    whole = [bar for bar in minutes if bar.at_ns <= parts[cut].opened_ns]
    since_ns = whole[-1].at_ns
    in_progress = [part for part in parts[:cut] if part.opened_ns >= since_ns]
    live, past = Recorder(Cross()), Recorder(Cross())

    live.start([history_of(whole), history_of(in_progress, 5 * SECOND)], at_ns=parts[cut].opened_ns)
    live.take(parts[cut - again :])
    past.start([history_of(whole)], at_ns=parts[cut].opened_ns)
    past.take(minutes[len(whole) :])

    assert live.seen == past.seen
    assert terms(live.orders) == terms(past.orders)


def _minutes(parts: Sequence[Bar]) -> list[Bar]:
    groups = itertools.groupby(parts, key=lambda part: part.opened_ns // MINUTE)
    return [
        Bar(
            "AAPL",
            number * MINUTE,
            MINUTE,
            group[0].open,
            max(part.high for part in group),
            min(part.low for part in group),
            group[-1].close,
            sum(part.volume for part in group),
        )
        for number, group in ((number, list(group)) for number, group in groups)
    ]


def test_nothing_is_decided_on_history() -> None:
    recorder = Recorder(Cross())

    recorder.start([history_of(bars_of([float(i) for i in range(1, 30)]))])

    assert recorder.orders == []
    assert recorder.seen == []
    assert recorder.engine.price_of("AAPL") == 29.0


def test_parts_that_complete_the_bar_before_the_run_starts_are_decided_on_at_the_start() -> None:
    bars, parts = bars_of([1.0, 2.0, 3.0, 4.0, 5.0]), bars_of([9.0] * 12, 5 * SECOND, TEN + 5 * MINUTE)
    recorder = Recorder(Cross(fast=1, slow=3))

    recorder.start([history_of(bars), history_of(parts, 5 * SECOND)], at_ns=TEN + 6 * MINUTE + SECOND)

    (order,) = recorder.orders
    assert (order.quantity, order.created_ns) == (10.0, TEN + 6 * MINUTE + SECOND)
