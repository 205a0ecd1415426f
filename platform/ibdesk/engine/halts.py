"""The halts in force, and the trading state of a run in an instrument."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ibdesk.errors import DeskError
from ibdesk.model import DESK_SCOPE, Halt, TradingState, instrument_scope, run_scope


class Halts(Mapping[str, Halt]):
    """The halts in force, by id, oldest first.

    `made` is the number of the newest halt ever made; `changes` counts halts that were put or lifted. `is_exclusive`
    says whether the guardian cancels orders or closes positions under one of them.
    """

    def __init__(self) -> None:
        self._held: dict[str, Halt] = {}
        # The strictest state of each scope with a halt.
        self._states: dict[str, TradingState] = {}
        self.made = self.changes = 0
        self.is_empty, self.is_exclusive = True, False

    def __getitem__(self, halt_id: str) -> Halt:
        return self._held[halt_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    @property
    def oldest(self) -> Halt | None:
        """Return the oldest halt, or None."""
        return next(iter(self._held.values()), None)

    @property
    def reasons(self) -> str:
        """Return the reasons of all halts, or an empty string."""
        return "; ".join(halt.reason for halt in self._held.values())

    def state_of(self, scope: str) -> TradingState:
        """Return the state of one scope alone."""
        return self._states.get(scope, TradingState.NORMAL)

    def state_for(self, owner: str, instrument: str) -> TradingState:
        """Return the state for an owner in an instrument: the strictest of their scopes."""
        if not self._states:
            return TradingState.NORMAL
        scopes = DESK_SCOPE, run_scope(owner), instrument_scope(instrument)
        return max((self.state_of(scope) for scope in scopes), key=_level)

    def put(self, halt: Halt) -> None:
        """Put a halt in force until it is lifted by its id; the next one gets a higher number."""
        self._held[halt.id] = halt
        self.made = max(self.made, halt.number)
        self._changed()

    def find(self, halt_id: str) -> Halt:
        """Return the halt with this id.

        Raises:
            DeskError: If there is no such halt.
        """
        if halt_id in self._held:
            return self._held[halt_id]
        which = f"there is no halt {halt_id!r}" if halt_id else "give the id of the halt to lift"
        holding = ", ".join(f"id={each.id!r} ({each.reason}, by {each.by})" for each in self._held.values())
        raise DeskError(f"{which}: trading is halted by {holding}" if holding else f"{which}: trading is not halted")

    def lift(self, halt_id: str) -> None:
        """Lift the halt with this id.

        Raises:
            DeskError: If there is no such halt.
        """
        del self._held[self.find(halt_id).id]
        self._changed()

    def _changed(self) -> None:
        self.changes += 1
        self._states, self.is_empty = {}, not self._held
        self.is_exclusive = any(halt.is_exclusive for halt in self._held.values())
        for halt in self._held.values():
            self._states[halt.scope] = max(self.state_of(halt.scope), halt.state, key=_level)


def _level(state: TradingState) -> int:
    return state.level
