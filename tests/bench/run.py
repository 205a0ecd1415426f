"""Runs the benchmarks and prints one table; every figure stands beside a baseline of the same run.

make bench                  all of them
make bench ARGS=backtests   one of them: backtests, feed, gateway, latency or web
"""

from __future__ import annotations

import importlib
import sys

from rich.console import Console
from rich.table import Table
from tests.bench.row import Row

BENCHMARKS = ("backtests", "feed", "gateway", "latency", "web")


def figure(value: float | None, unit: str = "") -> str:
    """Return a figure as people read it."""
    if value is None:
        return ""
    return f"{value:,.0f} {unit}" if value >= 1000 else f"{value:,.3g} {unit}"


def main() -> int:
    """Print the table and return the exit code."""
    chosen = sys.argv[1:] or list(BENCHMARKS)
    unknown = [name for name in chosen if name not in BENCHMARKS]
    console = Console()
    if unknown:
        console.print(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
        return 2
    table = Table("what", "figure", "baseline", "ratio", "budget", title="ibdesk benchmarks")
    for name in chosen:
        with console.status(f"measuring {name}"):
            rows: list[Row] = importlib.import_module(f"tests.bench.{name}").measure()
        for row in rows:
            ratio = "" if row.ratio is None else f"{row.ratio:.2f} x"
            table.add_row(row.name, figure(row.value, row.unit), figure(row.baseline, row.unit), ratio, row.budget)
    console.print(table)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
