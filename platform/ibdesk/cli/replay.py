"""`ibdesk replay`: the proof that a journal's decisions can be had again."""

from __future__ import annotations

from pathlib import Path

from ibdesk.cli.screen import console, waiting
from ibdesk.store import ReplayReport, replay


def replay_journal(path: Path) -> ReplayReport:
    """Replay a journal and print what it went through.

    Raises:
        JournalError: If it cannot be read.
        StrategyError: If a strategy's file is missing or has changed.
        ReplayMismatchError: At the first action that differs.
    """
    if console.is_terminal:
        with console.status(f"replaying {path.name} ...") as status:
            report = replay(path, progress=lambda number: status.update(f"replaying {path.name}: event {number:,}"))
    else:
        with waiting(f"replaying {path.name}"):
            report = replay(path)
    console.print(
        f"[green]equal[/]  {report.events:,} events, {report.actions:,} actions, {report.orders:,} orders, "
        f"{_count(report.runs)}: the replay did the same, byte for byte",
        soft_wrap=True,
    )
    for run in report.runs:
        console.print(f"       {run}", soft_wrap=True)
    return report


def _count(runs: tuple[str, ...]) -> str:
    return "1 run" if len(runs) == 1 else f"{len(runs)} runs"
