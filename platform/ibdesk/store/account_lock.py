"""The claim of one process to trade one account from a state folder, and the mark that shows when a claim is lost.

The claim is a lock of the operating system (``flock``). It is held until the process ends, in whatever way: a process
that is stopped or whose machine sleeps keeps it. Beside it lies the *generation*, a number that each new holder raises.
When a lease elects one of several engines, a new leader starts although a frozen one still has the lock; and a lock is
lost when its file is removed. In both cases the former holder finds a newer generation when it wakes up.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from ibdesk.config import private_folder, write_private
from ibdesk.errors import DeskError, JournalError


class AccountInUseError(DeskError):
    """Another process trades this account from this state folder; `pid` is 0 if it is not known."""

    def __init__(self, account: str, folder: str, pid: int, is_stopped: bool) -> None:
        super().__init__(account, folder, pid, is_stopped)
        self.account, self.folder, self.pid, self.is_stopped = account, folder, pid, is_stopped

    def __str__(self) -> str:
        who = f"process {self.pid}" if self.pid else "another process"
        if self.pid == os.getpid():
            who = f"another desk of this process ({self.pid})"
        remedy = f"kill {self.pid}" if self.pid and self.pid != os.getpid() else "close it"
        if self.is_stopped:
            who, remedy = f"{who}, which is stopped", f"kill -CONT {self.pid}, or kill -KILL {self.pid}"
        return (
            f"account {self.account} is already traded from {self.folder} by {who}: end it ({remedy}), or give this "
            f"desk another state_folder and client id"
        )


class SupersededError(DeskError):
    """Another process has traded the account from this state folder since this one last checked."""

    def __init__(self, account: str, folder: str, seconds: float) -> None:
        super().__init__(account, folder, seconds)
        self.account, self.folder, self.seconds = account, folder, seconds

    def __str__(self) -> str:
        return (
            f"another process has taken over account {self.account} in {self.folder}, and this one did not check for "
            f"{self.seconds:.1f} s: it sends nothing more and ends; start it again to continue from those books"
        )


class AccountLock:
    """The claim, from `take` to `release`."""

    def __init__(self, path: Path, account: str, descriptor: int, generation: int) -> None:
        self.account, self._path = account, path
        self._descriptor, self._generation = descriptor, generation
        self._is_held = False

    @classmethod
    def take(cls, state_folder: Path, mode: str, account: str, *, leads: bool = False) -> AccountLock:
        """Claim an account.

        With `leads` this process was elected to trade the account: it continues although another process, which is
        frozen or about to end, still holds the lock.

        Raises:
            AccountInUseError: If another process holds the lock.
            JournalError: If the folder cannot be written.
        """
        path = state_folder / "locks" / f"{mode}-{account}.lock"
        descriptor = -1
        try:
            private_folder(path.parent)
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            is_held = _lock(descriptor)
            if not is_held and not leads:
                pid = _pid_in(descriptor)
                raise AccountInUseError(account, str(state_folder), pid, _is_stopped(pid))
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            generation = _generation(path) + 1
            write_private(_beside(path), f"{generation}\n".encode())
        except BaseException as error:
            if descriptor >= 0:
                os.close(descriptor)
            if isinstance(error, OSError):
                raise JournalError(f"account {account} cannot be claimed by {path}: {error}") from error
            raise
        taken = cls(path, account, descriptor, generation)
        taken._is_held = is_held
        return taken

    @property
    def state_folder(self) -> Path:
        """The folder whose account it is."""
        return self._path.parent.parent

    def is_mine(self) -> bool:
        """Return whether no other process has claimed the account since: reads a small file."""
        return _generation(self._path) == self._generation

    def keep(self) -> None:
        """Take the lock if a former leader still had it and has released it now."""
        if not self._is_held:
            self._is_held = _lock(self._descriptor)

    def release(self) -> None:
        """Release the account; a second call does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _beside(path: Path) -> Path:
    return path.with_suffix(".generation")


def _generation(path: Path) -> int:
    """Return the generation, 0 if there is none or it cannot be read."""
    try:
        return int(_beside(path).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


def _pid_in(descriptor: int) -> int:
    with contextlib.suppress(OSError, ValueError):
        return int(os.pread(descriptor, 32, 0))
    return 0


def _is_stopped(pid: int) -> bool:
    """Return whether a process is stopped, if the system reports it."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(") ")[2][:1]
    except OSError:
        return False
    return state in ("T", "t")
