"""How one position is closed without ever reversing it: measure, order, settle, measure again.

A market order for the position leaves only when no order works in the instrument, and TWS's position and its executions
agree. The next one leaves only when the previous is settled and its fills show in a position requested afterwards. If
the two sources disagree, the smaller figure counts.
"""

from __future__ import annotations

import msgspec

from ibdesk.guardian.account import DUST, AccountSnapshot
from ibdesk.guardian.closing_orders import ClosingOrder, ClosingOrders

_SECOND = 1_000_000_000


class ReductionTimings(msgspec.Struct, frozen=True, kw_only=True):
    """The guardian's waiting times, in seconds."""

    # settle: the smallest distance of two looks that must agree.
    settle: float = 0.4
    # quiet: without an earlier agreement a position counts once no new execution has come for this long.
    quiet: float = 2.0
    # repeat_cancel: orders that still work are cancelled again after this long.
    repeat_cancel: float = 1.0
    # stuck: after this long, an order that does not leave or a position that does not shrink is alerted.
    stuck: float = 10.0
    # invisible: an order of ours that TWS does not show for this long is cancelled, and again after the same time.
    invisible: float = 5.0
    # dispute: a disagreement of position and executions is alerted after this long, and the smaller counts.
    dispute: float = 10.0
    # accept: after this long the position alone counts.
    accept: float = 30.0
    # retry_first, retry_last: pauses after a refused order, doubled each time.
    retry_first: float = 0.5
    retry_last: float = 30.0

    def passed(self, seconds: float, since_ns: int, now_ns: int) -> bool:
        """Return whether this many seconds lie between two readings of the clock."""
        return now_ns - since_ns >= seconds * _SECOND


class Reduction:
    """The reduction of one position to zero, or of the part that some runs hold.

    `baseline` is the position when `traded` was the day's net of executions, if known.
    """

    def __init__(
        self,
        con_id: int,
        patience: ReductionTimings,
        *,
        baseline: tuple[float, float] | None = None,
    ) -> None:
        self.con_id, self._patience = con_id, patience
        self._agreed = baseline
        self.order: ClosingOrder | None = None
        self.is_flat = False
        self.news: list[str] = []
        # _calm: the position and the net of executions on which the looks have agreed since _calm_since_ns.
        self._calm: tuple[float, float] | None = None
        self._calm_since_ns = self._news_ns = 0
        self._traded: float | None = None
        self._disputed_ns: int | None = None
        self._refusals = 0
        self._not_before_ns = 0
        self._told: set[str] = set()

    def see(self, look: AccountSnapshot, *, closing: ClosingOrders, share: float | None = None) -> float:
        """Process a snapshot; return the signed quantity to trade now, 0 if there is nothing to do.

        `closing` are the orders that may still be filled, of all plans; `share` is the signed part of the position to
        close, None for all of it.
        """
        self.is_flat = False
        is_settled = self._is_settled(look, closing)
        if not self._is_calm(look) or not is_settled:
            self._disputed_ns = None
            return 0.0
        held = self._held(look)
        if held is None:
            return 0.0
        wanted = _wanted(held, share)
        self.is_flat = abs(wanted) <= DUST
        if self.is_flat or look.asked_ns < self._not_before_ns:
            return 0.0
        return -wanted

    def sent(self, order: ClosingOrder) -> None:
        """Record that the order has left."""
        self.order = order

    def refused(self, at_ns: int, *, at_once: bool) -> None:
        """Record that TWS refused the order; the next attempt waits, unless it may leave `at_once`."""
        self._refusals += 1
        pause = min(self._patience.retry_first * 2.0 ** (self._refusals - 1), self._patience.retry_last)
        self._not_before_ns = at_ns if at_once else at_ns + int(pause * _SECOND)

    @property
    def refusals(self) -> int:
        """Return how often in a row TWS has refused to close the position."""
        return self._refusals

    def lost(self) -> None:
        """Record that the connection broke: a look after the break is not compared with one before it."""
        self._calm = None

    # --- inside

    def _is_settled(self, look: AccountSnapshot, closing: ClosingOrders) -> bool:
        """Return whether no guardian's order in the instrument can still be filled."""
        if self.order is not None and self.order.reference not in closing:
            if look.filled(self.order.reference) > DUST:
                self._refusals = 0
            self.order = None
        return not closing.works_in(self.con_id)

    def _is_calm(self, look: AccountSnapshot) -> bool:
        """Return whether no order has worked, and nothing has moved, for long enough.

        A look requests orders before executions: the fills of an order that was gone by then are in the look, unless
        TWS is slow to report them.
        """
        report, traded = look.held(self.con_id), look.traded(self.con_id)
        if traded != self._traded:
            self._traded, self._news_ns = traded, look.asked_ns
        if look.working(self.con_id):
            self._calm = None
            return False
        if self._calm != (report, traded):
            self._calm, self._calm_since_ns = (report, traded), look.asked_ns
        return self._patience.passed(self._patience.settle, self._calm_since_ns, look.asked_ns)

    def _held(self, look: AccountSnapshot) -> float | None:
        """Return the position, None while TWS's answers disagree on it."""
        report, traded = look.held(self.con_id), look.traded(self.con_id)
        if self._agreed is None:
            if not self._patience.passed(self._patience.quiet, self._news_ns, look.asked_ns):
                return None
            self._agreed = report, traded
            return report
        held, counted = self._agreed
        expected = held + traded - counted
        if abs(report - expected) <= DUST:
            self._agreed, self._disputed_ns = (report, traded), None
            return report
        return self._disputed(report, expected, look)

    def _disputed(self, report: float, expected: float, look: AccountSnapshot) -> float | None:
        if self._disputed_ns is None:
            self._disputed_ns = look.asked_ns
        if self._patience.passed(self._patience.accept, self._disputed_ns, look.asked_ns):
            self._agreed, self._disputed_ns = (report, look.traded(self.con_id)), None
            self._tell(f"its position of {report:g} counts, though executions lead to {expected:g}")
            return report
        if not self._patience.passed(self._patience.dispute, self._disputed_ns, look.asked_ns):
            return None
        self._tell(f"TWS reports a position of {report:g}, its executions lead to {expected:g}: the smaller counts")
        if report * expected <= 0:
            return None
        return min(report, expected, key=abs)

    def _tell(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self.news.append(text)


def _wanted(held: float, share: float | None) -> float:
    """Return the signed quantity to close: never more than the position, never its opposite."""
    if share is None:
        return held
    if share * held <= 0:
        return 0.0
    return min(share, held, key=abs)
