"""The claim to carry out the stops of an account: one process at a time, as two at once could reverse a position.

The claim is a lock of the operating system (``flock``) on a file beside the account's halts. It ends with its process.
A second file lists the orders that its holders may have on their way, for the next holder, in whichever process.
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
    """The claim held by this process."""

    def __init__(self, mode: str) -> None:
        self._mode, self._descriptor = mode, -1
        # _sent_path: the file of the orders on their way, None until this process has read it.
        self._sent_path: Path | None = None

    def take(self, account: str) -> bool:
        """Return whether this process has the claim, which it keeps until `release`.

        If the file cannot be opened or locked, as on a full disk or a network file system without locks, the process
        has the claim: stopping the account must always be possible.
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
        """Return the orders that earlier holders may have on their way; None when called again.

        Raises:
                OSError: If the file cannot be read.
                msgspec.MsgspecError: If `keep` did not write it.
        """
        if self._sent_path is not None:
            return None
        self._sent_path = _path_of(self._mode, account, "sent")
        try:
            return msgspec.json.decode(self._sent_path.read_bytes(), type=list[ClosingOrder])
        except FileNotFoundError:
            return []

    def keep(self, orders: Iterable[ClosingOrder]) -> None:
        """Write the orders that may be on their way to disk before returning; before `inherit` it does nothing.

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
        """Give the claim to other processes; a second call does nothing."""
        descriptor, self._descriptor, self._sent_path = self._descriptor, -1, None
        if descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(descriptor)


def _path_of(mode: str, account: str, what: str) -> Path:
    return accounts_folder() / f"{mode}-{account}.{what}"
