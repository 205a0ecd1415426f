"""Files and folders that only their owner can access, regardless of the umask."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

from ibdesk.errors import ConfigError

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
# The entries of ibdesk in its state folder.
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
    """Create a folder and its missing parents with access for the owner only; existing folders are unchanged.

    Raises:
        OSError: If a folder cannot be created.
    """
    for each in (*reversed(folder.parents), folder):
        if not each.is_dir():
            each.mkdir(mode=0o700, exist_ok=True)


def owner_only(path: str, flags: int) -> int:
    """Open a file with access for its owner only; an `opener` for ``open``."""
    return os.open(path, flags, 0o600)


def write_private(path: Path, data: bytes, *, may_replace: Callable[[], bool] | None = None) -> bool:
    """Write a file for its owner only, atomically, and flush it to disk; return whether it was written.

    `may_replace` is called just before the file is replaced; if it returns False, the old file remains.

    Raises:
        OSError: If the file cannot be written; then it is unchanged.
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
    """Create the state folder if it is missing, close it to other users, and return the paths that were open to them.

    A folder of another user, such as a volume mounted by an administrator, is used as it is, unless everybody can
    write to it.

    Raises:
        ConfigError: If it cannot be created, or closing it would lock other users out of other files.
    """
    try:
        private_folder(folder)
        found = folder.stat()
        mode = stat.S_IMODE(found.st_mode)
        if found.st_uid != os.geteuid():
            if mode & stat.S_IWOTH:
                raise ConfigError(f"every user can write to state_folder {folder}: choose a folder of this user")
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
    """Refuse a folder with other content too: closing it would lock other users out of it.

    Raises:
        ConfigError: If the folder has other content.
    """
    names = {path.name for path in folder.iterdir()}
    ours = {path.name for path in _kept_in(folder)}
    if mode & stat.S_ISVTX or (names and not ours):
        raise ConfigError(
            f"other users can read state_folder {folder}, and it has files that are not ibdesk's: "
            f"choose a separate folder, or chmod 700 it"
        )


def _kept_in(folder: Path) -> list[Path]:
    return [path for pattern in _KEPT for path in folder.glob(pattern)]


def _close(path: Path) -> bool:
    """Close a file or folder of ibdesk to other users; return whether that was necessary."""
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode) or found.st_uid != os.geteuid() or not found.st_mode & _OTHERS:
        return False
    path.chmod(stat.S_IMODE(found.st_mode) & ~_OTHERS)
    return True
