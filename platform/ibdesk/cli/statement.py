"""`ibdesk statement`: compares a statement of IB with the journals, and prints agreements and differences."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from rich.table import Table
from rich.text import Text

from ibdesk.cli.screen import console, line, plain_table, show_table, step
from ibdesk.desk import DeskSettings
from ibdesk.errors import ConfigError, JournalError
from ibdesk.statement import Statement, StatementReport, join, read_account, read_statements
from ibdesk.statement.comparison import StatementDiffersError
from ibdesk.statement.discrepancy import Discrepancy

# How many differences of each kind are printed; --json has all.
_SHOWN = 50
_HEADINGS = {
    Discrepancy.MISSING_HERE: "missing here",
    Discrepancy.MISSING_THERE: "missing there",
    Discrepancy.DIFFERENT: "different",
}


def compare_statement(
    file: Path,
    journals: Sequence[Path],
    *,
    config: Path | None,
    account: str,
    zone: str,
    tolerance_seconds: float,
    as_json: bool,
) -> None:
    """Compare each account of a statement with its journals, and print the result.

    Raises:
        ConfigError: If the zone or the account is unknown.
        JournalError: If an account has no journal; the other accounts are printed first.
        StatementError: If the statement cannot be read.
        StatementDiffersError: If something differs.
    """
    chosen = _chosen(read_statements(file, zone=_zone(zone)), account, file)
    folders = list(journals) or [DeskSettings.load(config=config).state_folder / "journals"]
    reports: list[StatementReport] = []
    missing: list[JournalError] = []
    for statement in chosen:
        until_ns = None if statement.ends is None else int(statement.ends.timestamp()) * 1_000_000_000
        try:
            record = read_account(folders, statement.account, until_ns=until_ns)
        except JournalError as error:
            missing.append(error)
            continue
        reports.append(join(statement, record, tolerance_seconds=tolerance_seconds))
    if as_json:
        found = {"reports": reports, "missing": [str(each) for each in missing]}
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n")
    else:
        for report in reports:
            _show(report)
        for each in missing[1:]:
            line("not checked", Text(str(each)), style="bold red")
    if missing:
        raise missing[0]
    if count := sum(len(report.differences) for report in reports):
        raise StatementDiffersError(count)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(f"--zone {name!r} is not a time zone: name one like America/New_York") from None


def _chosen(statements: list[Statement], account: str, file: Path) -> list[Statement]:
    chosen = [each for each in statements if account in ("", each.account)]
    if not chosen:
        names = ", ".join(each.account for each in statements)
        raise ConfigError(f"--account {account} is not in {file}, which has {names}")
    return chosen


def _show(report: StatementReport) -> None:
    step(f"account {report.account}{_period(report)}")
    line("statement", f"{report.executions_there:,} executions")
    line("journals", f"{report.executions_here:,} executions in {len(report.journals):,} journals")
    if report.outside:
        line("outside", f"{report.outside:,} executions of the journals are outside this period")
    line("agree", f"{report.agreed:,} executions", style="green")
    if report.cash:
        show_table(_cash_table(report))
    for money in report.cash_kinds:
        line("cash", f"{money.kind}: {_money(money.amount)} {money.currency} ({money.count:,})")
    for note in report.notes:
        line("note", note, style="yellow")
    for kind, heading in _HEADINGS.items():
        found = [each for each in report.differences if each.kind is kind]
        for each in found[:_SHOWN]:
            line(heading, each.text, style="bold red")
        if len(found) > _SHOWN:
            line(heading, f"and {len(found) - _SHOWN:,} more: --json prints all", style="bold red")
    if not report.differences:
        console.print("[green]equal[/]: statement and journals agree in everything that both contain")


def _period(report: StatementReport) -> str:
    begins = "" if report.begins is None else f" from {report.begins:%Y-%m-%d}"
    return begins if report.ends is None else f"{begins} until {report.ends:%Y-%m-%d %H:%M} {report.ends:%Z}"


def _cash_table(report: StatementReport) -> Table:
    """Return the cash of each currency, the journals' figures above the statement's."""
    table = plain_table("cash", "", "trades", "commissions", "other", "at the end", title="", right=4)
    for each in report.cash:
        here = (each.trades_here, each.commissions_here, each.other_here, each.ending_here)
        there = (each.trades_there, each.commissions_there, each.other_there, each.ending_there)
        table.add_row(each.currency, "journals", *map(_money, here))
        table.add_row("", "statement", *map(_money, there))
    return table


def _money(amount: Decimal | None) -> str:
    return "-" if amount is None else f"{amount:,.2f}"
