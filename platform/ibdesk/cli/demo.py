"""`ibdesk demo`: takes one strategy file from a backtest to a paper account and a dashboard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl
from rich.text import Text

from ibdesk.cli.backtest import Costs, only, run_backtest
from ibdesk.cli.interrupt import CleanupStack
from ibdesk.cli.logs import open_log
from ibdesk.cli.packages import check_packages
from ibdesk.cli.replay import replay_journal
from ibdesk.cli.sample import SECONDS_A_DAY, first_day
from ibdesk.cli.screen import line, span, step, until
from ibdesk.cli.serving import serve
from ibdesk.cli.tables import Summary
from ibdesk.cli.trading import Run, end_run, open_desk
from ibdesk.cli.watch import watch
from ibdesk.cli.web import open_web
from ibdesk.config import Given
from ibdesk.data import sample_daily_bars
from ibdesk.desk import Desk
from ibdesk.engine import RiskLimits
from ibdesk.gateway import GatewaySettings
from ibdesk_server.settings import Settings


def run_demo(
    strategy: Path,
    *,
    symbols: Sequence[str],
    seconds: float | None,
    speed: float,
    report: Path | None,
    web: tuple[Given, ...],
    with_dashboard: bool,
    config: Path | None,
) -> None:
    """Run the demo until Ctrl-C or for some seconds, then show the trades and replay the journal.

    Raises:
        IbdeskError: If a step fails.
    """
    check_packages("bokeh", "bokeh_sampledata", *(["panel"] if with_dashboard else []))
    bars = only(sample_daily_bars(), symbols, where="the sample")
    on = bars["symbol"].unique().sort().to_list()
    run = Run(strategy=strategy, on=on)
    run.check()

    market = _market(bars, speed=speed)
    settings = Settings.load(
        Given("mode", "embedded", "ibdesk demo"), Given("gateway", market, "ibdesk demo"), *web, config=config
    )

    step(f"Backtest of {strategy} on daily prices of {', '.join(on)}")
    folder = report or settings.state_folder / "reports"
    run_backtest(strategy, bars, parameters={}, cash=100_000.0, costs=Costs(), limits=settings.risk, report=folder)

    with CleanupStack() as cleanup:
        cleanup.enter_context(open_log("demo", settings))
        step("The same prices as a live market, on a simulated TWS")
        desk = _open_market(cleanup, settings, bars)
        step("The same file on a paper account")
        run_id = _start(desk, run)
        step("To watch it")
        server = open_web(cleanup, desk, settings, with_dashboard=with_dashboard)
        serve(server.run, lambda: watch(desk), seconds=seconds, begun=lambda: line("end", until(seconds)))
        end_run(desk, run_id, flatten=False)
        summary, journal = Summary.of(desk), Path(desk.journal_path)

    step("What was traded")
    summary.show()
    step("The journal, replayed")
    line("journal", Text(str(journal)))
    replay_journal(journal)
    summary.check()


def _market(bars: pl.DataFrame, *, speed: float) -> GatewaySettings:
    return GatewaySettings(
        port=0,
        replay=Path("sample"),
        symbols=tuple(bars["symbol"].unique().sort()),
        play_each_over_seconds=SECONDS_A_DAY,
        start=first_day(bars),
        speed=speed,
    )


def _open_market(cleanup: CleanupStack, settings: Settings, bars: pl.DataFrame) -> Desk:
    days, market = bars["opened_at"].unique().sort(), settings.gateway
    desk = cleanup.enter_context(open_desk(settings))
    a_day, first = SECONDS_A_DAY / market.speed, market.start
    line("gateway", f"{desk.address}; any TWS client can connect")
    lasts = (len(days) - first) * a_day
    line("market", f"one day every {a_day:g} s from {days[first]:%Y-%m-%d}, for {span(lasts)}")
    return desk


def _start(desk: Desk, run: Run) -> str:
    run_id = run.start(desk)
    line("run", f"{run_id} on {run.bar} bars of {', '.join(run.on)}")
    line("account", f"{desk.health().account}, through ib_async over TCP")
    line("risk rules", _rules(desk.settings.risk))
    return run_id


def _rules(limits: RiskLimits) -> str:
    return (
        f"at most {limits.max_order_shares:,.0f} shares and {limits.max_notional:,.0f} USD per order, "
        f"{limits.max_orders_per_second:g} orders per second; a daily loss of {limits.max_daily_loss:,.0f} USD halts"
    )
