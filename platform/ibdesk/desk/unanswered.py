"""Changes and cancels that the venue has not answered yet, and notices about late answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from ibdesk.engine import Blotter
from ibdesk.model import Action, CancelOrder, Event, ModifyOrder, Notice, Order, OrderReport, Severity, moment


class Asked(msgspec.Struct):
    """A request to the venue about an order: a change or a cancel, its time (ns UTC), and the order's terms then."""

    what: str
    since_ns: int
    terms: tuple[float, float | None, float | None]
    is_told: bool = False


class Unanswered:
    """The changes and cancels that the venue has not answered while the order is open.

    A change is answered by other terms, or by a reason why the old ones stay; a cancel by a reason for its refusal.
    """

    _ASKS: ClassVar[dict[type, str]] = {ModifyOrder: "change", CancelOrder: "cancel"}

    def __init__(self, blotter: Blotter) -> None:
        self._blotter = blotter
        self._asked: dict[str, Asked] = {}

    def __len__(self) -> int:
        return len(self._asked)

    def of(self, order_id: str) -> Asked | None:
        """Return the request about an order that the venue has not answered yet."""
        return self._asked.get(order_id)

    def note(self, event: Event, actions: Sequence[Action], at_ns: int) -> None:
        """Note the requests and answers of an event."""
        if self._asked and isinstance(event, OrderReport):
            self._answered(event)
        for action in actions:
            what = self._ASKS.get(action.__class__)
            if what is not None and isinstance(action, ModifyOrder | CancelOrder):
                self._ask(what, action, at_ns)
        if self._asked:
            self._forget_ended()

    def overdue(self, now_ns: int, seconds: float) -> list[Notice]:
        """Return a notice on each request that has waited for `seconds`, once."""
        late = [
            (order_id, asked)
            for order_id, asked in self._asked.items()
            if not asked.is_told and now_ns - asked.since_ns >= seconds * 1e9
        ]
        for _, asked in late:
            asked.is_told = True
        return [Notice(_late_words(order_id, asked, now_ns), now_ns, Severity.WARNING) for order_id, asked in late]

    def _ask(self, what: str, action: ModifyOrder | CancelOrder, at_ns: int) -> None:
        order = self._blotter.orders.get(action.order_id)
        if order is None or not order.is_open or (isinstance(action, ModifyOrder) and _is_as(order, action)):
            return
        before = self._asked.get(order.id)
        if before is None or before.what != what:
            self._asked[order.id] = Asked(what, at_ns, _terms(order))

    def _answered(self, report: OrderReport) -> None:
        asked, order = self._asked.get(report.order_id), self._blotter.orders.get(report.order_id)
        if asked is None or order is None:
            return
        if report.reason or (asked.what == "change" and _terms(order) != asked.terms):
            del self._asked[report.order_id]

    def _forget_ended(self) -> None:
        for order_id in [each for each in self._asked if not self._blotter.orders[each].is_open]:
            del self._asked[order_id]


def _is_as(order: Order, action: ModifyOrder) -> bool:
    """Return whether a change requests the terms that the order already has."""
    return _terms(order) == _terms(action)


def _terms(order: Order | ModifyOrder) -> tuple[float, float | None, float | None]:
    return order.quantity, order.limit_price, order.stop_price


def _late_words(order_id: str, asked: Asked, now_ns: int) -> str:
    seconds = (now_ns - asked.since_ns) / 1e9
    return (
        f"order {order_id}: the venue has not answered its {asked.what} for {seconds:.0f} s (asked at "
        f"{moment(asked.since_ns):%H:%M:%S} UTC): it may still fill as it was; look it up in TWS"
    )
