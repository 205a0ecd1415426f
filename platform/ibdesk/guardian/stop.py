"""A stop: what somebody, or a limit, wants the guardian to do to the account."""

from __future__ import annotations

import enum

import msgspec

# So many characters have a reason and a name at most: both are in one line of the command socket.
_LONGEST_REASON, _LONGEST_NAME = 500, 100


class Level(enum.StrEnum):
    """How far a stop goes; each level includes those before it."""

    # HALT: nothing that opens a position leaves the desk, and orders that would open one are cancelled.
    HALT = "halt"
    # CANCEL: every order is cancelled, protective ones too.
    CANCEL = "cancel"
    # FLATTEN: then every position is closed.
    FLATTEN = "flatten"

    @property
    def rank(self) -> int:
        """Return the place among the levels; a higher one does more."""
        return list(Level).index(self)


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """One stop of the account, or of some of its runs.

    `id` is also the id of the halt that stands for it in the account's halts. `cause` is the rule that asked for it:
    ``daily_loss``, ``gross_exposure``, ``order_rate``, ``silence``, ``mismatch`` or ``person``. `runs` are the runs
    whose orders and positions it concerns, none for the whole account. With `kill` the engine is ended by force first.
    """

    id: str
    level: Level
    cause: str
    reason: str
    by: str
    at_ns: int
    runs: tuple[str, ...] = ()
    kill: bool = False

    def covers(self, other: Stop) -> bool:
        """Return whether carrying out this one does all of the other."""
        if self.level.rank < other.level.rank:
            return False
        return not self.runs or (bool(other.runs) and set(other.runs) <= set(self.runs))


def words_of(reason: str) -> str:
    """Return a reason that a person gave as one that can be written anywhere: cut, and without lone surrogates."""
    return _writable(reason[:_LONGEST_REASON])


def name_of(by: str) -> str:
    """Return a person's name in the same way."""
    return _writable(by[:_LONGEST_NAME])


def _writable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
