"""Halts: stops of trading for the desk, a run or an instrument, until a person lifts them."""

from __future__ import annotations

import enum

import msgspec

from ibdesk.model.moment import moment

DESK_SCOPE = "desk"
"""The scope of a halt that stops all trading of the account."""

GUARDIAN = "guardian"
"""The value of `Halt.by` for halts of the guardian."""


class TradingState(enum.Enum):
    """Which orders pass. In each state the desk closes positions for a person or a limit, if the guardian does not."""

    NORMAL = "normal"
    """Everything within the limits passes."""
    REDUCING = "reducing"
    """Orders that open or add to a position are denied; orders that reduce or protect one pass."""
    HALTED = "halted"
    """As REDUCING; strategies may not reduce or protect if `risk.halt_keeps_protection` is off, or by the guardian."""

    # Members are singletons, so identity is enough. Enum's own hash is slower: it is computed in Python.
    __hash__ = object.__hash__

    def __init__(self, word: str) -> None:
        # Of two halts that apply, the one with the higher level decides.
        self.level = ("normal", "reducing", "halted").index(word)


class Halt(msgspec.Struct, frozen=True):
    """Why trading is halted, by whom (``operator``, ``risk``, ...) and since when (ns UTC).

    `id` is the time, the maker, and the number among the halts of the account, such as ``20261130-121204-7-3`` by
    the desk of client id 7. It is unique, also across restarts. `scope` is ``desk``,
    ``run:<owner>`` or ``instrument:<id>``; `state` says which orders pass there. `rule` is the limit
    that was broken, or empty.
    """

    reason: str
    by: str
    at_ns: int
    id: str
    scope: str = DESK_SCOPE
    state: TradingState = TradingState.HALTED
    rule: str = ""

    @property
    def is_exclusive(self) -> bool:
        """Return whether the guardian cancels all orders or closes positions under this halt: then only it trades."""
        return self.by == GUARDIAN and self.scope == DESK_SCOPE and self.state is TradingState.HALTED

    @property
    def number(self) -> int:
        """Return the number of the halt among those of the account, or 0."""
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
