"""Synchronization of the desk's halts with its account's, whichever process made or lifted one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import msgspec

from ibdesk.engine.halts import Halts
from ibdesk.model import EngineSnapshot, Event, Halt, HaltTrading, Notice, ResumeTrading, Severity, new_halt_id
from ibdesk.store.account_halts import (
    LOCK_POLL_SECONDS,
    LOCK_POLLS,
    AccountHalts,
    AccountHaltsError,
    AccountRecord,
    HaltsInUseError,
)

_log = logging.getLogger(__name__)

# The maker of the halt when the account's halts cannot be read.
_HALTS_FILE = "halts file"


class AccountWatch:
    """The desk's side of the account's halts.

    It does nothing without `open`: the account of an embedded gateway ends with the gateway.
    """

    def __init__(
        self,
        halts: Halts,
        turn: Callable[[Event], None],
        now_ns: Callable[[], int],
        *,
        client_id: int,
        compare: Callable[[], None],
    ) -> None:
        """Make one; `compare` lets no order leave until the books are compared with TWS."""
        self._halts, self._turn, self._now_ns, self._compare = halts, turn, now_ns, compare
        self._client_id = client_id
        self._file: AccountHalts | None = None
        # `Halts.changes` at the last comparison of desk and file.
        self._written = 0
        self._fault = ""

    def open(self, file: AccountHalts, snapshot: EngineSnapshot, at_ns: int) -> EngineSnapshot:
        """Return the snapshot with the halts of its journal and of its account, without the lifted ones."""
        self._file = file
        try:
            return merged(snapshot, file.read())
        except AccountHaltsError as error:
            self._fault = str(error)
            made = new_halt_id(at_ns, snapshot.halts_made + 1, client_id=self._client_id)
            halt = Halt(self._fault, _HALTS_FILE, at_ns, made)
            return msgspec.structs.replace(snapshot, halts=[*snapshot.halts, halt], halts_made=halt.number)

    def close(self) -> None:
        """Release the file's mark."""
        if self._file is not None:
            self._file.close()

    @property
    def is_news(self) -> bool:
        """Whether another process has halted or lifted since the last `match`; compares in memory.

        True also while the file cannot be read.
        """
        return self._file is not None and (self._file.is_news or bool(self._fault))

    @property
    def is_behind(self) -> bool:
        """Whether the file lacks changes of the desk, or the desk lacks changes of other processes."""
        return self._file is not None and (self._written != self._halts.changes or self._file.is_news)

    def unheld(self) -> list[Halt]:
        """Return the halts of the account that the desk does not hold yet.

        Raises:
            AccountHaltsError: If its file cannot be read.
        """
        return [] if self._file is None else [each for each in self._file.peek().halts if each.id not in self._halts]

    def take_news(self) -> None:
        """Apply halts of other processes, before orders leave that waited for the budget of messages."""
        if self.is_news:
            self.match()

    def look(self) -> None:
        """Check the file itself, as often as positions are marked, and match if anything differs."""
        if self._file is None:
            return
        try:
            changed = self._file.look()
        except AccountHaltsError as error:
            self._fail(error)
            return
        if changed or self.is_behind or self._fault:
            self.match()

    def match(self) -> None:
        """Apply the halts and lifts of other processes, and write the halts of this desk."""
        if self._file is None:
            return
        self._written = self._halts.changes
        try:
            record = self._file.read()
            if own := _lacking(record, self._halts):
                self._file.add(own, waits=False)
        except AccountHaltsError as error:
            self._fail(error)
            return
        if self._fault:
            self._fault = ""
            self._turn(Notice("the account's halts can be read and written again", self._now_ns(), Severity.WARNING))
        # Halts first: no order may leave between a lift and the halt that replaces it.
        for halt in record.halts:
            if halt.id not in self._halts:
                self._turn(HaltTrading.of(halt, self._now_ns()))
        for lift in record.lifted:
            if lift.id in self._halts:
                self._compare_after(self._halts[lift.id])
                self._turn(ResumeTrading(lift.id, lift.reason, self._now_ns(), lift.by))

    async def lift(self, halt_id: str, reason: str, by: str) -> None:
        """Lift a halt of the account before the desk lifts it; the loop runs on while another process locks the file.

        Raises:
            DeskError: If another process has lifted it already.
            AccountHaltsError: If the file cannot be used; then nothing is lifted.
        """
        for tries_left in reversed(range(LOCK_POLLS)):
            halt = self._halts.find(halt_id)
            # First: the link's events of the comparison are handled before the lift is published.
            self._compare_after(halt)
            if self._file is None:
                return
            try:
                self._file.add([halt], waits=False)
                self._file.lift(halt_id, reason, by=by, at_ns=self._now_ns(), waits=False)
            except HaltsInUseError:
                if not tries_left:
                    raise
                await asyncio.sleep(LOCK_POLL_SECONDS)
            else:
                return

    def _compare_after(self, halt: Halt) -> None:
        """Let no order leave after the guardian has traded until the books include its trades."""
        if halt.is_exclusive:
            self._compare()

    def _fail(self, error: AccountHaltsError) -> None:
        if self._fault != str(error):
            self._fault = str(error)
            _log.critical("trading is halted: %s", self._fault)
            self._turn(HaltTrading(self._fault, self._now_ns(), _HALTS_FILE))


def merged(snapshot: EngineSnapshot, record: AccountRecord) -> EngineSnapshot:
    """Return a snapshot with the halts of its journal and of the account's file, oldest first."""
    lifted = {lift.id for lift in record.lifted}
    found = {halt.id: halt for halt in [*snapshot.halts, *record.halts] if halt.id not in lifted}
    return msgspec.structs.replace(
        snapshot,
        halts=sorted(found.values(), key=lambda halt: halt.at_ns),
        halts_made=max(snapshot.halts_made, record.made),
    )


def _lacking(record: AccountRecord, halts: Halts) -> list[Halt]:
    known = {halt.id for halt in record.halts} | {lift.id for lift in record.lifted}
    return [halt for halt in halts.values() if halt.id not in known]
