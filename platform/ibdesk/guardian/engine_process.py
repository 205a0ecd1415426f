"""The engine's process, found by its lock on the account."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
from pathlib import Path

import msgspec


class EngineProcess(msgspec.Struct, frozen=True):
    """The process that trades an account; `is_stopped` is true after SIGSTOP.

    `pid` is 0 if the process is invisible, such as that of another container.
    """

    pid: int
    is_stopped: bool


class EngineKill(msgspec.Struct, frozen=True):
    """An attempt to kill the engine: `pid` is the process, 0 if there was none or it was invisible."""

    pid: int = 0
    is_sent: bool = False

    @property
    def failure(self) -> str:
        """Return why the engine may still run; empty once it has ended."""
        if not self.is_sent:
            return "the engine's process cannot be seen or ended from here: end it where it runs"
        if self.pid and process_of(self.pid) is not None:
            return f"the engine (process {self.pid}) was sent SIGKILL and has not ended"
        return ""


def peer_of(connection: socket.socket) -> int:
    """Return the process at the other end of a Unix socket, 0 if it is invisible, as in another container."""
    if not hasattr(socket, "SO_PEERCRED"):
        return 0
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[0])


def engine_of(lock: Path) -> EngineProcess | None:
    """Return the process that holds the account's lock, None if there is none.

    The lock itself is not tried: an engine that starts at that moment would find it taken. The file names the last
    holder, and Linux reports whether that process still has the file open; elsewhere an existing process counts.
    """
    try:
        pid = int(lock.read_text(encoding="ascii"))
        identity = lock.stat()
    except (OSError, ValueError):
        return None
    if Path("/proc/self/fd").is_dir() and not _has_open(pid, (identity.st_dev, identity.st_ino)):
        return None
    return process_of(pid)


def listener_at(path: Path, *, seconds: float = 2.0) -> EngineProcess | None:
    """Return the process that listens on a Unix socket, None if there is none."""
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(seconds)
            line.connect(str(path))
            pid = peer_of(line)
    except OSError:
        return None
    return process_of(pid) if pid else EngineProcess(0, is_stopped=False)


def kill(process: EngineProcess) -> bool:
    """Kill a process; return whether that was possible."""
    if process.pid in (0, os.getpid()):
        return False
    try:
        os.kill(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return True


def process_of(pid: int) -> EngineProcess | None:
    """Return a process by its id, None if it does not exist."""
    state = _state_of(pid) if pid else ""
    return None if state in ("", "Z", "X") else EngineProcess(pid, state in ("T", "t"))


def _state_of(pid: int) -> str:
    """Return the letter of the process's state, ``?`` if the system does not report it, empty if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(") ")[2][:1]
    except OSError:
        pass
    if Path("/proc/self/stat").exists():
        return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "?"


def _has_open(pid: int, identity: tuple[int, int]) -> bool:
    try:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found = descriptor.stat()
                if (found.st_dev, found.st_ino) == identity:
                    return True
    except PermissionError:
        # Another user's process: its files are invisible, its locks are not.
        return _locks(pid, identity[1])
    except OSError:
        return False
    return False


def _locks(pid: int, inode: int) -> bool:
    """Return whether a process holds a lock (``flock``) on a file, by the system's list; true if there is no list."""
    try:
        lines = Path("/proc/locks").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return True
    held = [parts for parts in map(str.split, lines) if len(parts) > 5 and parts[1] == "FLOCK"]
    return any(parts[4] == str(pid) and parts[5].rpartition(":")[2] == str(inode) for parts in held)
