"""A single difference between a statement and the journals."""

from __future__ import annotations

import enum

import msgspec


class Discrepancy(enum.Enum):
    """The kind of a difference between statement and journals."""

    MISSING_HERE = "missing_here"
    MISSING_THERE = "missing_there"
    DIFFERENT = "different"


class StatementDifference(msgspec.Struct, frozen=True, kw_only=True):
    """One difference; `here` is the journals, `there` is the statement, and a missing side is empty.

    `subject` is the id of an execution, or a currency; `what` is the figure.
    """

    kind: Discrepancy
    subject: str
    what: str
    here: str
    there: str

    @property
    def text(self) -> str:
        """Return the difference as a sentence."""
        match self.kind:
            case Discrepancy.MISSING_HERE:
                return f"{self.subject} is not in the journals; the statement has {self.there}"
            case Discrepancy.MISSING_THERE:
                return f"{self.subject} is not in the statement; the journals have {self.here}"
            case Discrepancy.DIFFERENT:
                return f"{self.subject}: {self.what} is {self.here} in the journals and {self.there} in the statement"
