"""`ibdesk journal`: lists, verifies and backs up journals, also while their desk writes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ibdesk.cli.screen import console, line, plain_table, show_table
from ibdesk.desk import DeskSettings
from ibdesk.errors import JournalError
from ibdesk.model import moment
from ibdesk.store import JournalInfo, journal_infos, journals_in
from ibdesk.store.journal_backup import back_up
from ibdesk.store.journal_packing import packed_path
from ibdesk.store.journal_verify import DamagedJournalsError, JournalFacts, journals_among, verify_journals


def list_journals(folder: Path | None, *, config: Path | None, last: int, as_json: bool) -> None:
    """Print the newest journals of a folder.

    Raises:
        JournalError: If there is no journal.
    """
    chosen = folder or _folder(config)
    found = journal_infos(chosen, current="", limit=last)
    if not found:
        raise JournalError(f"there is no journal in {chosen}")
    if as_json:
        _print_json(found)
        return
    table = plain_table("journal", "began", "mode", "account", "client", "", "size", title="", right=1)
    for each in found:
        began = f"{moment(each.started_ns):%Y-%m-%d %H:%M:%S} UTC" if each.started_ns else ""
        table.add_row(
            each.name, began, each.mode, each.account, str(each.client_id), _state(chosen, each), _size(each.size_bytes)
        )
    show_table(table)
    if rest := len(journals_in(chosen)) - len(found):
        line("older", f"{rest:,} more: --last shows them")


def verify_all(paths: Sequence[Path], *, config: Path | None, as_json: bool) -> None:
    """Read journals in full, and print the content and the faults of each.

    Raises:
        DamagedJournalsError: If a journal has a fault.
        JournalError: If there is no journal.
    """
    chosen = journals_among(paths or [_folder(config)])
    facts: list[JournalFacts] = []
    for each in verify_journals(chosen):
        facts.append(each)
        if not as_json:
            _show(each)
    if as_json:
        _print_json(facts)
    damaged = sum(bool(each.faults) for each in facts)
    if damaged:
        raise DamagedJournalsError(damaged, len(facts))
    if not as_json:
        events = sum(each.events for each in facts)
        console.print(f"[green]whole[/]: {_count(len(facts), 'journal')}, {events:,} events, none missing")


def back_up_journal(file: Path, journal: Path | None, *, config: Path | None) -> None:
    """Copy a journal, by default the newest, to a new file, and print its content.

    Raises:
        JournalError: If there is no journal, or the file cannot be written.
    """
    if journal is None:
        folder = _folder(config)
        newest = next(iter(journals_in(folder)), None)
        if newest is None:
            raise JournalError(f"there is no journal in {folder}")
        journal = newest
    if console.is_terminal:
        with console.status(f"copying {journal.name} ...") as status:
            report = back_up(
                journal,
                file,
                progress=lambda left, total: status.update(f"copying {journal.name}: {1 - left / max(total, 1):.0%}"),
            )
    else:
        report = back_up(journal, file)
    line("backup", f"{report.journal}: {report.events:,} events, {_size(report.size_bytes)}, in {report.path}")


def _show(facts: JournalFacts) -> None:
    style = "red" if facts.faults else "green"
    kind = "copy" if facts.is_copy else "packed" if facts.is_packed else ""
    words = [f"{facts.events:,} events", _count(facts.actions, "action"), _count(facts.orders, "order")]
    about = ", ".join(word for word in (facts.mode, facts.account, kind, *words, _size(facts.size_bytes)) if word)
    console.print(f"[{style}]\N{BULLET}[/] {facts.name}: {about}", soft_wrap=True)
    for fault in facts.faults:
        line("fault", fault, style="bold red")
    for note in facts.notes:
        line("note", note, style="yellow")


def _state(folder: Path, info: JournalInfo) -> str:
    path = folder / info.name
    if info.note:
        return info.note
    if info.is_copy:
        return "copy"
    if not path.exists() and packed_path(path).exists():
        return "packed"
    return "open" if path.with_name(f"{path.name}-wal").exists() else ""


def _size(count: int) -> str:
    return f"{count / 1_048_576:,.1f} MiB" if count >= 1_048_576 else f"{count / 1_024:,.0f} KiB"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _print_json(values: Sequence[msgspec.Struct]) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(values), indent=2).decode() + "\n")


def _folder(config: Path | None) -> Path:
    return DeskSettings.load(config=config).state_folder / "journals"
