"""Proof that the audit log was not changed, or the place where it was."""

from __future__ import annotations

import contextlib
import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from ibdesk.store.audit import BEGINNING, TORN, AuditError, AuditLine, files_of


class AuditReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a proof: `head` is the last line's hash; `broken` says where the chain breaks, or is empty.

    `first` and `last` are line numbers, 0 for an empty log; `torn` counts the partial lines of processes that died
    while writing, each reported by the line after it.
    """

    files: int = 0
    first: int = 0
    last: int = 0
    torn: int = 0
    head: str = BEGINNING
    broken: str = ""
    has_head: bool = False
    """Whether the line with the given hash was found."""


class _Chain:
    """The state of the chain while its lines are read in order."""

    def __init__(self, *, from_the_beginning: bool) -> None:
        self.first = self.last = self.torn = self.files = 0
        self.head = BEGINNING
        self._is_any_start_good = not from_the_beginning
        self._half: bytes | None = None

    def take(self, raw: bytes) -> str:
        """Check the next line; return its fault, or an empty string."""
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
        """Return the fault of the end, or an empty string."""
        return "" if self._half is None else "the last line cannot be read, and no later line reports it"

    def _fault(self, line: AuditLine) -> str:
        if self._half is not None:
            is_told = line.action == TORN and line.facts.get("sha256") == hashlib.sha256(self._half).hexdigest()
            if not is_told:
                return "the line before it cannot be read, and this line does not report it"
            self.torn += 1
        if not self.first and self._is_any_start_good:
            return ""
        if line.number != self.last + 1:
            return f"its number is {line.number:,}, expected {self.last + 1:,}: lines are missing"
        if line.previous != self.head:
            return "it does not hold the hash of the line before: one of the two was changed"
        return ""


def verify(path: Path, *, head: str = "", read: Callable[[int], None] = lambda _count: None) -> AuditReport:
    """Verify a whole audit log (its folder) or one of its files.

    `head` is the hash of a line that should occur; `read` receives the number of bytes read since its last call.

    Raises:
        AuditError: If there is no audit log, or it cannot be read.
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
    """Return the last `count` lines of a person, an action (or its sub-actions) and an outcome.

    Raises:
        AuditError: If there is no audit log, or it cannot be read.
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
