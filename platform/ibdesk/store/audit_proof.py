"""Proves that nothing of the audit record was changed, or says where it was."""

from __future__ import annotations

import contextlib
import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from ibdesk.store.audit import BEGINNING, TORN, AuditError, AuditLine, files_of


class AuditReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a proof found: `head` is the hash of the last line, `broken` says where the chain breaks, empty if nowhere.

    `first` and `last` are line numbers, 0 for a record with no line; `torn` counts the half lines of processes that
    died while they wrote, each told of by the line behind it.
    """

    files: int = 0
    first: int = 0
    last: int = 0
    torn: int = 0
    head: str = BEGINNING
    broken: str = ""
    # has_head: whether the line was met whose hash was asked for.
    has_head: bool = False


class _Chain:
    """The lines as they are read, one after the other."""

    def __init__(self, *, from_the_beginning: bool) -> None:
        self.first = self.last = self.torn = self.files = 0
        self.head = BEGINNING
        self._is_any_start_good = not from_the_beginning
        self._half: bytes | None = None

    def take(self, raw: bytes) -> str:
        """Take the next line; return what is wrong with it, empty when nothing is."""
        try:
            line = msgspec.json.decode(raw, type=AuditLine)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if self._half is not None:
                return f"two lines in a row cannot be read: {error}"
            self._half, self.head = raw, hashlib.sha256(raw).hexdigest()
            return ""
        fault = self._fault(line)
        self._half = None
        self.first = self.first or line.number
        self.last, self.head = line.number, hashlib.sha256(raw).hexdigest()
        return fault

    def end(self) -> str:
        """Return what is wrong with the end."""
        return "" if self._half is None else "the last line cannot be read, and no later line tells of it"

    def _fault(self, line: AuditLine) -> str:
        if self._half is not None:
            is_told = line.action == TORN and line.facts.get("sha256") == hashlib.sha256(self._half).hexdigest()
            if not is_told:
                return "the line before it cannot be read, and it does not tell of it"
            self.torn += 1
        if not self.first and self._is_any_start_good:
            return ""
        if line.number != self.last + 1:
            return f"its number is {line.number:,} where {self.last + 1:,} should follow: lines are missing"
        if line.previous != self.head:
            return "it does not carry the hash of the line before: one of the two was changed"
        return ""


def verify(path: Path, *, head: str = "", read: Callable[[int], None] = lambda _count: None) -> AuditReport:
    """Prove a whole record (its folder) or one of its files.

    `head` is the hash of a line that should be met; `read` hears how many bytes were looked at since before.

    Raises:
        AuditError: If there is no record, or it cannot be read.
    """
    is_folder = path.is_dir()
    files = [file for file in (files_of(path) if is_folder else [path]) if file.exists()]
    if not files:
        raise AuditError(f"there is no audit log in {path}")
    chain = _Chain(from_the_beginning=is_folder)
    broken, has_head = "", False
    for file in files:
        chain.files += 1
        for position, raw in enumerate(_raw_lines(file), 1):
            fault = chain.take(raw)
            has_head = has_head or chain.head == head
            read(len(raw) + 1)
            if fault:
                broken = f"{file.name}, line {position:,}: {fault}"
                break
        if broken:
            break
    if not broken and chain.end():
        broken = f"{files[-1].name}: {chain.end()}"
    return AuditReport(
        files=chain.files,
        first=chain.first,
        last=chain.last,
        torn=chain.torn,
        head=chain.head,
        broken=broken,
        has_head=has_head,
    )


def newest(
    folder: Path, count: int, *, by: str | None = None, action: str | None = None, outcome: str | None = None
) -> list[AuditLine]:
    """Return the last `count` lines among those of a person, an action (or what begins with it) and an outcome.

    Raises:
        AuditError: If there is no record, or it cannot be read.
    """
    files = [file for file in files_of(folder) if file.exists()]
    if not files:
        raise AuditError(f"there is no audit log in {folder}")
    found: deque[AuditLine] = deque(maxlen=count)
    for line in _lines(files):
        fits = (by is None or line.by == by) and (outcome is None or line.outcome == outcome)
        if fits and (action is None or line.action == action or line.action.startswith(f"{action}.")):
            found.append(line)
    return list(found)


def _lines(files: list[Path]) -> Iterator[AuditLine]:
    for file in files:
        for raw in _raw_lines(file):
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
                yield msgspec.json.decode(raw, type=AuditLine)


def _raw_lines(file: Path) -> Iterator[bytes]:
    try:
        with file.open("rb") as lines:
            for raw in lines:
                yield raw.removesuffix(b"\n")
    except OSError as error:
        raise AuditError(f"{file} cannot be read: {error.strerror}") from None
