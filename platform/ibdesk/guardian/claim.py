"""Which process carries out the stops of an account: one at a time, for two at once could turn a position round.

The claim is a lock of the operating system (``flock``) on a file beside the account's halts. It ends with its holder.
"""

from __future__ import annotations

import contextlib
import fcntl
import os

from ibdesk.config import private_folder
from ibdesk.store.account_halts import accounts_folder


class Claim:
    """The claim of this process."""

    def __init__(self, mode: str) -> None:
        self._mode, self._descriptor = mode, -1

    def take(self, account: str) -> bool:
        """Return whether this process has the claim, which it keeps until `release`.

        Where the file cannot be had or locked, as on a full disk or a network's file system without locks, it has:
        somebody must be able to stop the account.
        """
        if self._descriptor >= 0:
            return True
        path = accounts_folder() / f"{self._mode}-{account}.acting"
        try:
            private_folder(path.parent)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except OSError:
            os.close(descriptor)
            return True
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Let another process have it; releasing twice is one release."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(descriptor)
