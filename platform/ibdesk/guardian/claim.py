"""Which process carries out the stops of an account: one at a time, for two at once could turn a position round.

The claim is a lock of the operating system (``flock``) on a file beside the account's halts. It ends with its holder.
Beside it are the orders that its holders may have on their way, for the next holder, whichever process that is.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from ibdesk.config import private_folder, write_private
from ibdesk.guardian.closing_orders import ClosingOrder
from ibdesk.store.account_halts import accounts_folder


class Claim:
    """The claim of this process."""

    def __init__(self, mode: str) -> None:
        self._mode, self._descriptor = mode, -1
        # _sent_path: where the orders on their way are kept, None while this process has not read them.
        self._sent_path: Path | None = None

    def take(self, account: str) -> bool:
        """Return whether this process has the claim, which it keeps until `release`.

        Where the file cannot be had or locked, as on a full disk or a network's file system without locks, it has:
        somebody must be able to stop the account.
        """
        if self._descriptor >= 0:
            return True
        path = _path_of(self._mode, account, "acting")
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

    def inherit(self, account: str) -> list[ClosingOrder] | None:
        """Return the orders that holders before this one may have on their way; None when asked again.

        Raises:
            OSError: If they cannot be read.
            msgspec.MsgspecError: If they are not what `keep` writes.
        """
        if self._sent_path is not None:
            return None
        self._sent_path = _path_of(self._mode, account, "sent")
        try:
            return msgspec.json.decode(self._sent_path.read_bytes(), type=list[ClosingOrder])
        except FileNotFoundError:
            return []

    def keep(self, orders: Iterable[ClosingOrder]) -> None:
        """Write down the orders that may be on their way, on disk before this returns; before `inherit` nothing.

        Raises:
            OSError: If they cannot be written.
        """
        if self._sent_path is None:
            return
        kept = list(orders)
        if kept:
            write_private(self._sent_path, msgspec.json.encode(kept))
        else:
            self._sent_path.unlink(missing_ok=True)

    def release(self) -> None:
        """Let another process have it; releasing twice is one release."""
        descriptor, self._descriptor, self._sent_path = self._descriptor, -1, None
        if descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(descriptor)


def _path_of(mode: str, account: str, what: str) -> Path:
    return accounts_folder() / f"{mode}-{account}.{what}"
