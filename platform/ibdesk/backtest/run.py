"""The function `backtest`."""

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
    """Run a strategy on past bars and return the result.

    `strategy` is an instance, a class that needs no parameters, or the path of a strategy file. `bars` is what
    `read_bars` returns or takes (a path, a folder, a pandas or Polars frame), or a frame as `check_bars`
    describes, of one symbol or many; symbols are interpreted by `instrument_of`
    unless `instruments` has them, and all must be priced in one currency. Costs are IB's fixed
    commissions and one tick of slippage unless others are given. `limits` are the risk rules, by default
    those of a desk opened here (``ibdesk.toml``, the environment); ``RiskLimits.none()`` switches
    them off. Denials and a halt are in the result's `denials`, `halt` and `warnings`. The first
    `warm_up` rows of each symbol feed its features only; a symbol without more rows is not traded, and one that
    starts later is warmed up later. There is no margin account: cash may become negative.
    `progress` shows a progress bar on the terminal, or is a function that is called about a hundred times with the
    fraction of bars done; its exceptions end the backtest.

    Orders made at a bar's close reach the exchange at once, and fill at the next bar's open at the earliest;
    `ibdesk.exchange.ticket` describes how bars fill orders. DAY orders expire at the end of their instrument's next
    trading day, which is a date of its session, or a bar of daily data.

    Raises:
        DataError: If the bars cannot be traded on.
        LookAheadError: If, at one of `look_ahead_samples` bars per symbol, features or target need later bars.
        StrategyError: If the strategy file or its parameters are invalid. Exceptions of its code pass unchanged.
        ConfigError: If `cash` or `warm_up` are invalid for these bars, or a limit of the settings is invalid.
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
    """Return class, file and SHA-256 of a strategy; no file if it was defined interactively."""
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
            raise DataError(
                f"the bars have the symbol {name!r}, but the instrument's id is {instrument.id!r}: use the id"
            )
    currencies = sorted({instrument.currency for instrument in listed.values()})
    if len(currencies) > 1:
        raise DataError(
            f"the instruments are priced in {' and '.join(currencies)}, which cannot be added up in one account: "
            f"run them in separate backtests"
        )
    return listed


class _Prepared(NamedTuple):
    """A strategy's columns over the bars, computed before it trades.

    `columns` and `features` hold target and features of each symbol, `traded` the bars after the warm-up.
    """

    columns: dict[str, pl.DataFrame]
    features: dict[str, ColumnFeatures]
    traded: pl.DataFrame
    warnings: list[str]


def _prepared(strategy: Strategy, checked: Bars, *, warm_up: int, samples: int) -> _Prepared:
    """Return features and target of each symbol, tested for look-ahead, and the bars after the warm-up.

    A symbol whose bars all belong to the warm-up is not traded, and a warning names it.
    """
    columns = {}
    for name in checked.symbols:
        bars = checked.frame.filter(pl.col("symbol") == name)
        columns[name] = evaluate(strategy, bars)
        if columns[name].width:
            check_look_ahead(strategy, name, bars, columns[name], samples=samples)
        else:
            # A strategy with hooks only has no columns; a null target keeps the number of bars.
            columns[name] = bars.select(pl.repeat(None, pl.len(), dtype=pl.Float64).alias(TARGET))
    counts = {name: frame.height for name, frame in columns.items()}
    longest = max(counts.values())
    if not 0 <= warm_up < longest:
        raise ConfigError(f"warm_up must leave bars to trade on, got {warm_up} of {longest} rows")
    traded = checked.frame
    if warm_up:
        traded = traded.filter(pl.int_range(pl.len()).over("symbol") >= warm_up)
    # A symbol that starts later is still warming up when the others begin to trade.
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
    """Return a warning for each symbol with fewer bars than the warm-up or the strategy needs."""
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
