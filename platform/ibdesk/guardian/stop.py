"""A stop: what a person or a limit requests of the guardian."""

from __future__ import annotations

import enum

import msgspec

# The longest reason and name: both are in one line of the command socket.
_LONGEST_REASON, _LONGEST_NAME = 500, 100


class Level(enum.StrEnum):
    """How far a stop goes; each level includes the lower ones."""

    # HALT: nothing that opens a position leaves the desk, and orders that would open one are cancelled.
    HALT = "halt"
    # CANCEL: every order is cancelled, protective ones too.
    CANCEL = "cancel"
    # FLATTEN: then every position is closed.
    FLATTEN = "flatten"

    @property
    def rank(self) -> int:
        """Return the rank of the level; a higher one does more."""
        return list(Level).index(self)


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """One stop of the account, or of some of its runs.

    `id` is also the id of its halt. `cause` is the rule that requested it: ``daily_loss``, ``gross_exposure``,
    ``order_rate``, ``silence``, ``mismatch`` or ``person``. `runs` are the runs whose orders and positions it concerns,
    empty for the whole account. With `kill` the engine is killed first.
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
        """Return whether carrying out this stop does all of the other."""
        if self.level.rank < other.level.rank:
            return False
        return not self.runs or (bool(other.runs) and set(other.runs) <= set(self.runs))


def words_of(reason: str) -> str:
    """Return a person's reason as writable text: cut to length, without lone surrogates."""
    return _writable(reason[:_LONGEST_REASON])


def name_of(by: str) -> str:
    """Return a person's name as writable text."""
    return _writable(by[:_LONGEST_NAME])


def _writable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
