"""The engine as the guardian observes it: its process, its heartbeat, and its books compared with the account."""

from __future__ import annotations

from ibdesk.clock import SECOND, monotonic_ns
from ibdesk.guardian.account import GUARDIANS
from ibdesk.guardian.config import GuardianConfig
from ibdesk.guardian.decisions import EngineObservation
from ibdesk.guardian.engine_connection import EngineConnection
from ibdesk.guardian.engine_process import EngineKill, EngineProcess, engine_of, kill, process_of
from ibdesk.guardian.record import Record
from ibdesk.guardian.shares import ShareBasis, execution_key
from ibdesk.guardian.view import AccountView

# Older books say nothing about the present.
_BOOKS_SECONDS = 5
# The engine has booked executions that are this much older than the request for its books.
_BOOKED_SECONDS = 15
_SAME = 1e-6


class EngineWatch:
    """The engine of one account."""

    def __init__(self, config: GuardianConfig, record: Record) -> None:
        self._config, self._record = config, record
        self.connection = EngineConnection(config.desk_socket)
        self.process: EngineProcess | None = None
        self._since_ns = 0

    @property
    def pid(self) -> int:
        """Return the process id of the engine, 0 if there is none."""
        return 0 if self.process is None else self.process.pid

    def look(self, account: str) -> bool:
        """Look for the process that holds the account; return whether the previous one has gone."""
        found = self._find(account)
        before, self.process = self.process, found
        gone = before is not None and (found is None or found.pid != before.pid)
        if before is None and found is None:
            return False
        if gone or before is None:
            self._since_ns = monotonic_ns()
            runs = f" with {len(self.connection.runs)} runs" if self.connection.runs else ""
            if before is not None:
                self.connection.forget()
                self._record.alert(f"the engine (process {before.pid}) has gone{runs}")
            if found is not None:
                self._record.write("engine", pid=found.pid)
        return gone

    def word(self, *, is_hung: bool) -> str:
        """Return the state of the engine: away, starting, answers, hung or stopped."""
        if self.process is None:
            return "away"
        if self.process.is_stopped:
            return "stopped"
        if is_hung:
            return "hung"
        return "answers" if self.connection.answered_ns else "starting"

    def kill(self, account: str) -> EngineKill:
        """Kill the engine; the returned attempt shows when it has ended."""
        found = self._find(account)
        if found is None:
            self._record.alert(f"no engine holds account {account or '(unknown)'}: there was nothing to kill")
            return EngineKill(is_sent=bool(account) or self._config.mode == "embedded")
        if kill(found):
            self._record.alert(f"the engine (process {found.pid}) was sent SIGKILL")
            return EngineKill(found.pid, is_sent=True)
        self._record.alert("the engine's process cannot be ended from here: end it where it runs")
        return EngineKill(found.pid)

    def _find(self, account: str) -> EngineProcess | None:
        """Return the engine by the account's lock, else by the listener at the desk's socket.

        An embedded account is not locked, and the process of another container is invisible.
        """
        if self._config.mode != "embedded" and account:
            found = engine_of(self._config.lock_of(account))
            if found is not None:
                return found
        if self.connection.is_connected:
            return process_of(self.connection.pid) if self.connection.pid else EngineProcess(0, is_stopped=False)
        return process_of(self.pid) if self._config.mode == "embedded" else None

    def sight(self) -> EngineObservation | None:
        """Return the observation to judge, None if there is no engine."""
        if self.process is None:
            return None
        return EngineObservation(
            pid=self.process.pid,
            is_stopped=self.process.is_stopped,
            since_ns=self._since_ns,
            answered_ns=self.connection.answered_ns,
            runs=self.connection.runs,
        )

    def differences(self, view: AccountView, now_ns: int) -> dict[str, str]:
        """Return the differences between books and account now, by contract; stale books give none."""
        books = self.connection.books
        if books is None or now_ns - self.connection.books_ns > _BOOKS_SECONDS * SECOND:
            return {}
        sums: dict[int, float] = {}
        for row in books:
            sums[row.con_id] = sums.get(row.con_id, 0.0) + row.quantity
        found = {}
        for con_id in sorted(sums.keys() | view.holdings.keys()):
            booked, held = sums.get(con_id, 0.0), view.holdings.get(con_id, 0.0)
            if con_id and abs(booked - held) > _SAME:
                found[str(con_id)] = f"{view.contracts.get(con_id, con_id)}: books {booked:g}, account {held:g}"
        return found

    def shares(self, runs: tuple[str, ...], view: AccountView) -> ShareBasis | None:
        """Return the positions of these runs by the last books, with the executions in them; None without books."""
        books = self.connection.books
        if books is None:
            return None
        held: dict[int, float] = {}
        for row in books:
            if row.owner in runs:
                held[row.con_id] = held.get(row.con_id, 0.0) + row.quantity
        counted: dict[str, float | None] = dict.fromkeys(map(execution_key, self.connection.booked))
        for done in view.executions_before(self.connection.books_ns - _BOOKED_SECONDS * SECOND):
            counted[execution_key(done.id)] = done.quantity
        # The guardian's own trades are in no run's book.
        for done in view.executions_of(GUARDIANS):
            counted.pop(execution_key(done.id), None)
        return ShareBasis(held=held, counted=counted)
