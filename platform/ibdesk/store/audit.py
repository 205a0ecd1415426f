"""The audit log of changes and refusals: append-only, each line sealed by the hash of the line before.

It consists of lines of JSON in its own folder. `previous` is the SHA-256 of the bytes of the line before (64 zeros for
the first), and `number` counts from 1 over all files, so no line can be changed, removed or inserted without breaking
the chain from there on. The chain cannot show that its end was cut off: keep the number and hash that
``ibdesk audit verify`` prints in another place.

Several processes can append: each holds a lock while it reads the end and writes. A process that dies while writing
leaves a partial line, which stays; the next line reports it and seals it like any other.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ibdesk.config import private_folder
from ibdesk.errors import IbdeskError
from ibdesk.model import moment
from ibdesk.telemetry import correlation_id
from ibdesk.telemetry.masking import Mask

CURRENT = "audit.jsonl"
"""The file that is being written; full files are named ``audit-<number of their first line>.jsonl``."""
TORN = "audit.torn"
"""The action of a line that reports a partial line before it."""
BEGINNING = "0" * 64

_FILE_BYTES = 64_000_000
# Longer than any line, so the tail always contains the last one.
_TAIL_BYTES = 65_536
_LINE_BYTES = 32_768


class AuditError(IbdeskError):
    """The audit log cannot be written or read."""


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry to be recorded: the action, its author, outcome and facts; `at_ns` is ns UTC."""

    action: str
    by: str
    outcome: str
    role: str = ""
    correlation_id: str = ""
    at_ns: int = 0
    facts: dict[str, Any] = {}


class AuditLine(msgspec.Struct, frozen=True):
    """A line as written; `previous` is the SHA-256 of the line before, in hexadecimal digits."""

    number: int
    time: str
    action: str
    by: str
    role: str
    outcome: str
    correlation_id: str
    facts: dict[str, Any]
    previous: str


class AuditLog:
    """Appends to the audit log in one folder. Calls block for disk writes: call them from a thread, not from a loop."""

    def __init__(self, folder: Path, *, file_bytes: int = _FILE_BYTES) -> None:
        self.folder = folder
        self.path = folder / CURRENT
        self._file_bytes = file_bytes
        self._mask = Mask()

    def append(
        self, action: str, *, by: str, outcome: str, role: str = "", correlation: str = "", **facts: Any
    ) -> AuditLine:
        """Record one entry and return its line; the correlation id defaults to the current one.

        Raises:
            AuditError: If it cannot be written.
        """
        entry = AuditEntry(
            action=action,
            by=by,
            role=role,
            outcome=outcome,
            correlation_id=correlation or correlation_id.get(),
            at_ns=time.time_ns(),
            facts=facts,
        )
        return self.extend([entry])[-1]

    def extend(self, entries: Sequence[AuditEntry]) -> list[AuditLine]:
        """Record several entries with one disk write, and return their lines.

        Raises:
            AuditError: If they cannot be written; then none of them is.
        """
        try:
            with self._locked(), self._opened() as file:
                return self._write(file, entries)
        except OSError as error:
            raise AuditError(f"the audit log {self.path} cannot be written: {error.strerror}") from error

    def _write(self, file: int, entries: Sequence[AuditEntry]) -> list[AuditLine]:
        end = _End.of(file, self.folder)
        written, lines, data = end.previous, [], bytearray(end.repair)
        if end.torn:
            facts = {"bytes": len(end.torn), "sha256": hashlib.sha256(end.torn).hexdigest()}
            torn = AuditEntry(action=TORN, by="ibdesk", outcome="told", at_ns=time.time_ns(), facts=facts)
            entries = [torn, *entries]
        for number, entry in enumerate(entries, end.number + 1):
            line = self._line(number, entry, written)
            encoded = _encoded(line)
            written = hashlib.sha256(encoded).hexdigest()
            lines.append(line)
            data += encoded + b"\n"
        _write_all(file, data)
        if os.fstat(file).st_size >= self._file_bytes:
            self._put_away()
        return lines

    def _line(self, number: int, entry: AuditEntry, previous: str) -> AuditLine:
        at = moment(entry.at_ns or time.time_ns())
        return AuditLine(
            number=number,
            time=f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z",
            action=entry.action,
            by=self._mask.text(entry.by)[:200],
            role=entry.role,
            outcome=entry.outcome,
            correlation_id=entry.correlation_id,
            facts={name: self._mask.value(name, value) for name, value in entry.facts.items()},
            previous=previous,
        )

    def _put_away(self) -> None:
        """Rename the full file; the next line begins a new file and continues the chain."""
        with self.path.open("rb") as file:
            first = next(line.number for line in map(_decoded, file) if line is not None)
        self.path.rename(self.folder / f"audit-{first:012d}.jsonl")

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        private_folder(self.folder)
        lock = os.open(self.folder / ".audit.lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        file = os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600)
        try:
            yield file
        finally:
            os.close(file)


class _End(msgspec.Struct, frozen=True):
    """The end of the chain: the last line's number and hash, and the rest of an interrupted write."""

    number: int
    previous: str
    torn: bytes = b""
    repair: bytes = b""
    """The bytes that end a torn line, so that the next one begins on its own line."""

    @classmethod
    def of(cls, file: int, folder: Path) -> _End:
        """Read the end of the open file or, if it is empty, of the newest full one."""
        size = os.fstat(file).st_size
        if size == 0:
            return cls._of_full(folder)
        tail = os.pread(file, _TAIL_BYTES, max(0, size - _TAIL_BYTES))
        repair = b"" if tail.endswith(b"\n") else b"\n"
        *before, last = tail.removesuffix(b"\n").split(b"\n")
        line = _decoded(last)
        if line is not None:
            # The line is complete; at most its newline is missing.
            return cls(line.number, _sealed(last), b"", repair)
        readable = (found.number for found in map(_decoded, reversed(before)) if found is not None)
        return cls(next(readable, 0) or cls._of_full(folder).number, _sealed(last), last, repair)

    @classmethod
    def _of_full(cls, folder: Path) -> _End:
        full = files_of(folder)[:-1]
        if not full:
            return cls(0, BEGINNING)
        with full[-1].open("rb") as file:
            file.seek(max(0, full[-1].stat().st_size - _TAIL_BYTES))
            last = file.read().removesuffix(b"\n").rpartition(b"\n")[2]
        line = _decoded(last)
        if line is None:
            raise AuditError(f"the last line of {full[-1]} cannot be read: it was changed; move the audit log away")
        return cls(line.number, _sealed(last))


def files_of(folder: Path) -> list[Path]:
    """Return the files of an audit log, oldest first; last the one being written, also if it does not exist."""
    return [*sorted(folder.glob("audit-*.jsonl")), folder / CURRENT]


def _encoded(line: AuditLine) -> bytes:
    encoded = msgspec.json.encode(line)
    if len(encoded) <= _LINE_BYTES:
        return encoded
    cut = msgspec.structs.replace(line, facts={"cut": f"{len(encoded):,} bytes are too long for a line"})
    return msgspec.json.encode(cut)


def _decoded(line: bytes) -> AuditLine | None:
    try:
        return msgspec.json.decode(line, type=AuditLine)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _sealed(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def _write_all(file: int, data: bytes | bytearray) -> None:
    """Write and fsync the data; after an error nothing of it remains."""
    before = os.fstat(file).st_size
    left = memoryview(data)
    try:
        while left:
            left = left[os.write(file, left) :]
        os.fsync(file)
    except OSError:
        os.ftruncate(file, before)
        raise
