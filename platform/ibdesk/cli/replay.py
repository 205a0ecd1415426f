"""`ibdesk replay`: the proof that a journal's decisions can be had again."""

from __future__ import annotations

from pathlib import Path

from ibdesk.cli.screen import console, line, waiting
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
    line(
        "equal",
        f"a fresh engine, fed the {report.events:,} events, did the same byte for byte: "
        f"{_count(report.actions, 'action')}, among them {_count(report.orders, 'order')}, "
        f"of {', '.join(report.runs) or 'no run'}",
        style="bold green",
    )
    return report


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
