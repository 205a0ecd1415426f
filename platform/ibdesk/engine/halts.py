"""The halts that hold, and what remains possible for a run in an instrument."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ibdesk.errors import DeskError
from ibdesk.model import DESK_SCOPE, Halt, TradingState, instrument_scope, run_scope


class Halts(Mapping[str, Halt]):
    """The halts that hold, by id, oldest first.

    `made` is the number of the newest that ever was; `changes` counts what was put and lifted. `is_empty` says that
    none holds, and `is_exclusive` whether the guardian cancels orders or closes positions under one of them.
    """

    def __init__(self) -> None:
        self._held: dict[str, Halt] = {}
        # The strictest state of each scope that a halt holds in.
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
        """Return the oldest halt, None while nothing is halted."""
        return next(iter(self._held.values()), None)

    @property
    def reasons(self) -> str:
        """Return why trading is halted, an empty string when it is not."""
        return "; ".join(halt.reason for halt in self._held.values())

    def state_of(self, scope: str) -> TradingState:
        """Return the state of one scope alone."""
        return self._states.get(scope, TradingState.NORMAL)

    def state_for(self, owner: str, instrument: str) -> TradingState:
        """Return what remains possible for an owner in an instrument: the strictest of the scopes they are in."""
        if not self._states:
            return TradingState.NORMAL
        scopes = DESK_SCOPE, run_scope(owner), instrument_scope(instrument)
        return max((self.state_of(scope) for scope in scopes), key=_level)

    def put(self, halt: Halt) -> None:
        """Hold a halt until it is lifted by its id; the next one gets a higher number."""
        self._held[halt.id] = halt
        self.made = max(self.made, halt.number)
        self._changed()

    def find(self, halt_id: str) -> Halt:
        """Return the halt of this id.

        Raises:
            DeskError: If no such halt holds.
        """
        if halt_id in self._held:
            return self._held[halt_id]
        which = f"there is no halt {halt_id!r}" if halt_id else "say which halt is to be lifted"
        holding = ", ".join(f"id={each.id!r} ({each.reason}, by {each.by})" for each in self._held.values())
        raise DeskError(f"{which}: trading is halted by {holding}" if holding else f"{which}: trading is not halted")

    def lift(self, halt_id: str) -> None:
        """Hold the halt of this id no longer.

        Raises:
            DeskError: If no such halt holds.
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
