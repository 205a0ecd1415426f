"""The guardian's view of an account: holdings, working orders and executions, as plain values."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

# The rounding error that adding binary fractions may leave in a quantity.
DUST = 1e-9
# The prefix of the references of all guardians' orders.
GUARDIANS = "guardian-"


class Contract(msgspec.Struct, frozen=True):
    """IB's contract, as the texts that TWS sent."""

    con_id: int
    symbol: str
    kind: str
    expiry: str
    strike: str
    right: str
    multiplier: str
    exchange: str
    currency: str
    local_symbol: str
    trading_class: str

    def __str__(self) -> str:
        parts = (self.local_symbol or self.symbol, self.kind if self.kind != "STK" else "")
        return " ".join(part for part in parts if part) or f"contract {self.con_id}"


class WorkingOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order that TWS works or may work again; `side` is 1 for a purchase and -1 for a sale."""

    permanent_id: int
    client_id: int
    order_id: int
    con_id: int
    side: int
    remaining: float
    reference: str = ""
    status: str = "Submitted"

    @property
    def run(self) -> str:
        """Return the run that placed the order, by its reference; empty if no strategy did."""
        return run_of(self.reference)

    def opens(self, held: float) -> bool:
        """Return whether the order may enlarge or reverse a position of `held`."""
        return self.side * held >= 0 or self.remaining > abs(held) + DUST


class Execution(msgspec.Struct, frozen=True):
    """One execution; `quantity` is signed: positive is bought."""

    id: str
    con_id: int
    quantity: float
    reference: str = ""
    permanent_id: int = 0


class AccountSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The account as TWS answered one round of requests, sent at `asked_ns` (monotonic clock).

    `executions` are those of all clients today; an instrument missing in `holdings` is flat.
    """

    asked_ns: int
    holdings: dict[int, float]
    orders: tuple[WorkingOrder, ...] = ()
    executions: tuple[Execution, ...] = ()

    def traded(self, con_id: int) -> float:
        """Return the net quantity that today's executions added to a position."""
        return sum(done.quantity for done in self.executions if done.con_id == con_id)

    def filled(self, reference: str) -> float:
        """Return the executed quantity of the order with this reference."""
        return abs(sum(done.quantity for done in self.executions if done.reference == reference))

    def working(self, con_id: int) -> list[WorkingOrder]:
        """Return the working orders in an instrument."""
        return [order for order in self.orders if order.con_id == con_id]

    def held(self, con_id: int) -> float:
        """Return the position in an instrument."""
        return self.holdings.get(con_id, 0.0)


def run_of(reference: str) -> str:
    """Return the run in an order reference: strategies' orders are called ``RUN.NUMBER``."""
    return reference.rpartition(".")[0]


def traded_by(executions: Iterable[Execution], runs: Iterable[str]) -> dict[int, float]:
    """Return the net quantity that these runs traded, by instrument."""
    wanted, found = frozenset(runs), dict[int, float]()
    for done in executions:
        if run_of(done.reference) in wanted:
            found[done.con_id] = found.get(done.con_id, 0.0) + done.quantity
    return found
