"""What the guardian sees of an account: holdings, working orders and executions, as plain values."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

# What adding binary fractions may leave of a quantity.
DUST = 1e-9
# How the references of all guardians' orders begin.
GUARDIANS = "guardian-"


class Contract(msgspec.Struct, frozen=True):
    """IB's contract, in the texts in which TWS sent it."""

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
    """An order that TWS still works or may work again; `side` is 1 for a purchase and -1 for a sale."""

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
        """Return the run whose order it is, by the order's reference; empty when it is no strategy's."""
        return run_of(self.reference)

    def opens(self, held: float) -> bool:
        """Return whether it may grow a position of `held`, or turn it round."""
        return self.side * held >= 0 or self.remaining > abs(held) + DUST


class Execution(msgspec.Struct, frozen=True):
    """One execution; `quantity` is signed: positive was bought."""

    id: str
    con_id: int
    quantity: float
    reference: str = ""
    permanent_id: int = 0


class AccountSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The account as TWS told it in answer to one round of questions, asked at `asked_ns` (monotonic clock).

    `executions` are those of all clients today; an instrument that `holdings` does not name is flat.
    """

    asked_ns: int
    holdings: dict[int, float]
    orders: tuple[WorkingOrder, ...] = ()
    executions: tuple[Execution, ...] = ()

    def traded(self, con_id: int) -> float:
        """Return the net quantity that executions have added to a position today."""
        return sum(done.quantity for done in self.executions if done.con_id == con_id)

    def filled(self, reference: str) -> float:
        """Return how much of the order with this reference was executed."""
        return abs(sum(done.quantity for done in self.executions if done.reference == reference))

    def working(self, con_id: int) -> list[WorkingOrder]:
        """Return the orders that work in an instrument."""
        return [order for order in self.orders if order.con_id == con_id]

    def held(self, con_id: int) -> float:
        """Return the position in an instrument."""
        return self.holdings.get(con_id, 0.0)


def run_of(reference: str) -> str:
    """Return the run that an order reference names: strategies' orders are called ``RUN.NUMBER``."""
    return reference.rpartition(".")[0]


def traded_by(executions: Iterable[Execution], runs: Iterable[str]) -> dict[int, float]:
    """Return the net quantity that these runs have traded, by instrument."""
    wanted, found = frozenset(runs), dict[int, float]()
    for done in executions:
        if run_of(done.reference) in wanted:
            found[done.con_id] = found.get(done.con_id, 0.0) + done.quantity
    return found
