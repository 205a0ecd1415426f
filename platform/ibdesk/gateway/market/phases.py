"""Moves instruments through the sessions of their exchange: regular, extended, closed."""

from __future__ import annotations

import collections

from ibdesk.gateway.contracts.contract import ContractData
from ibdesk.gateway.contracts.hours import Hours
from ibdesk.gateway.market.instrument_state import Phase
from ibdesk.gateway.market.sessions import SessionCalls
from ibdesk.gateway.market.tape import Tape
from ibdesk.gateway.schedule import Schedule


class Phases:
    """Keeps the tape's instruments to the hours of their exchange."""

    def __init__(self, tape: Tape, sessions: SessionCalls, schedule: Schedule) -> None:
        self._tape = tape
        self._sessions = sessions
        self._schedule = schedule
        self._names: dict[Hours, list[str]] = collections.defaultdict(list)
        for hook in (sessions.on_early_open, sessions.on_open, sessions.on_close, sessions.on_late_close):
            hook(self._turn)

    def follow(self, contract: ContractData) -> None:
        """Keep an instrument to its hours from now on."""
        self._names[contract.hours].append(contract.id)
        self._sessions.follow(contract.hours)
        self._tape.enter(contract.id, phase_at(contract.hours, self._schedule.now_ns))

    def _turn(self, hours: Hours) -> None:
        phase = phase_at(hours, self._schedule.now_ns)
        for name in self._names.get(hours, ()):
            self._tape.enter(name, phase)


def phase_at(hours: Hours, at_ns: int) -> Phase:
    """Return the phase at a time (ns UTC)."""
    if hours.is_open(at_ns):
        return Phase.REGULAR
    return Phase.EXTENDED if hours.is_open(at_ns, outside_rth=True) else Phase.CLOSED
