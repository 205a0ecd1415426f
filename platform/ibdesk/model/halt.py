"""Halts: what stops trading of the desk, of a run or in an instrument, until a person lifts it."""

from __future__ import annotations

import enum

import msgspec

from ibdesk.model.moment import moment

DESK_SCOPE = "desk"
"""The scope of a halt that stops all trading of the account."""

GUARDIAN = "guardian"
"""In whose name the guardian halts."""


class TradingState(enum.Enum):
    """What may be ordered. The desk closes positions for a person or a limit in each, unless the guardian does."""

    # NORMAL: everything that the limits allow.
    NORMAL = "normal"
    # REDUCING: nothing that opens or adds to a position; orders that reduce or protect one pass.
    REDUCING = "reducing"
    # HALTED: the same; with `risk.halt_keeps_protection` off, or by the guardian, strategies may not reduce or protect.
    HALTED = "halted"

    # Each member is one object, so it is told apart by what it is; Enum's own hash is computed in Python.
    __hash__ = object.__hash__

    def __init__(self, word: str) -> None:
        # level: the higher one holds where two halts apply.
        self.level = ("normal", "reducing", "halted").index(word)


class Halt(msgspec.Struct, frozen=True):
    """Why trading is halted, by whom (``operator``, ``risk``, ...) and since when (ns UTC).

    `id` is the time, who made the halt, and its number among those of the account, such as ``20261130-121204-7-3`` by
    the desk of client id 7: it names this halt and no other, also after restarts. `scope` is ``desk``,
    ``run:<owner>`` or ``instrument:<id>``; `state` is what remains possible there. `rule` is the limit that was
    broken, empty where none was.
    """

    reason: str
    by: str
    at_ns: int
    id: str
    scope: str = DESK_SCOPE
    state: TradingState = TradingState.HALTED
    rule: str = ""

    @property
    def is_fence(self) -> bool:
        """Return whether the guardian cancels all orders or closes positions under this halt: then only it trades."""
        return self.by == GUARDIAN and self.scope == DESK_SCOPE and self.state is TradingState.HALTED

    @property
    def number(self) -> int:
        """Return its number among the halts of the account, 0 where the id has none."""
        number = self.id.rpartition("-")[2]
        return int(number) if number.isascii() and number.isdigit() else 0


def new_halt_id(at_ns: int, number: int, *, client_id: int) -> str:
    """Return the id of a halt that a desk makes; two desks of one account have client ids of their own."""
    desk = f"-{client_id}" if client_id else ""
    return f"{moment(at_ns):%Y%m%d-%H%M%S}{desk}-{number}"


def run_scope(run_id: str) -> str:
    """Return the scope of a halt of one run, or of one book such as ``manual``."""
    return f"run:{run_id}"


def instrument_scope(instrument: str) -> str:
    """Return the scope of a halt in one instrument, by its id."""
    return f"instrument:{instrument}"
