"""What can be made to go wrong, by hand: the socket, the link to the market, the next order, executions, order ids."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Protocol

LOST = "Connectivity between IBKR and Trader Workstation has been lost."
RESTORED_LOST = "Connectivity between IBKR and Trader Workstation has been restored - data lost."
RESTORED_KEPT = (
    "Connectivity between IBKR and Trader Workstation has been restored - data maintained. "
    "All data farms are connected: usfarm; ushmds; secdefnj."
)


class Faulty(Protocol):
    """What the faults need of the gateway."""

    def hang_up(self, client_id: int | None) -> None:
        """Close sockets."""

    def cut_link(self) -> None:
        """Stop telling clients of market and orders."""

    def restore_link(self, *, data_kept: bool) -> None:
        """Tell them again."""

    def tell_all(self, code: int, text: str) -> None:
        """Send an error to every client."""

    def reject_next(self, reason: str) -> None:
        """Refuse the next order."""

    def roll_back(self, order_id: int, client_id: int | None) -> None:
        """Change the next order id."""


class Faults:
    """The switches of one gateway. Each may be used from any thread; it takes effect before the call returns.

    `refuses_connections` and `duplicates_executions` tell how the lasting ones stand.
    """

    def __init__(self, gateway: Faulty) -> None:
        self._gateway = gateway
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self.refuses_connections = False
        self.duplicates_executions = False

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let the faults take effect on this loop; called from its thread."""
        self._loop, self._thread = loop, threading.get_ident()

    def hang_up(self, client_id: int | None = None) -> None:
        """Close the socket of one client, or of all, at once."""
        self._do(lambda: self._gateway.hang_up(client_id))

    def refuse(self, refuses: bool = True) -> None:
        """Accept no connection from now on, or accept them again."""
        self.refuses_connections = refuses

    def lose_connectivity(self) -> None:
        """Cut TWS off from the market: error 1100, and no word of market or orders until `restore`.

        The market goes on meanwhile: orders are taken and filled, and only a request for executions or open orders
        shows it.
        """

        def lose() -> None:
            self._gateway.cut_link()
            self._gateway.tell_all(1100, LOST)

        self._do(lose)

    def restore(self, *, data_kept: bool = True) -> None:
        """Connect TWS again: error 1102, or 1101 after which every market-data subscription is gone."""

        def restore() -> None:
            self._gateway.restore_link(data_kept=data_kept)
            code, text = (1102, RESTORED_KEPT) if data_kept else (1101, RESTORED_LOST)
            self._gateway.tell_all(code, text)

        self._do(restore)

    def reject_next_order(self, reason: str = "rejected on request") -> None:
        """Refuse the next new order of any client with error 201 and this reason."""
        self._do(lambda: self._gateway.reject_next(reason))

    def duplicate_executions(self, duplicates: bool = True) -> None:
        """Report every execution and its commission twice from now on, or once again."""
        self.duplicates_executions = duplicates

    def roll_back_next_valid_id(self, to: int, client_id: int | None = None) -> None:
        """Announce `to` as the next order id of one client or all, and take ids from there on."""
        self._do(lambda: self._gateway.roll_back(to, client_id))

    def _do(self, action: Callable[[], None]) -> None:
        if self._loop is None or threading.get_ident() == self._thread:
            action()
            return
        done = threading.Event()

        def act() -> None:
            try:
                action()
            finally:
                done.set()

        self._loop.call_soon_threadsafe(act)
        done.wait(5.0)
