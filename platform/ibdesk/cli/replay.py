"""`ibdesk replay`: proves that a journal's decisions are reproducible."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ibdesk.cli.screen import console, line, waiting
from ibdesk.store import ReplayReport, replay


def replay_journal(path: Path) -> ReplayReport:
    """Replay a journal and print its counts.

    Raises:
        JournalError: If the journal cannot be read.
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
        f"a fresh engine, fed the {report.events:,} events, repeated its actions byte for byte: "
        f"{_count(report.actions, 'action')}, including {_count(report.orders, 'order')}, "
        f"of {', '.join(report.runs) or 'no run'}",
        style="bold green",
    )
    return report


def journals_among(paths: Iterable[Path]) -> list[Path]:
    """Return each journal once; SQLite's files beside it (``-wal``, ``-shm``) belong to it."""
    return list(dict.fromkeys(_journal_of(path) for path in paths))


def _journal_of(path: Path) -> Path:
    for suffix in ("-wal", "-shm"):
        owner = path.with_name(path.name.removesuffix(suffix))
        if path.name.endswith(suffix) and owner.is_file():
            return owner
    return path


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
