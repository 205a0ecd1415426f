"""`ibdesk backtest`: runs a strategy over past bars."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import polars as pl

from ibdesk.backtest import Result, backtest, blaming
from ibdesk.cli.reading import NOTHING, Reading, read_file
from ibdesk.cli.screen import console, file_address, line, waiting
from ibdesk.cli.tables import stats_view
from ibdesk.data import Bars, sample_daily_bars
from ibdesk.engine import RiskLimits
from ibdesk.errors import ConfigError, DataError
from ibdesk.exchange import SCHEDULES, TickSlippage
from ibdesk.strategy import load_strategy, make_strategy


class Costs(msgspec.Struct, frozen=True):
    """The costs of trading: a commission schedule by name, and slippage in ticks."""

    commission: str = "fixed"
    slippage_ticks: float = 1.0


def choose_bars(
    path: Path | None, *, sample: bool, symbols: Sequence[str], reading: Reading = NOTHING, allow_gaps: bool = False
) -> Bars | pl.DataFrame:
    """Return the bars of a file or the sample, for all symbols or some.

    Raises:
        ConfigError: If neither or both are given.
        DataError: If the bars cannot be used, or a symbol has none.
    """
    if (path is None) is not sample:
        raise ConfigError("choose the bars: --bars FILE for a CSV or Parquet file, or --sample for the sample")
    if path is None:
        return only(sample_daily_bars(), symbols, where="the sample")
    bars = read_file(path, reading).only(symbols)
    if bars.gaps and not allow_gaps:
        more = f" (and {len(bars.gaps) - 1} more gaps)" if len(bars.gaps) > 1 else ""
        raise DataError(
            f"{path}: {bars.gaps[0]}{more}: add the missing bars, or continue without them with --allow-gaps"
        )
    return bars


def only(bars: pl.DataFrame, symbols: Sequence[str], *, where: str) -> pl.DataFrame:
    """Return the bars of these symbols, or of all if none is given.

    Raises:
        DataError: If a symbol has no bars.
    """
    known = bars["symbol"].unique().sort().to_list()
    if missing := [symbol for symbol in symbols if symbol not in known]:
        raise DataError(f"{where} has no bars of {', '.join(missing)}: it has {', '.join(known)}")
    return bars.filter(pl.col("symbol").is_in(list(symbols))) if symbols else bars


def run_backtest(
    strategy: Path,
    bars: Bars | pl.DataFrame,
    *,
    parameters: dict[str, object],
    cash: float,
    costs: Costs,
    limits: RiskLimits,
    report: Path | None,
    as_json: bool = False,
) -> Result:
    """Run a backtest, print its figures, write the report if `report` is given, and return the result.

    Raises:
        IbdeskError: If strategy, parameters or bars cannot be used.
    """
    made = make_strategy(load_strategy(strategy).cls, parameters)
    with blaming(strategy):
        result = backtest(
            made,
            bars,
            cash=cash,
            commissions=SCHEDULES[costs.commission](),
            slippage=TickSlippage(costs.slippage_ticks),
            limits=limits,
            progress=console.is_terminal and not as_json,
        )
    written = None if report is None else _write(result, report, quiet=as_json)
    if as_json:
        console.out(_json(result, written), highlight=False)
        return result
    console.print(stats_view(result))
    for warning in result.warnings:
        console.print(f"[yellow]warning[/] {warning}")
    if written is not None:
        line("report", file_address(written))
    return result


def _write(result: Result, path: Path, *, quiet: bool) -> Path:
    """Write the report to a file, or to a folder under the strategy's name, and return its path."""
    if path.suffix.lower() not in {".html", ".htm"}:
        path = path / f"{result.source.class_name}.html"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if quiet:
            return result.report(path)
        with waiting("writing the report"):
            return result.report(path)
    except OSError as error:
        raise ConfigError(f"the report cannot be written to {path}: {error.strerror or error}") from None


def _json(result: Result, report: Path | None) -> str:
    figures = {
        "strategy": result.source.class_name,
        "sha256": result.source.sha256,
        "parameters": result.parameters,
        "symbols": result.symbols,
        "stats": result.stats,
        "denials": result.denials,
        "warnings": result.warnings,
        "report": None if report is None else str(report),
    }
    return msgspec.json.format(msgspec.json.encode(figures), indent=2).decode()
