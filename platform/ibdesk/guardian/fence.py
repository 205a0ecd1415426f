"""The fence around the engine: the halts of the account, which every desk of the machine obeys."""

from __future__ import annotations

from typing import Literal

from ibdesk.clock import wall_ns
from ibdesk.guardian.record import Record
from ibdesk.guardian.stop import Level
from ibdesk.model import GUARDIAN, Halt, TradingState, moment
from ibdesk.store.account_halts import AccountHalts, AccountHaltsError


class Fence:
    """Sets halts of the account and tracks which are in force.

    A halt that cannot be written, because the account is unknown or the disk is full, is in force in this process and
    is written as soon as possible. A halt missing from the file was not lifted: the file may have been moved away, so
    the halt is written again. In mode embedded the halts are the engine's own: its account ends with it.
    """

    def __init__(self, mode: Literal["embedded", "paper", "live"], record: Record) -> None:
        self._mode, self._record = mode, record
        # lifted: the ids of the halts that a person has lifted, according to the file.
        self.lifted: frozenset[str] = frozenset()
        # _ours: the halts of this process and its predecessors that may be in force, by id.
        self._ours = {} if mode == "embedded" else _remembered(record)
        self._halts: AccountHalts | None = None
        self._has_read = False
        self._unwritten: list[Halt] = []
        self._written: frozenset[str] = frozenset()
        self._faults: set[str] = set()
        # _was_halted: whether an embedded engine has shown the latest halt.
        self._was_halted = False

    @property
    def standing(self) -> frozenset[str]:
        """Return the ids of the halts in force."""
        return self._written | {halt.id for halt in self._unwritten}

    def put(self, account: str, reason: str, *, level: Level, at_ns: int) -> str:
        """Halt the account for a stop of this level, and return the halt's id."""
        state = state_of(level)
        try:
            halts = self._of(account)
            if halts is not None:
                halt = halts.halt(reason, by=GUARDIAN, at_ns=at_ns, state=state)
                self._written |= {halt.id}
                self._ours[halt.id] = halt
                return halt.id
        except AccountHaltsError as error:
            self._alert(error)
        self._was_halted = False
        made_id = f"{moment(at_ns):%Y%m%d-%H%M%S}-{GUARDIAN}-{at_ns % 1_000_000_000}"
        made = Halt(reason, GUARDIAN, at_ns, made_id, state=state)
        self._unwritten.append(made)
        self._ours[made.id] = made
        return made.id

    def look(self, account: str) -> None:
        """Read halts that others have made or lifted."""
        try:
            halts = self._of(account)
            if halts is None:
                return
            if self._unwritten:
                halts.add(self._unwritten)
                self._unwritten = []
            if not self._has_read or halts.look():
                self._read(halts)
            self._faults.clear()
        except AccountHaltsError as error:
            self._alert(error)

    def look_at_embedded(self, halt_ids: frozenset[str]) -> None:
        """Read the halts of an embedded engine: once it has shown ours and shows none, ours was lifted."""
        if halt_ids:
            self._was_halted = True
        elif self._was_halted:
            self.forget()

    def forget(self) -> None:
        """Treat every halt of mode embedded as lifted."""
        memory = self._record.memory
        self.lifted |= {halt.id for halt in self._unwritten} | {stop.id for stop in memory.stops}
        self.lifted |= {tripped.halt_id for tripped in memory.tripped.values()}
        self._unwritten, self._was_halted = [], False

    def _read(self, halts: AccountHalts) -> None:
        record = halts.read()
        self._written = frozenset(halt.id for halt in record.halts)
        self.lifted = frozenset(lift.id for lift in record.lifted)
        self._has_read = True
        for halt_id in self.lifted:
            self._ours.pop(halt_id, None)
        missing = [halt for halt_id, halt in self._ours.items() if halt_id not in self._written]
        if missing:
            names = ", ".join(halt.id for halt in missing)
            self._record.alert(f"{names} is missing in {halts.path} and was not lifted by anyone: it is written again")
            halts.add(missing)
            self._written |= {halt.id for halt in missing}

    def _of(self, account: str) -> AccountHalts | None:
        if self._mode == "embedded" or not account:
            return None
        if self._halts is None or self._halts.account != account:
            self._halts, self._has_read = AccountHalts(self._mode, account), False
        return self._halts

    def _alert(self, error: AccountHaltsError) -> None:
        if str(error) not in self._faults:
            self._faults.add(str(error))
            self._record.alert(str(error))


def _remembered(record: Record) -> dict[str, Halt]:
    """Return the halts of the unfinished stops, and of the rules that are inactive until their halt is lifted."""
    found = {
        tripped.halt_id: Halt(f"{cause}, which the guardian has acted on", GUARDIAN, wall_ns(), tripped.halt_id)
        for cause, tripped in record.memory.tripped.items()
    }
    for stop in record.memory.stops:
        found[stop.id] = Halt(stop.reason, GUARDIAN, stop.at_ns, stop.id, state=state_of(stop.level))
    return found


def state_of(level: Level) -> TradingState:
    """Return the state of the halt for a stop: under HALTED the guardian cancels all orders or closes positions."""
    return TradingState.REDUCING if level is Level.HALT else TradingState.HALTED
