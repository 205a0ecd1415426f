"""Reports of order events: to the state recorder and the margin count first, then to clients."""

from __future__ import annotations

from collections.abc import Callable

from ibdesk.gateway.venue.records import Execution, OrderRecord, StateRecorder, VenueListener


class Notifier:
    """Reports each order change to `recorder` and `count`, and to `listener` what clients receive.

    `listener` and `recorder` may be replaced at any time.
    """

    def __init__(self, listener: VenueListener, count: Callable[[OrderRecord], None]) -> None:
        self.listener = listener
        self.recorder: StateRecorder = NullRecorder()
        self._count = count

    def changed(self, record: OrderRecord, *, at_once: bool = True) -> None:
        """Note that an order is changing now. Without `at_once` clients may be told before the change is stored."""
        self._count(record)
        self.recorder.order(record, at_once=at_once)

    def show(self, record: OrderRecord) -> None:
        """Report an order and its status."""
        record.shown += 1
        self.changed(record)
        if record.informed_clients:
            self.listener.order(record)
            self.listener.status(record)

    def acknowledge(self, record: OrderRecord, *, with_status: bool) -> None:
        """Report an order for the first time."""
        record.shown += 1
        self.changed(record)
        if record.informed_clients:
            self.listener.order(record)
            if with_status:
                self.listener.status(record)

    def status(self, record: OrderRecord) -> None:
        """Report the status of an order."""
        if record.informed_clients:
            self.listener.status(record)

    def error(self, record: OrderRecord, code: int, text: str) -> None:
        """Report an error that carries the order's id."""
        for client_id in record.informed_clients:
            self.listener.error(client_id, record.reported_id, code, text)

    def execution(self, execution: Execution) -> None:
        """Report an execution."""
        if execution.record.informed_clients:
            self.listener.execution(execution)

    def charged(self, execution: Execution) -> None:
        """Report the commission of an execution, and the change of the account."""
        if execution.record.informed_clients:
            self.listener.commission(execution)
        self.listener.account(execution.record.account, execution.contract)


class NullRecorder:
    """The recorder of a gateway without a state file."""

    def order(self, record: OrderRecord, *, at_once: bool = True) -> None:
        """Do nothing."""

    def execution(self, place: int, execution: Execution) -> None:
        """Do nothing."""

    def ids(self) -> None:
        """Do nothing."""
