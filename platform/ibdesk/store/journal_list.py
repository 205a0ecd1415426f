"""The journals of a desk, for people to choose one from."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ibdesk.errors import JournalError
from ibdesk.store.journal_files import journals_in
from ibdesk.store.journal_packing import stored_size
from ibdesk.store.journal_reader import JournalReader


class JournalInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One journal of a desk: its file, and what its header says.

    `is_copy` marks the copy of another machine's journal, which holds only events that may have changed books. `note`
    says why a journal cannot be read; then the other facts are empty.
    """

    name: str
    size_bytes: int
    mode: str = ""
    account: str = ""
    client_id: int = 0
    started_ns: int = 0
    program: str = ""
    is_current: bool = False
    is_copy: bool = False
    note: str = ""


def journal_infos(folder: Path, *, current: str, limit: int) -> list[JournalInfo]:
    """Return the journals in a folder, newest first."""
    return [_info(path, is_current=path.name == current) for path in journals_in(folder)[:limit]]


def _info(path: Path, *, is_current: bool) -> JournalInfo:
    size = stored_size(path)
    try:
        with JournalReader(path) as journal:
            header, copy = journal.header, journal.copy
    except JournalError as error:
        return JournalInfo(name=path.name, size_bytes=size, is_current=is_current, note=str(error))
    return JournalInfo(
        name=path.name,
        size_bytes=size,
        mode=header.mode,
        account=header.account,
        client_id=header.client_id,
        started_ns=header.started_ns,
        program=header.program,
        is_current=is_current,
        is_copy=copy is not None,
        note="" if copy is None else copy.fault,
    )
