"""Runs a strategy over past bars, with the engine that trades live and the simulated exchange in place of TWS."""

from __future__ import annotations

import collections
import contextlib
import datetime as dt
import hashlib
import heapq
import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from ibdesk.backtest.bars import CheckedBars, check_bars
from ibdesk.backtest.look_ahead import check_look_ahead
from ibdesk.backtest.result import BookedFill, Result, make_result
from ibdesk.engine import TARGET, ColumnFeatures, Engine, RiskLimits, evaluate
from ibdesk.errors import ConfigError, DataError
from ibdesk.exchange import CommissionSchedule, Exchange, FixedCommission, Slippage, TickSlippage, VenueEvent
from ibdesk.model import (
    Action,
    Alert,
    AnyInstrument,
    Bar,
    BarHistory,
    CancelOrder,
    Commission,
    Event,
    Fill,
    ModifyOrder,
    PlaceOrder,
    SetTimer,
    StartStrategy,
    StopStrategy,
    StrategySource,
    TimerFired,
    TradingHalted,
    instrument_of,
)
from ibdesk.strategy import Strategy, load_strategy, make_strategy

_DAY_NS = 86_400_000_000_000
# Bar times between two steps of the progress bar.
_STRETCH = 50_000


def backtest(
    strategy: Strategy | type[Strategy] | str | Path,
    bars: pl.DataFrame,
    *,
    cash: float = 100_000.0,
    commissions: CommissionSchedule | None = None,
    slippage: Slippage | None = None,
    limits: RiskLimits | None = None,
    instruments: Mapping[str, AnyInstrument] | None = None,
    warm_up: int = 0,
    look_ahead_samples: int = 8,
    progress: bool = False,
) -> Result:
    """Return what the strategy would have done and earned on past bars.

    `strategy` is an instance, a class that needs no parameters, or the path of a strategy file. `bars` is a
    frame as `check_bars` describes, of one symbol or many; symbols are taken as `instrument_of` reads them
    unless `instruments` says otherwise, and all must be priced in one currency. Costs are on: IB's fixed
    commissions and one tick of slippage unless other ones are given. `limits` are the risk rules, by default
    none. The first `warm_up` rows of each symbol feed its features only. There is no margin account: cash may
    go below zero.

    Orders made at a bar's close reach the exchange then, and fill at the next bar's open the earliest; how
    bars fill orders stands in `ibdesk.exchange.ticket`. DAY orders expire when the next trading day ends,
    which is a date of the instrument's session, and each bar of daily data.

    Raises:
        DataError: If the bars cannot be traded on.
        LookAheadError: If, at one of `look_ahead_samples` bars a symbol, features or target need later bars.
        StrategyError: If the strategy file or its parameters are wrong. What its code raises comes through.
        ConfigError: If `cash` or `warm_up` make no sense for these bars.
    """
    if not 0 < cash < float("inf"):
        raise ConfigError(f"cash must be a positive amount, got {cash!r}")
    made = _strategy_of(strategy)
    checked = check_bars(bars)
    listed = _instruments(checked.symbols, instruments or {})
    columns, traded = _features(made, checked, warm_up=warm_up, samples=look_ahead_samples)
    exchange = Exchange(
        commissions=commissions if commissions is not None else FixedCommission(),
        slippage=slippage if slippage is not None else TickSlippage(1.0),
    )
    simulation = Simulation(
        made, listed, columns, exchange, limits=limits or RiskLimits.none(), interval_ns=checked.interval_ns
    )
    simulation.run(traded, cash=cash, warm_up=warm_up, progress=progress)
    return make_result(
        strategy=made,
        source=simulation.source,
        bars=traded,
        columns=pl.concat([columns[name].slice(warm_up) for name in checked.symbols]),
        instruments=listed,
        interval_ns=checked.interval_ns,
        cash=cash,
        fills=simulation.fills,
        commissions=simulation.commissions,
        slippage_paid=exchange.slippage_paid,
        orders=list(simulation.engine.blotter.orders.values()),
        alerts=tuple(simulation.alerts),
        warnings=checked.warnings,
    )


class Simulation:
    """One engine and one exchange, driven through history event by event."""

    def __init__(
        self,
        strategy: Strategy,
        instruments: Mapping[str, AnyInstrument],
        columns: Mapping[str, pl.DataFrame],
        exchange: Exchange,
        *,
        limits: RiskLimits,
        interval_ns: int,
    ) -> None:
        self.strategy, self.instruments, self.exchange = strategy, instruments, exchange
        self.interval_ns = interval_ns
        self.source = source_of(strategy)
        self.fills: list[BookedFill] = []
        self.commissions: dict[str, float] = {}
        self.alerts: list[Alert | TradingHalted] = []
        self._features = {name: ColumnFeatures(frame) for name, frame in columns.items()}
        self._timers: list[tuple[int, int, str]] = []
        self._timers_set = itertools.count()
        self._bar_opened_ns = 0
        self.engine = Engine(
            strategies=lambda _: strategy,
            limits=limits,
            make_features=lambda _, name: self._features[name],
            strict=True,
        )
        for instrument in instruments.values():
            exchange.add(instrument)

    @property
    def run_id(self) -> str:
        """The id of the one run: the strategy's class name."""
        return type(self.strategy).__name__

    def run(self, bars: pl.DataFrame, *, cash: float, warm_up: int, progress: bool) -> None:
        """Start the strategy, take it through all bars, and stop it; its positions stay as they are."""
        first_ns: int = bars["opened_at"].to_physical()[0]
        for name, features in self._features.items():
            features.warm_up(_empty_rows(name, self.interval_ns, warm_up))
        self._do(self.engine.handle(self._start(cash, first_ns)), first_ns)
        day_ends = self._day_ends(bars)
        groups = zip(_groups(bars, self.interval_ns), day_ends, strict=True)
        with _progress(len(day_ends), shown=progress) as advance:
            for _ in range(0, len(day_ends), _STRETCH):
                self._take(itertools.islice(groups, _STRETCH))
                advance(_STRETCH)
        last_ns: int = bars["opened_at"].to_physical()[-1] + self.interval_ns
        self._do(self.engine.handle(StopStrategy(self.run_id, last_ns)), last_ns)

    def _start(self, cash: float, at_ns: int) -> StartStrategy:
        return StartStrategy(
            run_id=self.run_id,
            source=self.source,
            parameters=self.strategy.model_dump(mode="json"),
            instruments=list(self.instruments.values()),
            interval_ns=self.interval_ns,
            at_ns=at_ns,
            cash=cash,
        )

    def _take(self, groups: Iterable[tuple[Sequence[Bar], bool]]) -> None:
        """Take bars through the exchange and the engine; the bars of a group open at the same time."""
        handle, working, timers = self.engine.handle, self.exchange.working, self._timers
        for group, day_ends in groups:
            if working or timers:
                self._meet(group, day_ends)
            for bar in group:
                actions = handle(bar)
                if actions:
                    self._do(actions, bar.at_ns)

    def _meet(self, group: Sequence[Bar], day_ends: bool) -> None:
        """Let what happens before the bars are known happen: fills, in order of time, timers, the day's end."""
        exchange = self.exchange
        self._bar_opened_ns, closed_ns = group[0].opened_ns, group[0].at_ns
        self._fire(self._bar_opened_ns)
        self._report([event for bar in group for event in exchange.on_bar_open(bar)])
        self._report([event for bar in group for event in exchange.on_bar_inside(bar)])
        self._fire(closed_ns)
        if day_ends:
            self._report(exchange.close_day(closed_ns))

    def _report(self, events: Sequence[VenueEvent]) -> None:
        for event in events:
            actions = self._told(event)
            if actions:
                self._do(actions, event.at_ns)

    def _told(self, event: VenueEvent) -> Sequence[Action]:
        """Tell the engine what the exchange did, and keep executions for the result."""
        if isinstance(event, Fill):
            self.fills.append(BookedFill(event, self._bar_opened_ns))
        elif isinstance(event, Commission):
            self.commissions[event.execution_id] = event.amount
        return self.engine.handle(event)

    def _do(self, actions: Sequence[Action], at_ns: int) -> None:
        """Carry out actions, and those that their answers lead to."""
        waiting = collections.deque(actions)
        while waiting:
            for event in self._carried_out(waiting.popleft(), at_ns):
                waiting.extend(self._told(event))

    def _carried_out(self, action: Action, at_ns: int) -> Sequence[VenueEvent]:
        match action:
            case PlaceOrder(order):
                return self.exchange.place(order, at_ns)
            case ModifyOrder():
                return self.exchange.modify(
                    action.order_id,
                    quantity=action.quantity,
                    limit_price=action.limit_price,
                    stop_price=action.stop_price,
                    at_ns=at_ns,
                )
            case CancelOrder(order_id):
                return self.exchange.cancel(order_id, at_ns)
            case SetTimer(timer_id, due_ns):
                heapq.heappush(self._timers, (due_ns, next(self._timers_set), timer_id))
            case Alert() | TradingHalted():
                self.alerts.append(action)
        return ()

    def _fire(self, until_ns: int) -> None:
        while self._timers and self._timers[0][0] <= until_ns:
            due_ns, _, timer_id = heapq.heappop(self._timers)
            event: Event = TimerFired(timer_id, due_ns)
            self._do(self.engine.handle(event), due_ns)

    def _day_ends(self, bars: pl.DataFrame) -> list[bool]:
        """Return for each group of bars whether a trading day ends with it."""
        times = bars["opened_at"].unique(maintain_order=True)
        if self.interval_ns >= _DAY_NS:
            return [True] * len(times)
        session = next(iter(self.instruments.values())).session
        # A session that opens in the evening belongs to the date on which it closes.
        ahead = dt.timedelta(minutes=1440 - session.opens if session.closes <= session.opens else 0)
        dates = (times.dt.convert_time_zone(session.zone).dt.replace_time_zone(None) + ahead).dt.date()
        return [*(dates.diff().to_physical().to_numpy()[1:] != 0).tolist(), True]


def source_of(strategy: Strategy) -> StrategySource:
    """Return class, file and sha256 of the file that defines a strategy; no file for one typed into a session."""
    cls = type(strategy)
    try:
        path = Path(inspect.getfile(cls))
        return StrategySource(cls.__name__, str(path), hashlib.sha256(path.read_bytes()).hexdigest())
    except (OSError, TypeError):
        return StrategySource(cls.__name__)


def _strategy_of(strategy: Strategy | type[Strategy] | str | Path) -> Strategy:
    if isinstance(strategy, Strategy):
        return strategy
    if isinstance(strategy, str | Path):
        return make_strategy(load_strategy(strategy).cls, {})
    return make_strategy(strategy, {})


def _instruments(symbols: Sequence[str], given: Mapping[str, AnyInstrument]) -> dict[str, AnyInstrument]:
    listed = {name: given[name] if name in given else instrument_of(name) for name in symbols}
    for name, instrument in listed.items():
        if instrument.id != name:
            raise DataError(f"bars name a symbol {name!r}, the instrument's id is {instrument.id!r}: use that")
    currencies = sorted({instrument.currency for instrument in listed.values()})
    if len(currencies) > 1:
        raise DataError(
            f"the instruments are priced in {' and '.join(currencies)}, which one account cannot add up: "
            f"run them in separate backtests"
        )
    return listed


def _features(
    strategy: Strategy, checked: CheckedBars, *, warm_up: int, samples: int
) -> tuple[dict[str, pl.DataFrame], pl.DataFrame]:
    """Return features and target of each symbol, proved not to look ahead, and the bars after the warm-up."""
    columns = {}
    for name in checked.symbols:
        bars = checked.frame.filter(pl.col("symbol") == name)
        if not 0 <= warm_up < bars.height:
            raise ConfigError(f"{name}: warm_up must leave bars to trade on, got {warm_up} of {bars.height} rows")
        columns[name] = evaluate(strategy, bars)
        if columns[name].width:
            check_look_ahead(strategy, name, bars, columns[name], samples=samples)
        else:
            # A strategy of hooks alone has no columns; one without opinions keeps the count of the bars.
            columns[name] = bars.select(pl.repeat(None, pl.len(), dtype=pl.Float64).alias(TARGET))
    if not warm_up:
        return columns, checked.frame
    return columns, checked.frame.filter(pl.int_range(pl.len()).over("symbol") >= warm_up)


def _groups(bars: pl.DataFrame, interval_ns: int) -> Iterator[tuple[Bar, ...]]:
    """Return the bars as values, those that open at the same time together."""
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


def _empty_rows(name: str, interval_ns: int, count: int) -> BarHistory:
    """Return a history whose length alone matters: columns that are known already are skipped by it."""
    return BarHistory(name, interval_ns, [0] * count, [], [], [], [], [])


@contextlib.contextmanager
def _progress(bars: int, *, shown: bool) -> Iterator[Callable[[int], None]]:
    """Give a function that moves a progress bar by so many bars."""
    if not shown:
        yield lambda _: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    look = (TextColumn("backtest"), BarColumn(), MofNCompleteColumn(), TextColumn("bars"), TimeRemainingColumn())
    with Progress(*look, transient=True) as progress:
        task = progress.add_task("backtest", total=bars)
        yield lambda count: progress.advance(task, count)
