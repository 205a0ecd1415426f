"""Housekeeping in the folder of journals: finished ones are packed, and old ones are removed."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from ibdesk.errors import JournalError
from ibdesk.store.journal_files import journals_in
from ibdesk.store.journal_packing import pack, packed_path
from ibdesk.store.journal_reader import JournalReader
from ibdesk.store.journal_settings import JournalSettings
from ibdesk.store.recovery import account_of

_log = logging.getLogger(__name__)

_DAY_SECONDS = 86_400.0
# The desk of a journal without an account may just be starting.
_UNBORN_SECONDS = 3_600.0


class JournalTidier:
    """Tidies up at once and every day during its ``with`` block, in its own thread.

    It removes only packed journals of this mode and account that were last written more than `keep_days` ago and are
    older than the journal that this desk continued from: the next start needs only this desk's own journal.
    """

    def __init__(self, own: Path, mode: str, account: str, earlier: str, settings: JournalSettings) -> None:
        """Make a tidier for a desk whose journal is `own`, continued from `earlier` (empty for none)."""
        self._own, self._mode, self._account, self._earlier, self._settings = own, mode, account, earlier, settings
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ibdesk-journal-tidier", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self.tidy()
            if self._ending.wait(_DAY_SECONDS):
                return

    def tidy(self) -> None:
        """Pack finished journals and remove old ones; failures are logged, and the journal is left."""
        before = time.time() - self._settings.keep_days * _DAY_SECONDS
        for path in journals_in(self._own.parent, self._mode):
            if self._ending.is_set():
                return
            # Names give the order of journals.
            if path.name >= self._own.name:
                continue
            try:
                if path.exists() and self._is_finished(path):
                    pack(path, is_ending=self._ending.is_set)
                packed = packed_path(path)
                if self._settings.keep_days and packed.exists() and packed.stat().st_mtime < before:
                    self._remove(path, packed)
            except (OSError, JournalError) as error:
                _log.warning("journal %s is left as it is: %s", path, error)

    def _is_finished(self, path: Path) -> bool:
        with JournalReader(path) as journal:
            # Standbys can write to copies at any time.
            if journal.copy is not None:
                return False
            account = account_of(journal)
        return account == self._account or (not account and time.time() - path.stat().st_mtime > _UNBORN_SECONDS)

    def _remove(self, path: Path, packed: Path) -> None:
        if path.name == self._earlier or path.exists():
            return
        with JournalReader(path) as journal:
            account = account_of(journal)
        if account in ("", self._account):
            packed.unlink()
            _log.info("journal %s was removed: journal.keep_days is %d", packed, self._settings.keep_days)
