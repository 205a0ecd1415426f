"""One backtest, from the question to the answer."""

from __future__ import annotations

import datetime as dt
import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from ibdesk.backtest.limits import limits_in_effect
from ibdesk.backtest.look_ahead import check_look_ahead
from ibdesk.backtest.result import Result, make_result
from ibdesk.backtest.simulation import Simulation
from ibdesk.data import Bars, as_bars
from ibdesk.data.trading_dates import dates_of_rows
from ibdesk.engine import TARGET, ColumnFeatures, RiskLimits, evaluate
from ibdesk.errors import ConfigError, DataError
from ibdesk.exchange import CommissionSchedule, Exchange, FixedCommission, Slippage, TickSlippage
from ibdesk.model import AnyInstrument, StrategySource, instrument_of
from ibdesk.strategy import Strategy, bars_needed, load_strategy, make_strategy


def backtest(
    strategy: Strategy | type[Strategy] | str | Path,
    bars: Any,
    *,
    cash: float = 100_000.0,
    commissions: CommissionSchedule | None = None,
    slippage: Slippage | None = None,
    limits: RiskLimits | None = None,
    instruments: Mapping[str, AnyInstrument] | None = None,
    warm_up: int = 0,
    look_ahead_samples: int = 8,
    progress: bool | Callable[[float], None] = False,
) -> Result:
    """Return what the strategy would have done and earned on past bars.

    `strategy` is an instance, a class that needs no parameters, or the path of a strategy file. `bars` is what
    `read_bars` returns or takes (a path, a folder, a pandas or Polars frame), or a frame as `check_bars`
    describes, of one symbol or many; symbols are taken as `instrument_of` reads them
    unless `instruments` says otherwise, and all must be priced in one currency. Costs are on: IB's fixed
    commissions and one tick of slippage unless other ones are given. `limits` are the risk rules, by default
    those with which a desk would open here (``ibdesk.toml``, the environment); ``RiskLimits.none()`` switches
    them off. What they deny, and a halt, stand in the result's `denials`, `halt` and `warnings`. The first
    `warm_up` rows of each symbol feed its features only; a symbol that has no more is not traded, and one that
    starts later is warmed up later. There is no margin account: cash may go below zero.
    `progress` shows a bar on the terminal, or is told about a hundred times which fraction of the bars is
    done; what it raises ends the backtest.

    Orders made at a bar's close reach the exchange then, and fill at the next bar's open the earliest; how
    bars fill orders stands in `ibdesk.exchange.ticket`. DAY orders expire when the next trading day of their
    instrument ends, which is a date of its session, and each bar of daily data.

    Raises:
        DataError: If the bars cannot be traded on.
        LookAheadError: If, at one of `look_ahead_samples` bars a symbol, features or target need later bars.
        StrategyError: If the strategy file or its parameters are wrong. What its code raises comes through.
        ConfigError: If `cash` or `warm_up` make no sense for these bars, or a limit of the settings cannot be used.
    """
    if not 0 < cash < float("inf"):
        raise ConfigError(f"cash must be a positive amount, got {cash!r}")
    made = _strategy_of(strategy)
    rules = limits_in_effect() if limits is None else limits
    checked = as_bars(bars, instruments=instruments)
    listed = _instruments(checked.symbols, instruments or {})
    prepared = _prepared(made, checked, warm_up=warm_up, samples=look_ahead_samples)
    columns, traded = prepared.columns, prepared.traded
    exchange = Exchange(
        commissions=commissions if commissions is not None else FixedCommission(),
        slippage=slippage if slippage is not None else TickSlippage(1.0),
    )
    source = source_of(made)
    simulation = Simulation(
        made,
        source,
        listed,
        prepared.features,
        exchange,
        limits=rules,
        interval_ns=checked.interval_ns,
    )
    dates = dates_of_rows(traded, {name: each.session for name, each in listed.items()}, checked.interval_ns)
    simulation.run(traded, dates, cash=cash, progress=progress)
    return make_result(
        strategy=made,
        source=source,
        bars=traded,
        dates=dates,
        columns=pl.concat([columns[name].slice(warm_up) for name in checked.symbols]),
        instruments=listed,
        interval_ns=checked.interval_ns,
        cash=cash,
        fills=simulation.fills,
        commissions=simulation.commissions,
        book=exchange.book,
        orders=list(simulation.engine.blotter.orders.values()),
        limits=rules,
        denials=tuple(simulation.denials.values()),
        alerts=tuple(simulation.alerts),
        warnings=(*prepared.warnings, *checked.warnings),
    )


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


class _Prepared(NamedTuple):
    """What a strategy says of bars before it trades on them.

    `columns` and `features` have target and features of each symbol, `traded` the bars after the warm-up.
    """

    columns: dict[str, pl.DataFrame]
    features: dict[str, ColumnFeatures]
    traded: pl.DataFrame
    warnings: list[str]


def _prepared(strategy: Strategy, checked: Bars, *, warm_up: int, samples: int) -> _Prepared:
    """Return features and target of each symbol, proved not to look ahead, and the bars after the warm-up.

    A symbol whose bars all belong to the warm-up is not traded, and warned of.
    """
    columns = {}
    for name in checked.symbols:
        bars = checked.frame.filter(pl.col("symbol") == name)
        columns[name] = evaluate(strategy, bars)
        if columns[name].width:
            check_look_ahead(strategy, name, bars, columns[name], samples=samples)
        else:
            # A strategy of hooks alone has no columns; one without opinions keeps the count of the bars.
            columns[name] = bars.select(pl.repeat(None, pl.len(), dtype=pl.Float64).alias(TARGET))
    counts = {name: frame.height for name, frame in columns.items()}
    longest = max(counts.values())
    if not 0 <= warm_up < longest:
        raise ConfigError(f"warm_up must leave bars to trade on, got {warm_up} of {longest} rows")
    traded = checked.frame
    if warm_up:
        traded = traded.filter(pl.int_range(pl.len()).over("symbol") >= warm_up)
    # A symbol that starts later has not seen its warm-up yet when the others begin.
    past = checked.frame.filter(
        pl.col("opened_at") <= traded["opened_at"][0] - dt.timedelta(microseconds=checked.interval_ns // 1000)
    )
    seen = dict(past.group_by("symbol").len().iter_rows())
    features = {
        name: ColumnFeatures(frame, skipped=warm_up, known=min(warm_up, seen.get(name, 0)))
        for name, frame in columns.items()
    }
    return _Prepared(columns, features, traded, _short_of_bars(strategy, counts, warm_up))


def _short_of_bars(strategy: Strategy, counts: Mapping[str, int], warm_up: int) -> list[str]:
    """Return a sentence for each symbol that has fewer bars than the warm-up or the strategy needs."""
    needed, told = bars_needed(strategy), type(strategy).__name__
    found = []
    for name, count in counts.items():
        needs = f"{name}: {told} needs {needed:,} bars before it can decide, and"
        if count <= warm_up:
            found.append(f"{name} is not traded: it has {count:,} bars, and {warm_up:,} of each symbol are the warm-up")
        elif count < needed:
            found.append(f"{needs} there are {count:,}: it never does")
        elif 0 < warm_up < needed - 1:
            found.append(f"{needs} the warm-up has {warm_up:,}: use warm_up={needed}")
    return found
