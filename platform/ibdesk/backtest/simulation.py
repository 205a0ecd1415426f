"""Runs a strategy over past bars with the live engine and the simulated exchange instead of TWS."""

from __future__ import annotations

import collections
import contextlib
import gc
import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec

import polars as pl

from ibdesk.backtest.limits import Denials
from ibdesk.backtest.result import BookedFill
from ibdesk.data.bars import INTERVAL
from ibdesk.data.trading_dates import last_bars_of_days
from ibdesk.engine import ColumnFeatures, Engine, RiskLimits
from ibdesk.exchange import BarMeeting, Exchange, VenueEvent
from ibdesk.model import (
    Action,
    Alert,
    AnyInstrument,
    Bar,
    CancelOrder,
    Commission,
    Event,
    Fill,
    ModifyOrder,
    OrderDenied,
    PlaceOrder,
    SetTimer,
    StartStrategy,
    StopStrategy,
    StrategySource,
    TimerFired,
    TradingHalted,
)
from ibdesk.strategy import Strategy

_DAY_NS = 86_400_000_000_000
# Bar times between two steps of the progress bar, and the number of calls of a progress function.
_STRETCH, _STEPS = 50_000, 100


class Simulation:
    """An engine and an exchange that process history event by event."""

    def __init__(
        self,
        strategy: Strategy,
        source: StrategySource,
        instruments: Mapping[str, AnyInstrument],
        features: Mapping[str, ColumnFeatures],
        exchange: Exchange,
        *,
        limits: RiskLimits,
        interval_ns: int,
    ) -> None:
        self.strategy, self.source, self.instruments = strategy, source, instruments
        self.exchange, self.interval_ns = exchange, interval_ns
        self.fills: list[BookedFill] = []
        self.commissions: dict[str, float] = {}
        self.alerts: list[Alert | TradingHalted] = []
        self.denials: dict[str, Denials] = {}
        self._timers: list[tuple[int, int, str]] = []
        self._timers_set = itertools.count()
        self._bar_opened_ns = 0
        self._why_cancelled = ""
        self._is_uneven = False
        # The instruments whose trading day ends with the bars of an opening time; None if each bar is a day.
        self._day_ends: dict[int, list[str]] | None = None
        self.engine = Engine(
            strategies=lambda _: strategy,
            limits=limits,
            make_features=lambda _, name: features[name],
            strict=True,
            waits=False,
        )
        for instrument in instruments.values():
            exchange.add_instrument(instrument)

    @property
    def run_id(self) -> str:
        """The id of the run: the strategy's class name."""
        return type(self.strategy).__name__

    def run(
        self,
        bars: pl.DataFrame,
        dates: pl.Series,
        *,
        cash: float,
        progress: bool | Callable[[float], None],
    ) -> None:
        """Start the strategy, process all bars, and stop it; its positions remain open.

        `dates` are the trading dates of the bars.
        """
        first_ns = int(bars["opened_at"].to_physical().min())  # type: ignore[arg-type]  # there are bars
        self._is_uneven = INTERVAL in bars.columns
        self._do(self.engine.handle(self._start(cash, first_ns)), first_ns)
        if self.interval_ns < _DAY_NS:
            self._day_ends = _by_time(last_bars_of_days(bars, dates))
        if self._is_uneven:
            self._run_uneven(bars, progress)
        else:
            self._run_even(bars, progress)
        last_ns = self._last_ns(bars)
        self._why_cancelled = "the data ended"
        self._do(self.engine.handle(StopStrategy(self.run_id, last_ns)), last_ns)

    def _last_ns(self, bars: pl.DataFrame) -> int:
        lengths = bars[INTERVAL].to_physical() if INTERVAL in bars.columns else self.interval_ns
        return int((bars["opened_at"].to_physical() + lengths).max())  # type: ignore[arg-type]  # there are bars

    def _run_even(self, bars: pl.DataFrame, progress: bool | Callable[[float], None]) -> None:
        """Process bars of one length; bars that open at the same time form a group."""
        groups, count = _groups(bars, self.interval_ns), bars["opened_at"].n_unique()
        stretch = _stretch(count, progress)
        with _progress(count, progress) as advance:
            for _ in range(0, count, stretch):
                with _collector_at_rest():
                    self._take(itertools.islice(groups, stretch))
                advance(stretch)

    def _run_uneven(self, bars: pl.DataFrame, progress: bool | Callable[[float], None]) -> None:
        """Process bars of several lengths by their open and close times; at equal times closes come first."""
        groups = uneven_groups(bars)
        opening = iter(sorted(groups, key=_opened_ns))
        following = next(opening, None)
        meetings: dict[int, BarMeeting] = {}
        with _progress(len(groups), progress) as advance, _collector_at_rest():
            for group in groups:
                closed_ns = group[0].at_ns
                while following is not None and following[0].opened_ns < closed_ns:
                    meetings[id(following)] = self._open(following)
                    following = next(opening, None)
                self._close(group, meetings.pop(id(group)))
                advance(1)

    def _open(self, group: Sequence[Bar]) -> BarMeeting:
        """Process the opens of bars."""
        self._bar_opened_ns = group[0].opened_ns
        self._fire(group[0].opened_ns)
        meeting, happenings = self.exchange.open_bars(group)
        for happening in happenings:
            self._report(happening)
        return meeting

    def _close(self, group: Sequence[Bar], meeting: BarMeeting) -> None:
        """Process the events inside bars, then pass the bars to the engine."""
        closed_ns = group[0].at_ns
        self._bar_opened_ns = closed_ns - self.interval_ns
        for happening in self.exchange.close_bars(meeting):
            self._report(happening)
        self._end_days(group)
        for bar in group:
            actions = self.engine.handle(bar)
            if actions:
                self._do(actions, closed_ns)

    def _start(self, cash: float, at_ns: int) -> StartStrategy:
        return StartStrategy(
            run_id=self.run_id,
            source=self.source,
            parameters=self.strategy.model_dump(mode="json"),
            instruments=list(self.instruments.values()),
            interval_ns=self.interval_ns,
            whole_bars=self._is_uneven,
            at_ns=at_ns,
            cash=cash,
        )

    def _take(self, groups: Iterable[Sequence[Bar]]) -> None:
        """Process groups of bars that open at the same time."""
        handle, working, timers = self.engine.handle, self.exchange.working, self._timers
        for group in groups:
            if working or timers:
                self._meet(group)
            for bar in group:
                actions = handle(bar)
                if actions:
                    self._do(actions, bar.at_ns)

    def _meet(self, group: Sequence[Bar]) -> None:
        """Process the events before the bars are known: fills in order of time, timers, the day's end."""
        exchange = self.exchange
        self._bar_opened_ns = group[0].opened_ns
        self._fire(self._bar_opened_ns)
        for happening in exchange.meet_bars(group):
            self._report(happening)
        self._end_days(group)

    def _end_days(self, group: Sequence[Bar]) -> None:
        """Fire timers up to the bars' close, then end the trading days that end with these bars."""
        closed_ns = group[0].at_ns
        self._fire(closed_ns)
        since_ns = group[0].opened_ns if self._is_uneven and group[0].interval_ns >= _DAY_NS else None
        for name in self._ended_by(group):
            for happening in self.exchange.end_day(name, closed_ns, since_ns=since_ns):
                self._report(happening)

    def _ended_by(self, group: Sequence[Bar]) -> Sequence[str]:
        """Return the instruments whose trading day ends with these bars."""
        if self._day_ends is None:
            return [bar.instrument for bar in group]
        ended = self._day_ends.get(group[0].opened_ns, ())
        return [name for name in ended if any(bar.instrument == name for bar in group)] if ended else ()

    def _report(self, events: Sequence[VenueEvent]) -> None:
        """Pass events to the engine, and carry out its actions before the next event."""
        for event in events:
            actions = self._told(event)
            if actions:
                self._do(actions, event.at_ns)

    def _told(self, event: VenueEvent) -> Sequence[Action]:
        """Pass an event of the exchange to the engine, and keep executions for the result."""
        if isinstance(event, Fill):
            self.fills.append(BookedFill(event, self._bar_opened_ns))
        elif isinstance(event, Commission):
            self.commissions[event.execution_id] = event.amount
        return self.engine.handle(event)

    def _do(self, actions: Sequence[Action], at_ns: int) -> None:
        """Carry out actions, and the further actions that they cause."""
        waiting = collections.deque(actions)
        while waiting:
            for event in self._carried_out(waiting.popleft(), at_ns):
                waiting.extend(self._told(event))

    def _carried_out(self, action: Action, at_ns: int) -> Sequence[VenueEvent]:
        match action:
            case PlaceOrder(order):
                return self.exchange.place_order(order, at_ns)
            case ModifyOrder():
                return self.exchange.modify_order(
                    action.order_id,
                    quantity=action.quantity,
                    limit_price=action.limit_price,
                    stop_price=action.stop_price,
                    at_ns=at_ns,
                )
            case CancelOrder(order_id):
                return self.exchange.cancel_order(order_id, at_ns, reason=self._why_cancelled)
            case SetTimer(timer_id, due_ns):
                heapq.heappush(self._timers, (due_ns, next(self._timers_set), timer_id))
            case OrderDenied(rule=rule):
                known = self.denials.get(rule)
                self.denials[rule] = Denials.first(action) if known is None else known.and_another()
            case Alert() | TradingHalted():
                self.alerts.append(action)
        return ()

    def _fire(self, until_ns: int) -> None:
        while self._timers and self._timers[0][0] <= until_ns:
            due_ns, _, timer_id = heapq.heappop(self._timers)
            event: Event = TimerFired(timer_id, due_ns)
            self._do(self.engine.handle(event), due_ns)


@contextlib.contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Switch Python's cycle collector off, which otherwise spends a fifth of the time on orders and fills.

    It may run between stretches, for reference cycles of a strategy.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _groups(bars: pl.DataFrame, interval_ns: int) -> Iterator[tuple[Bar, ...]]:
    """Return the bars as values, grouped by opening time."""
    values = map(
        Bar,
        bars["symbol"].to_list(),
        bars["opened_at"].to_physical().to_list(),
        itertools.repeat(interval_ns),
        *(bars[name].to_list() for name in ("open", "high", "low", "close", "volume")),
    )
    if bars["symbol"].n_unique() == 1:
        return zip(values)
    sizes = bars["opened_at"].rle().struct.field("len").to_list()
    return (tuple(itertools.islice(values, size)) for size in sizes)


def _opened_ns(group: Sequence[Bar]) -> int:
    return group[0].opened_ns


def uneven_groups(bars: pl.DataFrame) -> list[tuple[Bar, ...]]:
    """Return bars of several lengths as values, grouped by open and close time, in order of their close."""
    opened, lengths = bars["opened_at"].to_physical().to_list(), bars[INTERVAL].to_physical().to_list()
    prices = (bars[name].to_list() for name in ("open", "high", "low", "close", "volume"))
    values = map(Bar, bars["symbol"].to_list(), opened, lengths, *prices)
    return [tuple(group) for _, group in itertools.groupby(values, key=lambda bar: (bar.at_ns, bar.opened_ns))]


def _by_time(last_bars: pl.DataFrame) -> dict[int, list[str]]:
    """Return the symbols by the opening time of their bars."""
    grouped = last_bars.group_by("opened_at").agg("symbol")
    return dict(zip(grouped["opened_at"].to_physical().to_list(), grouped["symbol"].to_list(), strict=True))


def _stretch(bars: int, progress: bool | Callable[[float], None]) -> int:
    """Return the number of bar times between two progress reports."""
    return min(_STRETCH, -(-bars // _STEPS)) if callable(progress) else _STRETCH


@contextlib.contextmanager
def _progress(bars: int, progress: bool | Callable[[float], None]) -> Iterator[Callable[[int], None]]:
    """Yield a function that takes the number of further bars done and reports the progress."""
    if callable(progress):
        done = 0

        def tell(count: int) -> None:
            nonlocal done
            done = min(done + count, bars)
            progress(done / bars)

        yield tell
        return
    if not progress:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    # In a notebook rich uses ipywidgets; if it is missing, rich would print a warning instead.
    console = Console(force_jupyter=None if find_spec("ipywidgets") else False)
    look = (TextColumn("backtest"), BarColumn(), MofNCompleteColumn(), TextColumn("bars"), TimeRemainingColumn())
    with Progress(*look, console=console, transient=True) as shown:
        task = shown.add_task("backtest", total=bars)
        yield lambda count: shown.advance(task, count)
