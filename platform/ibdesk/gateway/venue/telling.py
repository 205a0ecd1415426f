"""What happens to orders, passed on: to those who keep count of it first, then to the audience."""

from __future__ import annotations

from collections.abc import Callable

from ibdesk.gateway.venue.records import Audience, Execution, Keeper, OrderRecord


class Telling:
    """Tells the `keeper` and the `count` of every order that changes, and the `audience` what clients are told.

    Another audience or keeper may be put in the place of the first at any time.
    """

    def __init__(self, audience: Audience, count: Callable[[OrderRecord], None]) -> None:
        self.audience = audience
        self.keeper: Keeper = Nobody()
        self._count = count

    def changed(self, record: OrderRecord, *, at_once: bool = True) -> None:
        """Note that an order is changing now; without `at_once` clients may hear of it before it is kept."""
        self._count(record)
        self.keeper.order(record, at_once=at_once)

    def show(self, record: OrderRecord) -> None:
        """Tell of an order as it stands, and its status."""
        record.shown += 1
        self.changed(record)
        if record.hearers:
            self.audience.order(record)
            self.audience.status(record)

    def acknowledge(self, record: OrderRecord, *, with_status: bool) -> None:
        """Tell of an order for the first time."""
        record.shown += 1
        self.changed(record)
        if record.hearers:
            self.audience.order(record)
            if with_status:
                self.audience.status(record)

    def status(self, record: OrderRecord) -> None:
        """Tell the status of an order."""
        if record.hearers:
            self.audience.status(record)

    def error(self, record: OrderRecord, code: int, text: str) -> None:
        """Tell an error that carries the order's id."""
        for client_id in record.hearers:
            self.audience.error(client_id, record.told_id, code, text)

    def execution(self, execution: Execution) -> None:
        """Tell of an execution."""
        if execution.record.hearers:
            self.audience.execution(execution)

    def charged(self, execution: Execution) -> None:
        """Tell what an execution cost, and that it has changed the account."""
        if execution.record.hearers:
            self.audience.commission(execution)
        self.audience.account(execution.record.account, execution.contract)


class Nobody:
    """The keeper of a gateway that keeps nothing."""

    def order(self, record: OrderRecord, *, at_once: bool = True) -> None:
        """Keep nothing."""

    def execution(self, place: int, execution: Execution) -> None:
        """Keep nothing."""

    def ids(self) -> None:
        """Keep nothing."""
