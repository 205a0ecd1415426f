"""Our orders at TWS: which order a message means, and the reports of its changes."""

from __future__ import annotations

from collections.abc import Callable

from ib_async.order import Order as IbOrder
from ib_async.order import OrderState

from ibdesk.errors import OrderError
from ibdesk.model import Event, Fill, Notice, Order, OrderReport, OrderStatus, Severity
from ibdesk.tws import codes
from ibdesk.tws.interventions import Interventions
from ibdesk.tws.missing_orders import MissingOrders
from ibdesk.tws.orders import changes_between, terms_from, terms_of, time_in_force_word
from ibdesk.tws.settings import TwsSettings
from ibdesk.tws.tracked import Tracked


class OrderBook:
    """The orders placed here and those of earlier desks; orders of other programs are ignored.

    A message names an order by our id (`orderRef`), by IB's permanent id, or by client id and number. The permanent id
    has precedence, because after a cancel by another client IB reports that client's id.
    """

    def __init__(
        self,
        settings: TwsSettings,
        tell: Callable[[Event], None],
        now_ns: Callable[[], int],
        is_spent: Callable[[Order, int], bool],
    ) -> None:
        self.client_id = settings.client_id
        self._tell = tell
        self._now_ns = now_ns
        self._interventions = Interventions(self._report)
        self._by_id: dict[str, Tracked] = {}
        # The owners of these orders.
        self.owners: set[str] = set()
        self._by_number: dict[int, Tracked] = {}
        self._by_permanent_id: dict[int, Tracked] = {}
        self.missing = MissingOrders(
            settings, report=self._report, notice=self._notice, now_ns=now_ns, is_spent=is_spent
        )
        # Orders of another client id that were reported as such.
        self._elsewhere: set[str] = set()
        # Orders that TWS reports as filled while executions are missing.
        self._short: set[str] = set()
        # Orders whose cancel TWS has refused, with its text, until a comparison shows their state.
        self._not_cancelled: dict[str, str] = {}

    def __contains__(self, order_id: str) -> bool:
        return order_id in self._by_id

    @property
    def short_of_executions(self) -> frozenset[str]:
        """Return the orders that TWS reports as filled while executions are missing."""
        return frozenset(self._short)

    def add(self, order: Order, number: int) -> Tracked:
        """Track an order that is about to be sent under `number`.

        Raises:
            OrderError: If it was added before: an intent is never sent twice.
        """
        if order.id in self._by_id:
            raise OrderError(f"order {order.id} was sent before: give a new order a new id")
        tracked = self._by_id[order.id] = self._by_number[number] = Tracked(order, number, self.client_id)
        self.owners.add(order.owner)
        return tracked

    def note_sent(self, tracked: Tracked) -> None:
        """Note that an order is sent now."""
        tracked.sent_ns = self._now_ns()

    def adopt(self, order: Order, *, is_withdrawn: bool = False) -> None:
        """Track an order of an earlier desk, open or ended; its number comes with TWS's first message about it.

        `is_withdrawn` means that the earlier desk requested its cancel.
        """
        tracked = self._by_id[order.id] = Tracked(order, 0, self.client_id)
        tracked.cancel_wanted = is_withdrawn
        self.owners.add(order.owner)
        if order.permanent_id:
            self._by_permanent_id[order.permanent_id] = tracked

    def permanent_id_of(self, order_id: str) -> int | None:
        """Return TWS's permanent id of an order, 0 while it is not known; None for an order that is not ours."""
        tracked = self._by_id.get(order_id)
        return None if tracked is None else tracked.permanent_id

    def of(self, order_id: str) -> Tracked:
        """Return the tracked order with this id.

        Raises:
            OrderError: If it was neither placed here nor adopted.
        """
        try:
            return self._by_id[order_id]
        except KeyError:
            raise OrderError(f"order {order_id} is not known: it was never placed here") from None

    def with_number(self, number: int) -> Tracked | None:
        """Return the order with this number in the program's connections."""
        return self._by_number.get(number)

    def open_order(self, number: int, order: IbOrder) -> None:
        """Process the terms at which TWS works an order (its `openOrder`)."""
        tracked = self._by_id.get(order.orderRef)
        if tracked is None or (order.permId and tracked.permanent_id not in (0, order.permId)):
            # The latter is another order under our name, for which trading is halted.
            return
        self._identify(tracked, number, order.clientId, order.permId)
        tracked.acknowledged = True
        if not self.is_mine(tracked) and tracked.order.id not in self._elsewhere:
            self._elsewhere.add(tracked.order.id)
            self._notice(
                tracked,
                f"was placed under client id {tracked.client_id}: it is followed, but only a desk under that id, or a "
                f"person in TWS, can change or withdraw it",
                Severity.WARNING,
            )
        self._tell_changed(tracked, order)
        tracked.show(terms_from(order, tracked.order))
        if tracked.reported is not None and tracked.word:
            self._report(tracked)

    def _tell_changed(self, tracked: Tracked, order: IbOrder) -> None:
        """Report changes by TWS, or by a person there, that we did not request."""
        asked = terms_of(tracked.order)
        for change in changes_between(tracked.terms or asked, terms_from(order, tracked.order), asked):
            self._notice(tracked, f"is worked at {change}, which was not asked for here", Severity.WARNING)
        word = time_in_force_word(tracked.order)
        if order.tif not in ("", word, tracked.time_in_force):
            self._notice(tracked, f"is worked as {order.tif}, where {word} was asked for", Severity.WARNING)
        tracked.time_in_force = order.tif

    def mention(self, fields: list[str]) -> None:
        """Note that TWS lists an order in a row of which only our id can be read: the order exists."""
        for field in fields:
            tracked = self._by_id.get(field)
            if tracked is not None:
                self.missing.found(tracked)

    def status(self, number: int, word: str, *, permanent_id: int, client_id: int, why_held: str) -> None:
        """Process TWS's word for the state of an order (its `orderStatus`)."""
        tracked = self._by_permanent_id.get(permanent_id) if permanent_id else None
        if tracked is None and client_id == self.client_id:
            tracked = self._by_number.get(number)
        if tracked is None:
            return
        self._identify(tracked, tracked.number, tracked.client_id, permanent_id)
        if self._interventions.holds_back(tracked, word, client_id=client_id):
            return
        tracked.heard(word, why_held)
        if tracked.misses_executions:
            self._short.add(tracked.order.id)
        self._report(tracked)

    def completed(self, order: IbOrder, state: OrderState) -> None:
        """Process an order that is no longer open (TWS's `completedOrder`)."""
        tracked = self._by_permanent_id.get(order.permId) or self._by_id.get(order.orderRef)
        if tracked is None:
            return
        self._identify(tracked, tracked.number, tracked.client_id, order.permId)
        self._interventions.note_completed(tracked, state.completedStatus)
        if not tracked.is_done:
            tracked.cancel_reason = state.completedStatus
            tracked.heard(state.status)
        self._report(tracked)

    def fill(self, fill: Fill) -> None:
        """Count an execution, and report the order if it is complete."""
        tracked = self._by_id.get(fill.order_id)
        if tracked is None:
            return
        self.missing.found(tracked)
        tracked.book(fill)
        if tracked.is_complete:
            self._short.discard(fill.order_id)
            self._report(tracked)

    def error(self, tracked: Tracked, code: int, text: str) -> bool:
        """Process an error that names an order; return whether the book must then be compared with TWS."""
        sentence = f"{text} (TWS error {code})"
        if code in codes.ORDER_INFORMATION:
            self._notice(tracked, sentence, Severity.INFO)
        elif code == codes.CANCELLED:
            self._explain_cancel(tracked, text)
        elif code in codes.CANCEL_REFUSED:
            tracked.cancel_wanted = False
            self._notice(tracked, sentence, Severity.WARNING)
            # It may be filled by now: only a comparison shows whether it is still open.
            self._not_cancelled[tracked.order.id] = sentence
            return not tracked.is_done
        elif code in codes.NOT_TAKEN and not tracked.acknowledged:
            tracked.was_refused, tracked.refusal = True, sentence
            self._report(tracked)
        elif tracked.is_being_modified:
            tracked.keep_terms()
            self.tell_kept_terms(tracked, sentence)
            return True
        else:
            if code in codes.NOT_TAKEN or tracked.is_unsettled:
                tracked.refusal = sentence
            self._notice(tracked, sentence, Severity.WARNING)
            if tracked.word == "Inactive":
                self._report(tracked)
            return not tracked.is_done
        return False

    def never_sent(self, tracked: Tracked, status: OrderStatus, reason: str) -> None:
        """Report the end of an order whose bytes never left."""
        tracked.was_refused = True
        tracked.refusal = reason
        tracked.reported = OrderReport(order_id=tracked.order.id, status=status, at_ns=self._now_ns(), reason=reason)
        self._tell(tracked.reported)

    def to_cancel(self) -> list[Tracked]:
        """Return the open orders whose cancel was requested and not answered: it may never have left."""
        return [tracked for tracked in self._by_id.values() if tracked.cancel_wanted and not tracked.is_done]

    def begin_comparison(self, *, after_break: bool) -> None:
        """Start to note which open orders TWS mentions.

        After a break of the link all are compared, and each is reported again. Otherwise an order whose answer is not
        overdue yet is left out.
        """
        asked_for = [
            tracked
            for tracked in self._by_id.values()
            if not tracked.is_done and (after_break or tracked.acknowledged or tracked.is_unknown or tracked.refusal)
        ]
        if after_break:
            for tracked in asked_for:
                tracked.reported = None
        self.missing.begin(asked_for)

    def end_comparison(self, *, is_complete: bool) -> None:
        """Settle the open orders that TWS did not mention.

        Without `is_complete` TWS left out a part of its answers, so missing orders prove nothing.
        """
        self.missing.end(is_complete=is_complete)
        refused, self._not_cancelled = self._not_cancelled, {}
        for order_id, sentence in refused.items():
            self._tell_still_there(self._by_id[order_id], sentence)

    def _identify(self, tracked: Tracked, number: int, client_id: int, permanent_id: int) -> None:
        self.missing.found(tracked)
        tracked.number, tracked.client_id = number, client_id
        if client_id == self.client_id and number > 0:
            self._by_number[number] = tracked
        if permanent_id:
            tracked.permanent_id = permanent_id
            self._by_permanent_id[permanent_id] = tracked

    def modification_not_sent(self, tracked: Tracked, reason: str) -> None:
        """Report that an order keeps its terms because the new ones never left."""
        tracked.keep_terms()
        self.tell_kept_terms(tracked, reason)

    def cancel_not_sent(self, tracked: Tracked, reason: str) -> None:
        """Report that an order could not be cancelled."""
        tracked.cancel_wanted = False
        text = f"cannot be cancelled: {reason}"
        self._notice(tracked, text, Severity.ERROR)
        self._tell_still_there(tracked, text)

    def is_mine(self, tracked: Tracked) -> bool:
        """Return whether the order was placed under this program's client id: only such orders can be changed."""
        return tracked.client_id == self.client_id

    def _explain_cancel(self, tracked: Tracked, text: str) -> None:
        # "Order Canceled - reason:", mostly with nothing behind the colon.
        reason = text.partition("reason:")[2].strip()
        if self._interventions.explain(tracked, reason):
            return
        tracked.cancel_reason = reason
        if tracked.status is OrderStatus.CANCELLED:
            self._report(tracked)

    def _tell_still_there(self, tracked: Tracked, reason: str) -> None:
        """Report that an order is still open although its cancel was requested."""
        if not tracked.is_done:
            tracked.reported = None
            self._report(tracked, reason=reason)

    def tell_kept_terms(self, tracked: Tracked, reason: str) -> None:
        """Report why an order keeps its terms although a change was requested."""
        text = f"keeps its terms: {reason}"
        self._notice(tracked, text, Severity.WARNING)
        if tracked.is_done:
            return
        tracked.reported = None
        if tracked.status is None:
            # TWS has not shown it yet.
            at_ns = self._now_ns()
            self._tell(OrderReport(order_id=tracked.order.id, status=OrderStatus.SENT, at_ns=at_ns, reason=text))
        else:
            self._report(tracked, reason=text)

    def _report(self, tracked: Tracked, *, reason: str = "") -> None:
        report = tracked.report(self._now_ns(), reason=reason)
        if report is not None:
            self._tell(report)

    def _notice(self, tracked: Tracked, text: str, severity: Severity) -> None:
        self._tell(Notice(f"order {tracked.order.id}: {text}", self._now_ns(), severity))
