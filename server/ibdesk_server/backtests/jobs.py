"""The storage of backtests: one folder for each, so that every web worker can read its state.

The server that runs a backtest holds a lock in its folder. The backtest's process inherits the lock, and the system
releases it when both have ended. A backtest that is neither finished nor locked has lost its server.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ibdesk.config import owner_only, private_folder
from ibdesk_server.backtests.job import BacktestJob, BacktestOutcome, BacktestTask, JobState

_TASK, _OUTCOME, _PROGRESS, _CANCELLED = "task.json", "outcome.json", "progress", "cancelled"
_LOCK, _PID = "lock", "pid"
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_LOST = "the server that ran it has ended: start it again"


class JobFolder:
    """The files of one backtest."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.id = path.name
        self.report, self.bars, self.log = path / "report.html", path / "bars.parquet", path / "worker.log"
        self.round_trips = path / "round_trips.parquet"

    @property
    def task(self) -> BacktestTask:
        """The task to run."""
        return msgspec.json.decode((self.path / _TASK).read_bytes(), type=BacktestTask)

    def tell_task(self, task: BacktestTask) -> None:
        """Write the task."""
        _write(self.path / _TASK, msgspec.json.encode(task))

    def tell_progress(self, fraction: float) -> None:
        """Write the fraction of the bars that are processed."""
        _write(self.path / _PROGRESS, f"{fraction:.4f}".encode())

    def tell_pid(self, pid: int) -> None:
        """Write the id of the process that works on it."""
        _write(self.path / _PID, str(pid).encode())

    def finish(self, outcome: BacktestOutcome) -> None:
        """Write the outcome, unless there is one already or the backtest was deleted."""
        part = self.path / f"{_OUTCOME}.{secrets.token_hex(4)}"
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            with open(part, "xb", opener=owner_only) as file:
                file.write(msgspec.json.encode(outcome))
            (self.path / _OUTCOME).hardlink_to(part)
        part.unlink(missing_ok=True)

    def cancel(self) -> None:
        """Cancel the backtest and kill its process, whichever server runs it."""
        with contextlib.suppress(FileNotFoundError):
            (self.path / _CANCELLED).touch()
        # While the lock is held, the process is alive and its pid cannot be reused.
        if _is_held(self.path / _LOCK) and (pid := self._pid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @property
    def is_cancelled(self) -> bool:
        """Whether the backtest was cancelled or deleted."""
        return (self.path / _CANCELLED).exists() or not self.path.exists()

    def read(self) -> BacktestJob:
        """Return the present state.

        Raises:
            OSError: If the backtest was deleted.
        """
        # Check the lock before the outcome: a job writes its outcome before it releases the lock.
        held = _is_held(self.path / _LOCK)
        outcome = self._outcome()
        if outcome is None and self.is_cancelled:
            outcome = BacktestOutcome(state=JobState.CANCELLED, finished_ns=(self.path / _CANCELLED).stat().st_mtime_ns)
        elif outcome is None and not held:
            outcome = BacktestOutcome(state=JobState.FAILED, finished_ns=self.path.stat().st_mtime_ns, error=_LOST)
        pid = self.path / _PID
        started_ns = pid.stat().st_mtime_ns if pid.exists() else None
        running = JobState.QUEUED if started_ns is None else JobState.RUNNING
        return BacktestJob(
            id=self.id,
            task=self.task,
            state=running if outcome is None else outcome.state,
            progress=self._progress(),
            started_ns=started_ns,
            outcome=outcome,
        )

    def _outcome(self) -> BacktestOutcome | None:
        with contextlib.suppress(FileNotFoundError):
            return msgspec.json.decode((self.path / _OUTCOME).read_bytes(), type=BacktestOutcome)
        return None

    def _progress(self) -> float:
        with contextlib.suppress(FileNotFoundError):
            return float((self.path / _PROGRESS).read_text())
        return 0.0

    def _pid(self) -> int | None:
        with contextlib.suppress(FileNotFoundError):
            return int((self.path / _PID).read_text())
        return None


class Jobs:
    """The backtests of a machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def create(self, task: BacktestTask) -> tuple[JobFolder, int]:
        """Create a backtest and return its folder and the descriptor of its lock, which the runner must close.

        Raises:
            OSError: If writing fails.
        """
        job = JobFolder(self._folder / _new_id())
        private_folder(self._folder)
        job.path.mkdir(mode=0o700)
        lock = os.open(job.path / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        job.tell_task(task)
        return job, lock

    def find(self, job_id: str) -> JobFolder | None:
        """Return the folder of a backtest, None if the id is unknown."""
        path = self._folder / job_id
        is_one = bool(job_id) and all(letter in _DIGITS for letter in job_id) and (path / _TASK).is_file()
        return JobFolder(path) if is_one else None

    def all(self) -> list[BacktestJob]:
        """Return the state of every backtest, oldest first."""
        found = []
        for folder in self._folders():
            # A backtest may be deleted meanwhile.
            with contextlib.suppress(OSError):
                found.append(folder.read())
        return found

    def delete(self, folder: JobFolder) -> None:
        """Delete a backtest and its files; cancel it first if it runs."""
        folder.cancel()
        shutil.rmtree(folder.path, ignore_errors=True)

    def prune(self, keep: int) -> None:
        """Delete the oldest finished backtests until at most `keep` remain."""
        over = self.all()[:-keep]
        for job in over:
            if job.state.is_final:
                self.delete(JobFolder(self._folder / job.id))

    @contextlib.contextmanager
    def slot(self, count: int) -> Iterator[int | None]:
        """Yield the descriptor of one of `count` run slots, None if all are taken; child processes inherit it."""
        private_folder(self._folder)
        for number in range(count):
            place = os.open(self._folder / f".slot-{number}", os.O_CREAT | os.O_RDWR, 0o600)
            try:
                if _take(place, fcntl.LOCK_EX):
                    yield place
                    return
            finally:
                os.close(place)
        yield None

    def _folders(self) -> list[JobFolder]:
        return [JobFolder(path.parent) for path in sorted(self._folder.glob(f"*/{_TASK}"))]


def _is_held(lock: Path) -> bool:
    try:
        handle = os.open(lock, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        # A shared lock, so that two readers do not mistake each other for the holder.
        return not _take(handle, fcntl.LOCK_SH)
    finally:
        os.close(handle)


def _take(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(path: Path, data: bytes) -> None:
    """Write a file atomically."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with open(part, "xb", opener=owner_only) as file:
        file.write(data)
    part.replace(path)


def _new_id() -> str:
    """Return an id that sorts by time and cannot be guessed."""
    milliseconds, text = time.time_ns() // 1_000_000, ""
    while milliseconds:
        milliseconds, rest = divmod(milliseconds, 36)
        text = _DIGITS[rest] + text
    return text + "".join(secrets.choice(_DIGITS) for _ in range(8))
