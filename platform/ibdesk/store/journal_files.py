"""The files of a folder of journals: their order, the name of the next one, and files without a header."""

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
# The time of the beginning (UTC) in a journal's name.
_BEGAN = "%Y%m%d-%H%M%S-%f"


def journals_in(folder: Path, mode: str = "*") -> list[Path]:
    """Return the journals of one or all modes, newest first; a packed one has the name it had before."""
    plain = set(folder.glob(f"{mode}-*{SUFFIX}"))
    packed = {path.with_suffix("") for path in folder.glob(f"{mode}-*{SUFFIX}{PACKED}")}
    return sorted(plain | packed, key=lambda path: path.stem.partition("-")[2], reverse=True)


def path_of_new_journal(folder: Path, mode: str, at_ns: int) -> Path:
    """Return the path of a journal that begins now; its name sorts after those of all earlier journals.

    Names give the order of journals, and the clock of a machine from which one was copied may be ahead of ours.

    Raises:
        JournalError: If no time can follow that of the newest.
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
    """Rename the newest files that have no content, and return a sentence about each.

    The process that made such a file ended before it had a journal, so it cannot have traded.

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
                raise JournalError(f"{path} has no header and cannot be renamed: {error}") from error
            text = f"{path} has no header, so its desk never traded: it was renamed to {aside.name}"
            _log.warning("%s", text)
            sentences.append(text)
        except JournalError:
            # Restoring decides whether it is needed.
            break
        else:
            break
    return sentences


def _roll_back(path: Path) -> None:
    """Roll back a transaction that its writer did not finish: a reader alone may not."""
    if path.with_name(f"{path.name}-journal").exists():
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
