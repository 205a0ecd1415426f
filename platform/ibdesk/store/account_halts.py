"""The halts of an account: one small file that all desks and guardians on the machine read and write.

Halts belong to the account, not to a client id or a state folder. The file lies under the user's state folder, one for
each mode and account, and holds the halts in force and those that were lifted. It is replaced as a whole (written to a
temporary file, fsynced, renamed) under a lock (``flock``). A halt does not wait long for a process that keeps the lock:
each writer checks at the last moment that the file is still the one it read, and otherwise applies its change again.
Beside the file lies the *mark*, eight bytes that each writer increments: a reader maps them into memory and detects a
change by comparing them, without a system call.

A file that cannot be read counts as a halt: the reader gets `AccountHaltsError` and treats the account as halted.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from ibdesk.config import Mode, owner_only, private_folder, state_folder, write_private
from ibdesk.errors import DeskError, JournalError
from ibdesk.model import DESK_SCOPE, Halt, TradingState, moment

_SCHEMA = 1
_MARK_BYTES = 8
# Far larger than any real file of halts; a larger file is not ours.
_MOST_BYTES = 4 * 1024 * 1024
# Lifted halts are kept so that a journal that still holds one does not restore it.
_LIFTED_KEPT = 1000
# A process that was stopped while holding the lock must not keep others from halting.
LOCK_POLLS, LOCK_POLL_SECONDS = 100, 0.005
# The most attempts at one change, each repeated because another process wrote meanwhile.
_MOST_CHANGES = 20


class AccountHaltsError(JournalError):
    """The halts of an account cannot be read or written; until then the account counts as halted."""

    def __init__(self, path: str, fault: str) -> None:
        super().__init__(path, fault)
        self.path, self.fault = path, fault

    def __str__(self) -> str:
        return (
            f"the halts of this account cannot be used ({self.path}: {self.fault}), so it counts as halted: repair the "
            f"file, or move it away once you know which halts should hold, and then lift this halt"
        )


class HaltsInUseError(AccountHaltsError):
    """Another process holds the lock of the account's halts; nothing was changed."""

    def __init__(self, path: str) -> None:
        seconds = LOCK_POLLS * LOCK_POLL_SECONDS
        super().__init__(path, f"another process has held its lock for {seconds:g} s and may be stopped")


class Lift(msgspec.Struct, frozen=True):
    """The lifting of a halt: its id, the reason, the person and the time (ns UTC)."""

    id: str
    reason: str
    by: str
    at_ns: int


class AccountRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of the file: `halts` in force, oldest first, `lifted` ones, and `made`, the newest halt's number."""

    halts: list[Halt] = []
    lifted: list[Lift] = []
    made: int = 0
    schema: int = _SCHEMA


class AccountHalts:
    """The halts of one account on this machine."""

    def __init__(self, mode: Mode, account: str, *, folder: Path | None = None) -> None:
        """Open the account's mark in `folder`, by default `accounts_folder`.

        Raises:
            AccountHaltsError: If the folder cannot be used.
        """
        self.account = account
        self.path = (folder or accounts_folder()) / f"{mode}-{account}.halts.json"
        self._mark_path = self.path.with_suffix(".mark")
        self._map: mmap.mmap | None = None
        self._seen, self._identity = b"", (0, 0)
        self._mark_inode = 0
        try:
            private_folder(self.path.parent)
            self._open_mark()
        except OSError as error:
            raise AccountHaltsError(str(self.path), _words(error)) from error

    def close(self) -> None:
        """Unmap the mark."""
        if self._map is not None:
            self._map.close()
            self._map = None

    # --- reading

    @property
    def is_news(self) -> bool:
        """Whether the file was written since the last `read`: a comparison of eight bytes in memory."""
        return self._map is not None and self._map[:_MARK_BYTES] != self._seen

    def look(self) -> bool:
        """Return whether the file differs from the one read last, for any reason; for regular checks.

        Raises:
            AccountHaltsError: If it cannot be checked.
        """
        try:
            if self._inode_of_mark() != self._mark_inode:
                self._open_mark()
            return self.is_news or self._identity_now() != self._identity
        except OSError as error:
            raise AccountHaltsError(str(self.path), _words(error)) from error

    def read(self) -> AccountRecord:
        """Return the content of the file, an empty record if there is none.

        Raises:
            AccountHaltsError: If it cannot be read.
        """
        # Read first, so that a change during the reading shows as a change afterwards.
        if self._map is not None:
            self._seen = self._map[:_MARK_BYTES]
        try:
            self._identity = self._identity_now()
            with self.path.open("rb") as file:
                data = file.read(_MOST_BYTES + 1)
        except FileNotFoundError:
            return AccountRecord()
        except OSError as error:
            raise AccountHaltsError(str(self.path), _words(error)) from error
        if len(data) > _MOST_BYTES:
            raise AccountHaltsError(str(self.path), f"larger than {_MOST_BYTES >> 20} MiB")
        try:
            record = msgspec.json.decode(data, type=AccountRecord)
        except msgspec.DecodeError as error:
            raise AccountHaltsError(str(self.path), str(error)) from error
        if record.schema != _SCHEMA:
            raise AccountHaltsError(str(self.path), f"schema {record.schema}, this version reads {_SCHEMA}")
        return record

    def peek(self) -> AccountRecord:
        """Return what `read` returns, but leave `is_news` as it is.

        Raises:
            AccountHaltsError: If it cannot be read.
        """
        seen, identity = self._seen, self._identity
        try:
            return self.read()
        finally:
            self._seen, self._identity = seen, identity

    # --- writing

    def halt(
        self,
        reason: str,
        *,
        by: str,
        at_ns: int,
        scope: str = DESK_SCOPE,
        state: TradingState = TradingState.HALTED,
    ) -> Halt:
        """Make a halt, write it, and return it; an equal halt in force is returned instead.

        Raises:
            AccountHaltsError: If the file cannot be read or written.
        """
        # The name distinguishes it from a halt that a desk makes in the same second.
        name = re.sub(r"[^A-Za-z0-9_]+", "_", by)
        made = Halt(reason, by, at_ns, "", scope, state)

        def with_halt(record: AccountRecord) -> AccountRecord:
            nonlocal made
            said = reason, by, scope, state
            held = next((each for each in record.halts if (each.reason, each.by, each.scope, each.state) == said), None)
            if held is not None:
                made = held
                return record
            made = Halt(reason, by, at_ns, f"{moment(at_ns):%Y%m%d-%H%M%S}-{name}-{record.made + 1}", scope, state)
            return _with(record, [made])

        with self._locked(must=False):
            self._change(with_halt)
        return made

    def add(self, halts: list[Halt], *, waits: bool = True) -> None:
        """Write halts that were made elsewhere, except those that are already in force or lifted.

        Without `waits`, do not wait for a lock that another process holds.

        Raises:
            AccountHaltsError: If the file cannot be read or written.
        """

        def with_halts(record: AccountRecord) -> AccountRecord:
            known = {halt.id for halt in record.halts} | {lift.id for lift in record.lifted}
            news = [halt for halt in halts if halt.id not in known]
            return _with(record, news) if news else record

        with self._locked(must=False, waits=waits):
            self._change(with_halts)

    def lift(self, halt_id: str, reason: str, *, by: str, at_ns: int, waits: bool = True) -> None:
        """Lift the halt with this id and no other.

        Raises:
            DeskError: If there is no such halt in force.
            HaltsInUseError: If another process holds the lock; without `waits` it is tried once.
            AccountHaltsError: If the file cannot be read or written.
        """

        def without_halt(record: AccountRecord) -> AccountRecord:
            if all(halt.id != halt_id for halt in record.halts):
                raise DeskError(_no_halt_words(record, halt_id))
            return msgspec.structs.replace(
                record,
                halts=[halt for halt in record.halts if halt.id != halt_id],
                lifted=[*record.lifted, Lift(halt_id, reason, by, at_ns)][-_LIFTED_KEPT:],
            )

        with self._locked(must=True, waits=waits):
            self._change(without_halt)

    # --- inside

    def _change(self, change: Callable[[AccountRecord], AccountRecord]) -> None:
        """Apply a change to the present record, also while other processes write."""
        for _ in range(_MOST_CHANGES):
            try:
                found = self._identity_now()
                record = self.peek()
                changed = change(record)
                if changed is record or self._write(changed, over=found):
                    return
            except OSError as error:
                raise AccountHaltsError(str(self.path), _words(error)) from error
        raise AccountHaltsError(str(self.path), "other processes keep writing to it")

    def _write(self, record: AccountRecord, *, over: tuple[int, int]) -> bool:
        """Replace the file if its identity is still `over`; return whether it was."""
        data = msgspec.json.format(msgspec.json.encode(record)) + b"\n"
        if not write_private(self.path, data, may_replace=lambda: self._identity_now() == over):
            return False
        if self._map is not None:
            count = int.from_bytes(self._map[:_MARK_BYTES], "little")
            self._map[:_MARK_BYTES] = ((count + 1) % 2**64).to_bytes(_MARK_BYTES, "little")
        return True

    @contextlib.contextmanager
    def _locked(self, *, must: bool, waits: bool = True) -> Iterator[None]:
        """Hold the file's lock; if it is not released in time, continue without it unless it `must` be held.

        Raises:
            HaltsInUseError: If the lock is needed and not released in time.
            AccountHaltsError: If the lock file cannot be opened.
        """
        try:
            with open(self.path.with_suffix(".lock"), "ab", opener=owner_only) as file:
                if not _take(file.fileno(), LOCK_POLLS if waits else 1) and must:
                    raise HaltsInUseError(str(self.path))
                yield
        except OSError as error:
            raise AccountHaltsError(str(self.path), _words(error)) from error

    def _open_mark(self) -> None:
        descriptor = os.open(self._mark_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(descriptor).st_size < _MARK_BYTES:
                os.ftruncate(descriptor, _MARK_BYTES)
            opened = mmap.mmap(descriptor, _MARK_BYTES)
            self._mark_inode = os.fstat(descriptor).st_ino
        finally:
            os.close(descriptor)
        self.close()
        self._map = opened

    def _inode_of_mark(self) -> int:
        try:
            return self._mark_path.stat().st_ino
        except FileNotFoundError:
            return 0

    def _identity_now(self) -> tuple[int, int]:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return 0, 0
        return found.st_ino, found.st_mtime_ns


def accounts_folder() -> Path:
    """Return the folder of accounts' halts: ``$IBDESK_ACCOUNTS``, or else ``accounts`` in the state folder."""
    given = os.environ.get("IBDESK_ACCOUNTS")
    return Path(given) if given else state_folder() / "accounts"


def _with(record: AccountRecord, halts: list[Halt]) -> AccountRecord:
    made = max([record.made, *(halt.number for halt in halts)])
    return msgspec.structs.replace(record, halts=[*record.halts, *halts], made=made)


def _take(descriptor: int, polls: int) -> bool:
    """Try to take the lock `polls` times; return whether it was taken."""
    for number in range(polls):
        if number:
            time.sleep(LOCK_POLL_SECONDS)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False


def _no_halt_words(record: AccountRecord, halt_id: str) -> str:
    lifted = next((lift for lift in record.lifted if lift.id == halt_id), None)
    if lifted is not None:
        return f"halt {halt_id} was lifted already, by {lifted.by} at {moment(lifted.at_ns):%Y-%m-%d %H:%M:%S} UTC"
    holding = ", ".join(f"id={each.id!r} ({each.reason}, by {each.by})" for each in record.halts) or "nothing"
    return f"there is no halt {halt_id!r}: the account is halted by {holding}"


def _words(error: OSError) -> str:
    return error.strerror or str(error)
