"""The parts of an account's positions that some runs hold, updated by executions."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ibdesk.guardian.account import Execution, run_of


class ShareBasis(msgspec.Struct, frozen=True, kw_only=True):
    """The positions of some runs, by contract, with the executions in `counted` included.

    `counted` is by the execution's id without its last part, which a correction changes; a value of None is an unknown
    quantity, because only the engine has reported the execution.
    """

    held: dict[int, float]
    counted: dict[str, float | None]


class RunShares:
    """The signed parts of positions that the runs of a stop hold now.

    They change with executions of the runs' own orders, which may fill until they are gone, and of the guardian's
    orders that close them: `closing` are the prefixes of their references.
    """

    def __init__(self, basis: ShareBasis, *, runs: Iterable[str], closing: Iterable[str]) -> None:
        self._held, self._counted = dict(basis.held), dict(basis.counted)
        self._runs, self._closing = frozenset(runs), tuple(closing)

    @property
    def basis(self) -> ShareBasis:
        """Return the basis for a later process."""
        return ShareBasis(held=dict(self._held), counted=dict(self._counted))

    @property
    def contracts(self) -> set[int]:
        """Return the contracts in which the runs hold or have traded something."""
        return set(self._held)

    def of(self, con_id: int) -> float:
        """Return what the runs hold of a contract."""
        return self._held.get(con_id, 0.0)

    def take(self, executions: Iterable[Execution]) -> bool:
        """Count executions, each once; return whether one was new."""
        changed = False
        for done in executions:
            if run_of(done.reference) not in self._runs and not done.reference.startswith(self._closing):
                continue
            key = execution_key(done.id)
            before = self._counted.get(key, 0.0)
            if before == done.quantity:
                continue
            self._counted[key] = done.quantity
            changed = True
            if before is not None:
                self._held[done.con_id] = self._held.get(done.con_id, 0.0) + done.quantity - before
        return changed


def execution_key(execution_id: str) -> str:
    """Return the part of the id that an execution and its corrections share."""
    return execution_id.rpartition(".")[0]
