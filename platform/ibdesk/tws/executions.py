"""The executions and commissions reported so far, and what a correction changes."""

from __future__ import annotations

import msgspec

from ibdesk.model import TAKEN_BACK, Commission, Event, Fill, Notice, Severity, Side, revision_of


class _Booked(msgspec.Struct, frozen=True):
    revision: int
    fill: Fill


class Executions:
    """Turns the venue's executions into fills and counts each once, even if TWS repeats it.

    IB numbers the versions of one execution in the last part of its id (``0000e0d5.67fe667b.01.01``, corrected
    ``...01.02``). A correction becomes two fills, one that reverses the old version and one that books the new one, so
    that the sum of fills equals the venue's book.
    """

    def __init__(self) -> None:
        self._booked: dict[str, _Booked] = {}
        self._charged: dict[str, Commission] = {}
        self._early: dict[str, Commission] = {}
        # Time of the newest execution by TWS's clock, ns UTC; 0 before the first.
        self.newest_ns = 0

    def remember(self, fill: Fill) -> None:
        """Mark a fill from an earlier journal as reported."""
        base, revision = revision_of(fill.execution_id)
        known = self._booked.get(base)
        if known is None or revision >= known.revision:
            self._booked[base] = _Booked(revision, fill)

    def remember_commission(self, commission: Commission) -> None:
        """Mark a commission from an earlier journal as reported."""
        base, _ = revision_of(commission.execution_id)
        self._charged[base] = commission

    def take(self, fill: Fill) -> list[Event]:
        """Return the events of an execution: none if it is known, two fills and a notice if it is a correction."""
        base, revision = revision_of(fill.execution_id)
        known = self._booked.get(base)
        if known is not None and revision <= known.revision:
            return []
        self._booked[base] = _Booked(revision, fill)
        if known is None:
            return [fill, *self._early_commission(fill)]
        old = known.fill
        if (old.quantity, old.price, old.side) == (fill.quantity, fill.price, fill.side):
            return []
        corrected: list[Event] = [_taken_back(old, fill)]
        if fill.quantity:
            corrected.append(fill)
        corrected.append(
            Notice(
                f"the venue corrected execution {old.execution_id} of order {fill.order_id or 'another program'}: "
                f"{old.quantity:g} {fill.instrument} at {old.price:g} became {fill.quantity:g} at {fill.price:g}",
                fill.at_ns,
                Severity.ERROR,
            )
        )
        return corrected

    def take_commission(self, commission: Commission) -> list[Event]:
        """Return the events of a commission report; one that arrives before its execution is kept until then.

        The commission of a correction is reported under the id that was charged first, as the new amount of that
        charge.
        """
        base, _ = revision_of(commission.execution_id)
        if base not in self._booked:
            self._early[base] = commission
            return []
        known = self._charged.get(base)
        if known is not None:
            if known.amount == commission.amount:
                return []
            commission = msgspec.structs.replace(commission, execution_id=known.execution_id)
        self._charged[base] = commission
        return [commission]

    def _early_commission(self, fill: Fill) -> list[Event]:
        early = self._early.pop(revision_of(fill.execution_id)[0], None)
        return self.take_commission(early) if early is not None else []


def _taken_back(old: Fill, new: Fill) -> Fill:
    side = Side.SELL if old.side is Side.BUY else Side.BUY
    return msgspec.structs.replace(old, execution_id=f"{old.execution_id}{TAKEN_BACK}", side=side, at_ns=new.at_ns)
