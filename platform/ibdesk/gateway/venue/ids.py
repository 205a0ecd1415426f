"""The ids of orders and executions."""

from __future__ import annotations

import zlib

from ibdesk.gateway.refusal import RefusedError
from ibdesk.gateway.venue.memory import IdsMemory


class VenueIds:
    """Order ids by client, permanent ids, and the ids of executions.

    `started_ns` (ns UTC) and `seed` make the execution and permanent ids of different runs differ, so that a client
    which stores them does not take an execution of this run for an earlier one.
    """

    def __init__(self, *, started_ns: int, seed: int) -> None:
        self._highest: dict[int, int] = {}
        self._started = f"{started_ns} {seed}"
        self._starts = 0
        self._run = _run_of(self._started)
        # One billion plus the milliseconds of the start: as long as IB's ids, and within 32 bits.
        self._permanent = 1_000_000_000 + started_ns // 1_000_000 % 1_000_000_000
        self._at_exchange = 0
        self._by_venue = 0

    def next_order_id(self, client_id: int) -> int:
        """Return the lowest order id that the client may use."""
        return self._highest.get(client_id, 0) + 1

    def set_next_order_id(self, client_id: int, order_id: int) -> None:
        """Set the result of `next_order_id`; it may be lower than the ids used so far."""
        self._highest[client_id] = order_id - 1

    def use(self, client_id: int, order_id: int) -> None:
        """Note that a client used an order id.

        Raises:
            RefusedError: If it, or a higher one, was used before (103, documented).
        """
        if order_id < self.next_order_id(client_id):
            raise RefusedError(103, "Duplicate order ID.")
        self._highest[client_id] = order_id

    def permanent(self) -> int:
        """Return a permanent id that no other order has."""
        self._permanent += 1
        return self._permanent

    def at_exchange(self) -> str:
        """Return a new name for an order at the exchange. It differs each time."""
        self._at_exchange += 1
        return str(self._at_exchange)

    def memory(self) -> IdsMemory:
        """Return the state from which a later run continues."""
        return IdsMemory(dict(self._highest), self._permanent, self._starts)

    def restore(self, memory: IdsMemory) -> None:
        """Continue from an earlier run. New execution ids differ from its ids, even with the same start and seed."""
        self._highest = dict(memory.order_ids)
        self._permanent = max(self._permanent, memory.permanent)
        self._starts = memory.starts + 1
        self._run = _run_of(f"{self._started} {self._starts}")

    def execution(self, of_exchange: str) -> str:
        """Return the id of an execution at the exchange. Like IB's, it ends in the number of the correction."""
        return f"{self._run}.{of_exchange}.01"

    def own_execution(self) -> str:
        """Return the id of an execution that did not happen at the exchange."""
        self._by_venue += 1
        return f"{self._run}.f{self._by_venue:07x}.01.01"


def _run_of(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"


def corrected(execution_id: str) -> str:
    """Return the id of the next correction of an execution: the last part is incremented (captured)."""
    stem, _, number = execution_id.rpartition(".")
    return f"{stem}.{int(number) + 1:02d}"
