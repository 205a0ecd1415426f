"""Files and folders that only their owner may use, whatever the process's umask is."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

from ibdesk.errors import ConfigError

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
# What ibdesk keeps directly in its state folder.
_KEPT = (
    "journals",
    "locks",
    "logs",
    "audit",
    "backtests",
    "idempotency",
    "reports",
    "order-ids-*",
    "lease-token-*",
    "*.key",
    "*.db",
    "*.sock",
    "*.sqlite",
    "*.sqlite-*",
)


def private_folder(folder: Path) -> None:
    """Make a folder for its owner alone, and all folders above it that are missing; an existing one stays as it is.

    Raises:
        OSError: If it cannot be made.
    """
    for each in (*reversed(folder.parents), folder):
        if not each.is_dir():
            each.mkdir(mode=0o700, exist_ok=True)


def owner_only(path: str, flags: int) -> int:
    """Open a file that only its owner may use; the `opener` of ``open``."""
    return os.open(path, flags, 0o600)


def write_private(path: Path, data: bytes, *, may_replace: Callable[[], bool] | None = None) -> bool:
    """Write a file for its owner alone: whole or not at all, and on disk before this returns.

    What is written takes the place of the file if `may_replace`, asked at the last moment, says so; return whether it
    has.

    Raises:
        OSError: If it cannot be written; then the file is as it was.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.new")
    try:
        beside.unlink(missing_ok=True)
        with open(beside, "xb", opener=owner_only) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if may_replace is not None and not may_replace():
            beside.unlink()
            return False
        beside.replace(path)
        return True
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def secure_state_folder(folder: Path) -> list[Path]:
    """Make the state folder if it is missing, keep other users out of it, and return what was open to them.

    A folder of another user, such as a volume that an administrator has mounted, is taken as it is, unless everybody
    may write there.

    Raises:
        ConfigError: If it cannot be made, or cannot be closed to others without taking something else from them.
    """
    try:
        private_folder(folder)
        found = folder.stat()
        mode = stat.S_IMODE(found.st_mode)
        if found.st_uid != os.geteuid():
            if mode & stat.S_IWOTH:
                raise ConfigError(f"every user may write into state_folder {folder}: choose a folder of this user")
            return []
        closed = []
        if mode & _OTHERS:
            _refuse_a_shared_one(folder, mode)
            folder.chmod(mode & ~_OTHERS)
            closed.append(folder)
        return [*closed, *(path for path in _kept_in(folder) if _close(path))]
    except OSError as error:
        raise ConfigError(f"state_folder {folder} cannot be used: {error.strerror or error}") from None


def _refuse_a_shared_one(folder: Path, mode: int) -> None:
    """Leave a folder alone that holds other things too: closing it would lock others out of those.

    Raises:
        ConfigError: If it does.
    """
    names = {path.name for path in folder.iterdir()}
    ours = {path.name for path in _kept_in(folder)}
    if mode & stat.S_ISVTX or (names and not ours):
        raise ConfigError(
            f"other users can look into state_folder {folder}, and it holds other things than ibdesk's: "
            f"choose a folder of its own, or chmod 700 it"
        )


def _kept_in(folder: Path) -> list[Path]:
    return [path for pattern in _KEPT for path in folder.glob(pattern)]


def _close(path: Path) -> bool:
    """Take a file or folder of ours from other users; return whether that was necessary."""
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode) or found.st_uid != os.geteuid() or not found.st_mode & _OTHERS:
        return False
    path.chmod(stat.S_IMODE(found.st_mode) & ~_OTHERS)
    return True
