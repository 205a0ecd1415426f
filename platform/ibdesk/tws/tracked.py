"""One order of ours as TWS reports it: its last state, its working terms, its executions."""

from __future__ import annotations

import msgspec

from ibdesk.model import FINAL_STATUSES, Fill, Order, OrderReport, OrderStatus
from ibdesk.tws.orders import Terms, status_from, terms_of

_ON_ITS_WAY = frozenset({"", "PendingSubmit", "ApiPending"})


class Tracked:
    """Our requests and TWS's messages about one order; `report` combines them into one value.

    `number` is IB's order id, which is meaningful only together with `client_id`.
    """

    __slots__ = (
        "_asked",
        "acknowledged",
        "by_other",
        "cancel_reason",
        "cancel_wanted",
        "client_id",
        "filled",
        "given_up",
        "is_unknown",
        "missed_at",
        "number",
        "order",
        "permanent_id",
        "refusal",
        "reported",
        "sent_ns",
        "terms",
        "time_in_force",
        "was_refused",
        "why_held",
        "word",
    )

    def __init__(self, order: Order, number: int, client_id: int) -> None:
        self.order = order
        self.number = number
        self.client_id = client_id
        self.permanent_id = order.permanent_id
        # IB's name of the state, from `orderStatus`; empty before the first.
        self.word = ""
        self.why_held = ""
        # The terms at which TWS works the order, from `openOrder`.
        self.terms: Terms | None = None
        # IB's last word for the time in force.
        self.time_in_force = ""
        self.filled = order.filled
        # All terms that this desk has requested.
        self._asked = {terms_of(order)}
        # Someone else has cancelled the order or changed its terms, and that is not reported yet.
        self.by_other = False
        # TWS has shown that the order exists there.
        self.acknowledged = order.status in (OrderStatus.HELD, OrderStatus.WORKING) or order.filled > 0
        # TWS said that the order does not exist and will not.
        self.was_refused = False
        self.refusal = ""
        self.cancel_reason = ""
        self.cancel_wanted = False
        self.is_unknown = order.status is OrderStatus.UNKNOWN
        self.sent_ns = order.created_ns
        # When a comparison first did not find it, on the loop's clock; None while it was found.
        self.missed_at: float | None = None
        # The final status of an order that TWS does not list.
        self.given_up: OrderStatus | None = None
        self.reported: OrderReport | None = None

    @property
    def status(self) -> OrderStatus | None:
        """Return the status, None until a message of TWS settles it."""
        if self.is_complete:
            return OrderStatus.FILLED
        if self.given_up is not None:
            return self.given_up
        if self.is_unknown:
            return OrderStatus.UNKNOWN
        if self.was_refused and self.is_unsettled:
            return OrderStatus.REJECTED
        if not self.word and self.order.status in FINAL_STATUSES:
            # It ended in an earlier journal.
            return self.order.status
        return status_from(self.word, refused=bool(self.refusal) and not self.cancel_wanted)

    @property
    def is_unsettled(self) -> bool:
        """Return whether TWS has reported at most that the order is on its way."""
        return self.word in _ON_ITS_WAY

    @property
    def _has_failed(self) -> bool:
        """Whether TWS reported an error while the order was on its way."""
        return bool(self.refusal) and self.is_unsettled

    @property
    def is_complete(self) -> bool:
        """Return whether executions add up to the quantity."""
        quantity = self.terms.quantity if self.terms else self.order.quantity
        return quantity - self.filled <= quantity * 1e-9

    @property
    def is_done(self) -> bool:
        """Return whether the status is final."""
        return self.status in FINAL_STATUSES

    @property
    def misses_executions(self) -> bool:
        """Return whether TWS reports it as filled and some executions are missing."""
        return self.word == "Filled" and not self.is_complete

    @property
    def is_being_modified(self) -> bool:
        """Return whether we requested terms that TWS does not work yet."""
        return self.terms is not None and self.terms != terms_of(self.order)

    def heard(self, word: str, why_held: str = "") -> None:
        """Process IB's word for the state."""
        # PendingCancel says nothing about the order, only about our cancel.
        if word == "PendingCancel":
            return
        self.was_found()
        if word in ("Submitted", "PreSubmitted"):
            self.refusal = ""
        self.word, self.why_held = word, why_held

    def was_found(self) -> None:
        """Note that TWS knows the order, whatever was concluded before."""
        self.acknowledged = True
        self.is_unknown = False
        self.missed_at = self.given_up = None

    def expire(self) -> None:
        """Conclude that the order has ended with its day."""
        self.is_unknown = False
        self.given_up = OrderStatus.EXPIRED

    def give_up(self, *, by_hand: bool) -> None:
        """Conclude that TWS does not have the order: its remainder was cancelled, or it never arrived.

        It never arrived if TWS never showed it or reported an error while it was on its way, unless a person gives it
        up (`by_hand`).
        """
        self.is_unknown = False
        has_lived = self.acknowledged and (self.filled > 0 or not self._has_failed)
        self.given_up = OrderStatus.CANCELLED if has_lived or by_hand else OrderStatus.REJECTED

    def ask(self, order: Order) -> None:
        """Request the terms of `order`."""
        self.order = order
        self._asked.add(terms_of(order))

    def show(self, terms: Terms) -> None:
        """Process the terms at which TWS works the order; terms that we never requested are another client's change."""
        if self.terms is not None and terms != self.terms and terms not in self._asked:
            self.by_other = True
            self.terms = terms
            self.keep_terms()
        self.terms = terms

    def keep_terms(self) -> None:
        """Give up a refused modification: the working terms become the order's terms."""
        if self.terms is not None:
            self.order = msgspec.structs.replace(
                self.order,
                quantity=self.terms.quantity,
                limit_price=self.terms.limit_price,
                stop_price=self.terms.stop_price,
            )

    def book(self, fill: Fill) -> None:
        """Add an execution; one of the opposite side reverses an earlier one (a correction)."""
        self.was_found()
        self.filled += fill.quantity if fill.side is self.order.side else -fill.quantity

    def report(self, at_ns: int, *, reason: str = "") -> OrderReport | None:
        """Return the report that is due, None if nothing has changed; `reason` replaces the state's own reason."""
        status = self.status
        if status is None or (status is OrderStatus.SENT and self._is_beyond_sent()):
            return None
        terms = self.terms
        report = OrderReport(
            order_id=self.order.id,
            status=status,
            at_ns=at_ns,
            permanent_id=self.permanent_id,
            reason=reason or self._reason(status),
            quantity=terms.quantity if terms else None,
            limit_price=terms.limit_price if terms else None,
            stop_price=terms.stop_price if terms else None,
            by_other=self.by_other,
        )
        if self.reported is not None and report == msgspec.structs.replace(self.reported, at_ns=at_ns):
            return None
        self.reported, self.by_other = msgspec.structs.replace(report, by_other=False), False
        return report

    def _is_beyond_sent(self) -> bool:
        return self.reported is not None and self.reported.status is not OrderStatus.SENT

    def _reason(self, status: OrderStatus) -> str:
        if status is self.given_up is OrderStatus.EXPIRED:
            return "its day is over: TWS lists it nowhere, and the account holds what its executions say"
        if status is self.given_up and not (status is OrderStatus.REJECTED and self._has_failed):
            return "TWS knows it neither among its open nor its completed orders nor its executions"
        match status:
            case OrderStatus.REJECTED:
                return self.refusal
            case OrderStatus.CANCELLED:
                return self.cancel_reason
            case OrderStatus.HELD:
                return self.why_held
            case OrderStatus.UNKNOWN:
                return self.refusal if self._has_failed else "no answer from TWS"
        return ""
