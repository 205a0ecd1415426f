"""The main commands with their options and help; each is implemented in the module of its name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ibdesk.cli import options as o
from ibdesk.cli.app import command
from ibdesk.cli.example import example_strategy
from ibdesk.cli.loading import loading


@command("Begin here", "ibdesk demo", "ibdesk demo --for 60", "ibdesk demo --speed 40 --no-dashboard")
def demo(
    context: typer.Context,
    strategy: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Strategy file to backtest and then run", show_default="ema_cross.py"),
    ] = None,
    symbols: o.Symbols = "",
    seconds: o.Seconds = None,
    speed: o.Speed = 20.0,
    report: o.Report = None,
    port: o.ApiPort = None,
    dashboard_port: o.DashboardPort = None,
    *,
    dashboard: o.Dashboard = True,
) -> None:
    """Show a backtest, paper trading, API, feed and dashboard on real prices. No account or network is needed.

    Backtests a strategy on thirteen years of daily prices, plays the same prices as a live market on a simulated TWS
    (each day takes 5 market seconds), and runs the same file there on a paper account. Ctrl-C ends it and shows the
    trades; then the journal is replayed and compared.
    """
    with loading():
        from ibdesk.cli.demo import run_demo
        from ibdesk.cli.web import web_options

    run_demo(
        strategy or example_strategy(),
        symbols=o.names(symbols),
        seconds=seconds,
        speed=speed,
        report=report,
        web=web_options(port, dashboard_port),
        with_dashboard=dashboard,
        config=context.obj.config,
    )


@command(
    "Research",
    "ibdesk backtest strategies/ema_cross.py --sample",
    "ibdesk backtest my.py --bars prices.csv -p fast=10 -p slow=30 --report out.html",
    "ibdesk backtest my.py --bars prices.parquet --json | jq .stats.sharpe",
)
def backtest(
    context: typer.Context,
    strategy: o.StrategyFile,
    bars: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File of bars, or a folder of them", show_default=False)
    ] = None,
    symbols: o.Symbols = "",
    params: o.Parameters = [],  # noqa: B006 - typer takes a copy
    cash: Annotated[float, typer.Option(help="Starting cash, in the instruments' currency")] = 100_000.0,
    commission: Annotated[
        o.Commission, typer.Option(help="Commission schedule of Interactive Brokers")
    ] = o.Commission.FIXED,
    slippage_ticks: Annotated[float, typer.Option(min=0, help="Slippage of market orders and stops, in ticks")] = 1.0,
    report: o.Report = None,
    symbol: o.Symbol = None,
    zone: o.Zone = None,
    date_order: o.DateOrder = None,
    decimal: o.Decimal = None,
    format: o.Format = None,  # noqa: A002 - the option's name
    interval: o.Interval = [],  # noqa: B006 - typer takes a copy
    splits: o.Splits = [],  # noqa: B006
    *,
    sample: Annotated[bool, typer.Option("--sample", help=f"Use {o.SAMPLE}")] = False,
    allow_gaps: Annotated[bool, typer.Option("--allow-gaps", help="Continue where bars are missing")] = False,
    no_limits: Annotated[bool, typer.Option("--no-limits", help="Switch the risk rules off")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON only")] = False,
) -> None:
    """Run a strategy on past bars and report its trades and profit after costs.

    Files of most vendors are read as they are; `ibdesk data check` shows how a file is interpreted. Orders made at a
    bar's close fill at the next bar's open at the earliest. The risk rules of a desk apply.
    """
    with loading():
        from ibdesk.backtest.limits import limits_in_effect
        from ibdesk.cli.backtest import Costs, choose_bars, run_backtest
        from ibdesk.cli.reading import Reading, interval_of
        from ibdesk.engine import RiskLimits

    run_backtest(
        strategy,
        choose_bars(
            bars,
            sample=sample,
            symbols=o.names(symbols),
            reading=Reading(symbol, zone, date_order, decimal, format, interval_of(interval), splits),
            allow_gaps=allow_gaps,
        ),
        parameters=o.parameters(params),
        cash=cash,
        costs=Costs(commission.value, slippage_ticks),
        limits=RiskLimits.none() if no_limits else limits_in_effect(context.obj.config),
        report=report,
        as_json=as_json,
    )


@command("Research", "ibdesk strategies", "ibdesk strategies ~/research")
def strategies(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder of strategy files", show_default="strategies, or ibdesk's examples")
    ] = None,
) -> None:
    """List the strategies of a folder and their parameters, and report files that cannot be used."""
    with loading():
        from ibdesk.cli.strategies import list_strategies

    list_strategies(folder or example_strategy().parent)


@command(
    "Trade",
    "ibdesk run strategies/ema_cross.py --on AAPL,MSFT --speed 20 --for 60",
    "ibdesk run my.py --on AAPL --mode paper --port 4002",
    "ibdesk run my.py --on AAPL --mode live --port 7496 --account U1234567",
    name="run",
)
def run_strategy(
    context: typer.Context,
    strategy: o.StrategyFile,
    on: o.On,
    bar: o.BarLength = "5 secs",
    params: o.Parameters = [],  # noqa: B006 - typer takes a copy
    seconds: o.Seconds = None,
    mode: o.ModeOption = None,
    host: o.TwsHost = None,
    port: o.RunPort = None,
    client_id: o.ClientId = None,
    account: o.Account = None,
    speed: o.EmbeddedSpeed = None,
    *,
    resume: o.Resume = None,
    take_over: o.TakeOverRun = "",
    budget: o.Budget = None,
    flatten: Annotated[bool, typer.Option("--flatten", help="Close the run's positions at the end")] = False,
) -> None:
    """Run a strategy until Ctrl-C and print its trades, without API or dashboard.

    At the end its open orders are cancelled. Its positions remain open unless --flatten is given.
    """
    with loading():
        from ibdesk.cli.run import run_until_stopped
        from ibdesk.cli.trading import Connection, Run

    run_until_stopped(
        Connection(
            config=context.obj.config,
            mode=mode,
            host=host,
            port=port,
            client_id=client_id,
            account=account,
            speed=speed,
            resume=resume,
        ),
        Run(
            strategy=strategy,
            on=o.names(on),
            bar=bar,
            parameters=o.parameters(params),
            take_over=take_over,
            budget=o.budget(budget),
        ),
        seconds=seconds,
        flatten=flatten,
    )


@command("Prove", "ibdesk simulate --seeds 0:1000", "ibdesk simulate --seeds 17 --until 42 --keep 2,5")
def simulate(
    seeds: Annotated[str, typer.Option(metavar="FROM:TO", help="A range of seeds, or one seed")] = "0:100",
    until: Annotated[
        float | None, typer.Option(help="Stop after this many virtual seconds (one seed only)", show_default=False)
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(metavar="NUMBERS", help="Keep only these steps (one seed only), or none", show_default=False),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Number of processes", show_default="one per processor")
    ] = None,
) -> None:
    """Trade on virtual time under random faults, and check the promises at every step.

    Engine, TWS link, journal and gateway run in one process on one virtual clock. Each seed draws a market, strategies,
    a person's commands and faults: crashes between any two bytes, torn and lost writes, a full disk, stalls, lost
    connections, TWS errors, and other traders in the account. For a seed that breaks a promise, the command that
    reproduces it is printed, with the fewest steps that do. A single seed prints its events in full.
    """
    with loading():
        from ibdesk.cli.simulation import run_simulations

    run_simulations(seeds, until=until, keep=keep, workers=workers)


@command("Prove", "ibdesk replay ~/.local/state/ibdesk/journals/*.sqlite")
def replay(
    journal: Annotated[list[Path], typer.Argument(metavar="JOURNAL", help="One or more journals of a desk")],
) -> None:
    """Feed a desk's journal to a fresh engine and compare its actions with the recorded ones.

    Exits with 1 at the first action that differs, and with 2 if a journal, or a strategy file that it names, cannot be
    used. The strategy file must be the one that ran: its SHA-256 is compared.
    """
    with loading():
        from ibdesk.cli.replay import journals_among, replay_journal

    for path in journals_among(journal):
        replay_journal(path)


@command("Prove")
def version() -> None:
    """Print the versions of ibdesk, Python and the main libraries."""
    from ibdesk.cli.version import print_versions

    print_versions()
