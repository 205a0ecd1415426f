"""`ibdesk replay` on whatever lies in a folder of journals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ibdesk.engine import RiskLimits
from ibdesk.model import Quote
from ibdesk.store import Journal, JournalHeader

Cli = Callable[..., tuple[int, str, str]]


def test_all_files_of_a_folder_are_replayed_and_each_journal_once(cli: Cli, tmp_path: Path) -> None:
    header = JournalHeader(program="ibdesk 0", mode="paper", account="", started_ns=1, limits=RiskLimits())
    ended, running = (Journal.create(tmp_path / f"paper-{number}.sqlite", header) for number in (1, 2))
    for journal in (ended, running):
        journal.record(Quote("AAPL", 1, 10.0, 10.1), ())
        journal.commit()
    ended.close()
    files = sorted(tmp_path.iterdir())
    assert [path.name for path in files] == [
        "paper-1.sqlite",
        "paper-2.sqlite",
        "paper-2.sqlite-shm",
        "paper-2.sqlite-wal",
    ]

    first, second = cli("replay", *files), cli("replay", *sorted(tmp_path.iterdir()))

    for code, out, err in (first, second):
        assert code == 0, err
        assert out.count("byte for byte") == 2
    assert sorted(tmp_path.iterdir()) == files
    running.close()
