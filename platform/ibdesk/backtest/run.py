"""One backtest, from the question to the answer."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from ibdesk.backtest.limits import limits_in_effect
from ibdesk.backtest.look_ahead import check_look_ahead
from ibdesk.backtest.result import Result, make_result
from ibdesk.backtest.simulation import Simulation
from ibdesk.data import Bars, as_bars
from ibdesk.data.trading_dates import dates_of_rows
from ibdesk.engine import TARGET, RiskLimits, evaluate
from ibdesk.errors import ConfigError, DataError
from ibdesk.exchange import CommissionSchedule, Exchange, FixedCommission, Slippage, TickSlippage
from ibdesk.model import AnyInstrument, StrategySource, instrument_of
from ibdesk.strategy import Strategy, load_strategy, make_strategy


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
    `warm_up` rows of each symbol feed its features only. There is no margin account: cash may go below zero.
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
    columns, traded = _features(made, checked, warm_up=warm_up, samples=look_ahead_samples)
    exchange = Exchange(
        commissions=commissions if commissions is not None else FixedCommission(),
        slippage=slippage if slippage is not None else TickSlippage(1.0),
    )
    source = source_of(made)
    simulation = Simulation(
        made,
        source,
        listed,
        columns,
        exchange,
        limits=rules,
        interval_ns=checked.interval_ns,
    )
    dates = dates_of_rows(traded, {name: each.session for name, each in listed.items()}, checked.interval_ns)
    simulation.run(traded, dates, cash=cash, warm_up=warm_up, progress=progress)
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
        warnings=checked.warnings,
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


def _features(
    strategy: Strategy, checked: Bars, *, warm_up: int, samples: int
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
