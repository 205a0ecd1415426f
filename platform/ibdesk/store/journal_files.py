"""The files of a folder of journals: their order, the name of the next one, and those that were never begun."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import sqlite3
from pathlib import Path

from ibdesk.errors import JournalError
from ibdesk.model import moment
from ibdesk.store.journal_packing import PACKED
from ibdesk.store.journal_reader import JournalReader, UnbornJournalError

_log = logging.getLogger(__name__)

SUFFIX = ".sqlite"
# How the name of a journal tells when it began, UTC.
_BEGAN = "%Y%m%d-%H%M%S-%f"


def journals_in(folder: Path, mode: str = "*") -> list[Path]:
    """Return the journals of a mode, or of all, the newest first; one that is packed goes by the name it had before."""
    plain = set(folder.glob(f"{mode}-*{SUFFIX}"))
    packed = {path.with_suffix("") for path in folder.glob(f"{mode}-*{SUFFIX}{PACKED}")}
    return sorted(plain | packed, key=lambda path: path.stem.partition("-")[2], reverse=True)


def path_of_new_journal(folder: Path, mode: str, at_ns: int) -> Path:
    """Return where a life that begins now keeps its journal: its name comes behind those of all lives before it.

    Names tell the order of lives, and the clock of a machine from which one was copied may be ahead of this one's.

    Raises:
        JournalError: If no time comes behind that of the newest.
    """
    began = moment(at_ns)
    known = [time for path in journals_in(folder, mode) if (time := _time_of(path, mode)) is not None]
    newest = max(known, default=None)
    if newest is not None and began <= newest:
        try:
            began = newest + dt.timedelta(microseconds=1)
        except OverflowError:
            raise JournalError(
                f"no journal can follow {folder / f'{mode}-{newest:{_BEGAN}}{SUFFIX}'}: move that file away"
            ) from None
    return folder / f"{mode}-{began:{_BEGAN}}{SUFFIX}"


def _time_of(path: Path, mode: str) -> dt.datetime | None:
    with contextlib.suppress(ValueError):
        return dt.datetime.strptime(path.stem.removeprefix(f"{mode}-"), _BEGAN).replace(tzinfo=dt.UTC)
    return None


def set_aside_unborn(folder: Path, mode: str) -> list[str]:
    """Rename the newest files that nothing was ever written to, and return a sentence about each.

    Whoever made one of these ended before it had a journal, so that it cannot have traded.

    Raises:
        JournalError: If one cannot be renamed.
    """
    sentences = []
    for path in journals_in(folder, mode):
        try:
            _roll_back(path)
            JournalReader(path).close()
        except UnbornJournalError:
            aside = path.with_name(f"{path.name}.unborn")
            try:
                for suffix in ("-wal", "-shm", "-journal"):
                    path.with_name(f"{path.name}{suffix}").unlink(missing_ok=True)
                path.replace(aside)
            except OSError as error:
                raise JournalError(f"{path} has no header and cannot be set aside: {error}") from error
            text = f"{path} has no header, so that its desk never traded: it was set aside as {aside.name}"
            _log.warning("%s", text)
            sentences.append(text)
        except JournalError:
            # Whether it is needed is decided by whoever takes over.
            break
        else:
            break
    return sentences


def _roll_back(path: Path) -> None:
    """Undo a transaction that its writer did not live to finish: who only reads may not."""
    if path.with_name(f"{path.name}-journal").exists():
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
