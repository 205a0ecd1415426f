"""The high-water mark of order ids: no id at or below it is used again, whatever TWS suggests."""

from __future__ import annotations

from pathlib import Path

from ibdesk.config import private_folder, write_private
from ibdesk.errors import JournalError

# Ids are reserved in blocks, so that the file is written once per hundred orders.
_BLOCK = 100


class OrderIdMark:
    """One number per TWS and client id in a small file; every id below it may have been used."""

    @classmethod
    def of(cls, folder: Path, *, host: str, port: int, client_id: int) -> OrderIdMark:
        """Return the mark of a client at a TWS.

        Raises:
            JournalError: If the file holds no number.
        """
        return cls(folder / f"order-ids-{host}-{port}-{client_id}")

    def __init__(self, path: Path) -> None:
        """Read the mark.

        Raises:
            JournalError: If the file holds no number.
        """
        self._path = path
        try:
            self.reserved = int(path.read_text(encoding="ascii")) if path.exists() else 1
        except (OSError, ValueError) as error:
            raise JournalError(
                f"the mark of order ids in {path} cannot be read ({error}): "
                f"write a number above the last used order id there"
            ) from None

    def cover(self, order_id: int) -> None:
        """Raise the mark on disk above `order_id`, before that is used.

        Raises:
            JournalError: If the file cannot be written.
        """
        if order_id >= self.reserved:
            self.raise_to(order_id + _BLOCK)

    def raise_to(self, reserved: int) -> None:
        """Record on disk that another engine may have used every id below `reserved`.

        Raises:
            JournalError: If the file cannot be written.
        """
        if reserved <= self.reserved:
            return
        try:
            private_folder(self._path.parent)
            write_private(self._path, str(reserved).encode())
        except OSError as error:
            raise JournalError(f"the mark of order ids in {self._path} cannot be written: {error}") from error
        self.reserved = reserved
