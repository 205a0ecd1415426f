"""What happens to orders, passed on: to those who keep count of it first, then to the listener."""

from __future__ import annotations

from collections.abc import Callable

from ibdesk.gateway.venue.records import Execution, OrderRecord, StateRecorder, VenueListener


class Notifier:
    """Tells the `recorder` and the `count` of every order that changes, and the `listener` what clients are told.

    Another listener or recorder may be put in the place of the first at any time.
    """

    def __init__(self, listener: VenueListener, count: Callable[[OrderRecord], None]) -> None:
        self.listener = listener
        self.recorder: StateRecorder = NullRecorder()
        self._count = count

    def changed(self, record: OrderRecord, *, at_once: bool = True) -> None:
        """Note that an order is changing now; without `at_once` clients may hear of it before it is kept."""
        self._count(record)
        self.recorder.order(record, at_once=at_once)

    def show(self, record: OrderRecord) -> None:
        """Tell of an order as it stands, and its status."""
        record.shown += 1
        self.changed(record)
        if record.informed_clients:
            self.listener.order(record)
            self.listener.status(record)

    def acknowledge(self, record: OrderRecord, *, with_status: bool) -> None:
        """Tell of an order for the first time."""
        record.shown += 1
        self.changed(record)
        if record.informed_clients:
            self.listener.order(record)
            if with_status:
                self.listener.status(record)

    def status(self, record: OrderRecord) -> None:
        """Tell the status of an order."""
        if record.informed_clients:
            self.listener.status(record)

    def error(self, record: OrderRecord, code: int, text: str) -> None:
        """Tell an error that carries the order's id."""
        for client_id in record.informed_clients:
            self.listener.error(client_id, record.reported_id, code, text)

    def execution(self, execution: Execution) -> None:
        """Tell of an execution."""
        if execution.record.informed_clients:
            self.listener.execution(execution)

    def charged(self, execution: Execution) -> None:
        """Tell what an execution cost, and that it has changed the account."""
        if execution.record.informed_clients:
            self.listener.commission(execution)
        self.listener.account(execution.record.account, execution.contract)


class NullRecorder:
    """The recorder of a gateway that keeps nothing."""

    def order(self, record: OrderRecord, *, at_once: bool = True) -> None:
        """Keep nothing."""

    def execution(self, place: int, execution: Execution) -> None:
        """Keep nothing."""

    def ids(self) -> None:
        """Keep nothing."""
