"""The halts of an account: one small file that every desk and guardian on the machine reads and writes.

Halts belong to the account, not to a client id or a state folder. The file lies under the user's state folder, one for
each mode and account, and holds the halts that stand and those that were lifted. It is replaced whole (written beside,
fsynced, renamed) under a lock (``flock``). A halt does not wait long for a process that keeps the lock: each writer
looks, at the last moment, whether the file is still the one that it has read, and else makes its change anew. Beside it
lies the *mark*, eight bytes that each writer counts up: a reader maps them into its memory and sees a change by
comparing, without a call of the operating system.

A file that cannot be read halts: `AccountHaltsError` says so, and its reader treats the account as halted.
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
# Far more than any number of halts; a larger file is not one of ours.
_MOST_BYTES = 4 * 1024 * 1024
# A lifted halt is remembered so that a journal which still holds it does not bring it back.
_LIFTED_KEPT = 1000
# A process that was stopped while it held the lock must not keep others from halting.
LOCK_POLLS, LOCK_POLL_SECONDS = 100, 0.005
# How often a change is made anew because somebody else has written meanwhile.
_MOST_CHANGES = 20


class AccountHaltsError(JournalError):
    """The halts of an account cannot be read or written; until they can, the account counts as halted."""

    def __init__(self, path: str, fault: str) -> None:
        super().__init__(path, fault)
        self.path, self.fault = path, fault

    def __str__(self) -> str:
        return (
            f"the halts of this account cannot be used ({self.path}: {self.fault}), so it counts as halted: mend the "
            f"file, or move it away once you know which halts should hold, and then lift this halt"
        )


class HaltsInUseError(AccountHaltsError):
    """Another process keeps the lock of the account's halts; nothing was changed."""

    def __init__(self, path: str) -> None:
        seconds = LOCK_POLLS * LOCK_POLL_SECONDS
        super().__init__(path, f"another process has held it for {seconds:g} s, it may be stopped")


class Lift(msgspec.Struct, frozen=True):
    """Which halt was lifted, why, by whom and when (ns UTC)."""

    id: str
    reason: str
    by: str
    at_ns: int


class AccountRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the file says: `halts` stand, oldest first; `lifted` do not; `made` is the number of the newest halt."""

    halts: list[Halt] = []
    lifted: list[Lift] = []
    made: int = 0
    schema: int = _SCHEMA


class AccountHalts:
    """The halts of one account on this machine."""

    def __init__(self, mode: Mode, account: str, *, folder: Path | None = None) -> None:
        """Open the account's mark; `folder` stands in for `accounts_folder`.

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
        """Give the mark's memory back."""
        if self._map is not None:
            self._map.close()
            self._map = None

    # --- reading

    @property
    def is_news(self) -> bool:
        """Whether somebody has written since `read` was called last: a comparison of eight bytes in memory."""
        return self._map is not None and self._map[:_MARK_BYTES] != self._seen

    def look(self) -> bool:
        """Return whether the file is not the one that was read last, however that came about; for a regular look.

        Raises:
            AccountHaltsError: If it cannot be looked at.
        """
        try:
            if self._inode_of_mark() != self._mark_inode:
                self._open_mark()
            return self.is_news or self._identity_now() != self._identity
        except OSError as error:
            raise AccountHaltsError(str(self.path), _words(error)) from error

    def read(self) -> AccountRecord:
        """Return what the file says, an empty record when there is none yet.

        Raises:
            AccountHaltsError: If it cannot be read.
        """
        # First, so that a change during the reading is news afterwards.
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
        """Return what `read` returns, while news remains news.

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
        """Make a halt, write it, and return it; one that says the same and stands already is returned instead.

        Raises:
            AccountHaltsError: If the file cannot be read or written.
        """
        # The name keeps it apart from a halt that a desk makes in the same second.
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
        """Write halts that were made elsewhere; those that stand or were lifted already are left as they are.

        With `waits` off a lock that another process holds is not waited for.

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
        """Lift the halt of this id, and no other.

        Raises:
            DeskError: If no such halt stands.
            HaltsInUseError: If another process holds the lock; with `waits` off that is not waited for.
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
        """Put a change of the record that is there in its place, whoever writes at the same time."""
        for _ in range(_MOST_CHANGES):
            try:
                found = self._identity_now()
                record = self.peek()
                changed = change(record)
                if changed is record or self._write(changed, over=found):
                    return
            except OSError as error:
                raise AccountHaltsError(str(self.path), _words(error)) from error
        raise AccountHaltsError(str(self.path), "others write to it again and again")

    def _write(self, record: AccountRecord, *, over: tuple[int, int]) -> bool:
        """Write the record over the file of an identity; return whether the file was still that one."""
        data = msgspec.json.format(msgspec.json.encode(record)) + b"\n"
        if not write_private(self.path, data, may_replace=lambda: self._identity_now() == over):
            return False
        if self._map is not None:
            count = int.from_bytes(self._map[:_MARK_BYTES], "little")
            self._map[:_MARK_BYTES] = ((count + 1) % 2**64).to_bytes(_MARK_BYTES, "little")
        return True

    @contextlib.contextmanager
    def _locked(self, *, must: bool, waits: bool = True) -> Iterator[None]:
        """Hold the file's lock; unless it `must` be had, go ahead without one that nobody gives up in time.

        Raises:
            HaltsInUseError: If the lock cannot be had.
            AccountHaltsError: If there is no room for it.
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
    """Return where the halts of accounts are kept: ``$IBDESK_ACCOUNTS``, else ``accounts`` in the state folder."""
    given = os.environ.get("IBDESK_ACCOUNTS")
    return Path(given) if given else state_folder() / "accounts"


def _with(record: AccountRecord, halts: list[Halt]) -> AccountRecord:
    made = max([record.made, *(halt.number for halt in halts)])
    return msgspec.structs.replace(record, halts=[*record.halts, *halts], made=made)


def _take(descriptor: int, polls: int) -> bool:
    """Return whether the lock was taken, in so many tries."""
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
