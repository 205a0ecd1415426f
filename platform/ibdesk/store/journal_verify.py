"""Verification of journals: SQLite's own check, header, numbers, events, and the chain from one to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from ibdesk.errors import IbdeskError, JournalError
from ibdesk.model import PlaceOrder, Restore
from ibdesk.store.journal_files import journals_in
from ibdesk.store.journal_packing import packed_path
from ibdesk.store.journal_reader import BookRow, JournalReader, UnbornJournalError


class JournalFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The content of one journal, and its faults.

    `earlier` is the journal that its desk continued from, empty for none. `notes` are harmless observations; with
    `faults`, the journal or the chain before it is not reliable.
    """

    name: str
    size_bytes: int
    is_packed: bool = False
    is_copy: bool = False
    mode: str = ""
    account: str = ""
    started_ns: int = 0
    ended_ns: int = 0
    events: int = 0
    actions: int = 0
    orders: int = 0
    earlier: str = ""
    faults: list[str] = []
    notes: list[str] = []


class DamagedJournalsError(IbdeskError):
    """Journals were verified, and some are damaged."""

    def __init__(self, damaged: int, verified: int) -> None:
        super().__init__(damaged, verified)
        self.damaged, self.verified = damaged, verified

    def __str__(self) -> str:
        return (
            f"{self.damaged} of {self.verified} journals are damaged: restore them from a backup, and compare the "
            f"books of their account with TWS"
        )


def journals_among(paths: Sequence[Path]) -> list[Path]:
    """Return the journals among files and folders, each once, oldest first in a folder.

    Raises:
        JournalError: If a path does not exist, or there is no journal.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += reversed(journals_in(path))
        elif path.exists() or packed_path(path).exists():
            found.append(path)
        else:
            raise JournalError(f"there is no journal {path}")
    if not found:
        raise JournalError(f"there is no journal in {', '.join(map(str, paths))}")
    return list(dict.fromkeys(found))


def verify_journals(paths: Sequence[Path], *, progress: Callable[[str], None] | None = None) -> Iterator[JournalFacts]:
    """Read each journal to its end and yield its facts; the chain is followed among files of one folder.

    `progress` receives the name of each before it is read.
    """
    for path in paths:
        if progress is not None:
            progress(path.name)
        yield verify_journal(path)


def verify_journal(path: Path) -> JournalFacts:
    """Read one journal to its end and return its facts."""
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    packed = packed_path(plain)
    file = path if path.exists() else packed
    notes = []
    if plain.exists() and packed.exists():
        notes.append(f"it exists packed and unpacked: the unpacked one counts, and {packed.name} can be removed")
    try:
        size = file.stat().st_size
        with JournalReader(path) as journal:
            return _read(journal, name=plain.name, size_bytes=size, is_packed=file == packed, notes=notes)
    except UnbornJournalError as error:
        notes.append(f"{error}: the process that created it ended before it traded")
        return JournalFacts(name=plain.name, size_bytes=size, notes=notes)
    except (JournalError, OSError) as error:
        size = file.stat().st_size if file.exists() else 0
        return JournalFacts(name=plain.name, size_bytes=size, is_packed=file == packed, faults=[str(error)])


def _read(journal: JournalReader, *, name: str, size_bytes: int, is_packed: bool, notes: list[str]) -> JournalFacts:
    tally = _Tally(is_copy=journal.copy is not None)
    tally.faults += [f"SQLite reports damage: {text}" for text in _integrity_faults(journal)]
    try:
        for row in journal.rows():
            tally.take(row)
    except JournalError as error:
        tally.faults.append(str(error))
    if journal.copy is not None:
        notes.append(f"it is a copy of what changed books on {journal.copy.host}")
        if journal.copy.fault:
            tally.faults.append(f"no desk can continue from this copy: {journal.copy.fault}")
    begun = tally.restore
    return JournalFacts(
        name=name,
        size_bytes=size_bytes,
        is_packed=is_packed,
        is_copy=journal.copy is not None,
        mode=journal.header.mode,
        account=journal.header.account if begun is None else begun.account,
        started_ns=journal.header.started_ns,
        ended_ns=tally.ended_ns,
        events=tally.events,
        actions=tally.actions,
        orders=tally.orders,
        earlier="" if begun is None else begun.earlier,
        faults=tally.faults + _broken_chain(journal, begun, notes),
        notes=notes,
    )


class _Tally:
    """Counts the rows of a journal and collects their faults."""

    def __init__(self, *, is_copy: bool) -> None:
        self._is_copy = is_copy
        self._last = 0
        self.events = self.actions = self.orders = self.ended_ns = 0
        self.restore: Restore | None = None
        self.faults: list[str] = []

    def take(self, row: BookRow) -> None:
        """Count and check the next row."""
        # A copy holds only events that changed books.
        if row.number != self._last + 1 and not self._is_copy:
            self.faults.append(_gap(self._last + 1, row.number))
        self._last = row.number
        try:
            entry = row.entry()
        except JournalError as error:
            self.faults.append(str(error))
            return
        if entry.event.at_ns != row.at_ns:
            self.faults.append(f"event {row.number} has the time {entry.event.at_ns} ns, and its row {row.at_ns} ns")
        self.events += 1
        self.actions += len(entry.actions)
        self.orders += sum(isinstance(action, PlaceOrder) for action in entry.actions)
        self.ended_ns = max(self.ended_ns, row.at_ns)
        if self.restore is None and isinstance(entry.event, Restore):
            self.restore = entry.event


def _integrity_faults(journal: JournalReader) -> list[str]:
    try:
        return journal.integrity_faults()
    except JournalError as error:
        return [str(error)]


def _gap(expected: int, found: int) -> str:
    missing = f"event {expected}" if found - expected == 1 else f"events {expected:,} to {found - 1:,}"
    return f"it lacks {missing}"


def _broken_chain(journal: JournalReader, restore: Restore | None, notes: list[str]) -> list[str]:
    """Return the faults of the step from the earlier journal to this one."""
    if restore is None or not restore.earlier:
        return []
    before = journal.path.with_name(restore.earlier)
    # Names give the order of journals; a backup may have another name.
    if journal.path.name.startswith(f"{journal.header.mode}-") and before.name >= journal.path.name:
        return [f"it continued from {before.name}, which is not older than itself"]
    if not before.exists() and not packed_path(before).exists():
        notes.append(f"it continued from {before.name}, which is no longer here")
        return []
    try:
        with JournalReader(before) as earlier:
            accounts = [entry.event.account for entry in earlier.book_entries() if isinstance(entry.event, Restore)][:1]
    except JournalError as error:
        return [f"it continued from {before.name}, which cannot be read: {error}"]
    if accounts not in ([], [restore.account]):
        return [f"it continued from {before.name}, which is of account {accounts[0]} and not of {restore.account}"]
    return []
