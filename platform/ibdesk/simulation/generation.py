"""The checker's record of one generation of an engine."""

from __future__ import annotations

import collections
import contextlib
import sqlite3

from ibdesk.model import ModifyOrder, PlaceOrder, decode_actions
from ibdesk.simulation.engine_process import EngineProcess


class EngineGeneration:
    """One generation of an engine: the state of its link, its orders and reports, and the content of its journal."""

    def __init__(self, engine: EngineProcess, began_ns: int) -> None:
        self.began_ns = began_ns
        self.link, self.was_up, self.syncing_ns, self.up_ns = "", False, 0, 0
        # sent: how often each order was given to the socket, with its first or with other terms.
        self.sent: collections.Counter[str] = collections.Counter()
        # quantities: the size of each order as it last left.
        self.quantities: dict[str, float] = {}
        # opened_ns: when opening orders left in the last second.
        self.opened_ns: list[int] = []
        # keys: the order of each client key.
        self.keys: dict[str, str] = {}
        # fills: signed quantity and price by execution id, as the desk reports them.
        self.fills: dict[str, tuple[float, float]] = {}
        self._engine = engine
        self._connection: sqlite3.Connection | None = None
        self._read = 0
        self._recorded: collections.Counter[str] = collections.Counter()

    def recorded(self) -> collections.Counter[str]:
        """Return how often the placing or changing of each order is in the journal's file."""
        if self._connection is None:
            assert self._engine.journal is not None  # noqa: S101 - it has sent something
            address = f"{self._engine.journal.absolute().as_uri()}?mode=ro"
            self._connection = sqlite3.connect(address, uri=True, isolation_level=None)
        query = "SELECT number, actions FROM events WHERE number > ? AND actions IS NOT NULL"
        for number, actions in self._connection.execute(query, (self._read,)):
            self._read = number
            for action in decode_actions(actions):
                if isinstance(action, PlaceOrder):
                    self._recorded[action.order.id] += 1
                elif isinstance(action, ModifyOrder):
                    self._recorded[action.order_id] += 1
        return self._recorded

    def unrecorded(self) -> set[str]:
        """Return the sent orders that are missing in the journal's file after a loss of power."""
        self.close()
        self._connection, self._read, self._recorded = None, 0, collections.Counter()
        return self.sent.keys() - self.recorded().keys()

    def close(self) -> None:
        """Close the journal."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
