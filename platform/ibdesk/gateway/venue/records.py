"""What the venue keeps of orders and executions, and whom it tells of them."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Protocol

import msgspec

from ibdesk.gateway.contracts.contract import ContractData
from ibdesk.gateway.protocol.codec import Fields
from ibdesk.gateway.venue.kinds import KINDS, Kind, Shape
from ibdesk.gateway.venue.terms import Terms
from ibdesk.model import Fill, Order

DONE = frozenset({"Filled", "Cancelled", "Inactive"})
Key = tuple[int, int]


class Hold(enum.Enum):
    """Why an order that was taken is not worked yet; one without holds is."""

    TRANSMIT = "transmit"
    """The client sent it with transmit=False, and nobody is told of it."""
    PARENT = "parent"
    """The order it is attached to is not filled."""
    CONDITIONS = "conditions"
    """What it waits for has not come true."""
    TIME = "time"
    """Its goodAfterTime has not come."""
    HOURS = "hours"
    """Its market is closed."""
    AUCTION = "auction"
    """It takes part in the next opening or closing auction only."""

    # Each member is one object, so it is told apart by what it is; Enum's own hash is computed in Python.
    __hash__ = object.__hash__


class OrderRecord(msgspec.Struct, kw_only=True):
    """A client's order as TWS keeps it: the request it came with, and what became of it.

    `order` is its size, and its type and prices as the exchange has them or will have them; `terms` are the client's.
    """

    client_id: int
    order_id: int
    permanent_id: int
    contract: ContractData
    request: Fields
    terms: Terms
    order: Order
    account: str
    status: str = "PreSubmitted"
    holds: set[Hold] = msgspec.field(default_factory=set)
    filled: float = 0.0
    shape: Shape | None = None
    """What it was to the exchange the last time, nothing before it came there."""
    filled_before: float = 0.0
    """What was filled before the order came to the exchange the last time."""
    released: float = 0.0
    """How much of it may trade by now; less than its size while an algorithm spreads it over time."""
    average_price: float = 0.0
    last_price: float = 0.0
    completed_ns: int = 0
    completed_status: str = ""
    oca_group: str = ""
    cancelled_by: int | None = None
    """The other client that withdrew it."""
    is_bound: bool = True
    """Whether a client has it; an order placed at TWS itself has none until client 0 takes it over."""
    shown: int = 0
    """How often it was shown; the first openOrder of a stop differs from the later ones."""
    executions_seen: set[int] = msgspec.field(default_factory=set)
    """The numbers of its execution conditions that have come true."""

    @property
    def key(self) -> Key:
        """Return what tells it from other orders: client and order id."""
        return self.client_id, self.order_id

    @property
    def reported_id(self) -> int:
        """Return the order id that clients are told: 0 while no client has it."""
        return self.order_id if self.is_bound else 0

    @property
    def kind(self) -> Kind:
        """Return how its type is worked."""
        return KINDS[self.terms.kind]

    @property
    def is_done(self) -> bool:
        """Return whether nothing more will happen to it."""
        return self.status in DONE

    @property
    def remaining(self) -> float:
        """Return what is not filled."""
        return self.order.quantity - self.filled

    @property
    def is_filled(self) -> bool:
        """Return whether nothing is left but what adding binary fractions leaves (a billionth)."""
        return self.remaining <= self.order.quantity * 1e-9

    @property
    def why_held(self) -> str:
        """Return what orderStatus says of it: ``child``, ``trigger``, ``child,trigger`` (captured) or nothing."""
        if self.status != "PreSubmitted":
            return ""
        words = [word for word, holds in (("child", Hold.PARENT in self.holds), ("trigger", self.kind.waits)) if holds]
        return ",".join(words)

    @property
    def informed_clients(self) -> tuple[int, ...]:
        """Return the clients that are told of it: its own if it has one, and the other one that cancelled it."""
        if not self.is_bound:
            return ()
        return (self.client_id,) if self.cancelled_by is None else (self.client_id, self.cancelled_by)


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """One execution and its commission; `realized` is nothing when it closed no position.

    `contract` is what traded: the order's own, or a leg of its combination.
    """

    id: str
    record: OrderRecord
    contract: ContractData
    fill: Fill
    cumulative: float
    average_price: float
    commission: float
    realized: float | None


class StateRecorder(Protocol):
    """Whoever keeps what must outlive the gateway. It hears of a change before clients do."""

    def order(self, record: OrderRecord, *, at_once: bool = True) -> None:
        """Hear that an order is changing; without `at_once` it need not be kept before clients are told."""

    def execution(self, place: int, execution: Execution) -> None:
        """Hear of an execution, and where among all it stands; a corrected one stands in the place of the first."""

    def ids(self) -> None:
        """Hear that ids are counted from somewhere else."""


class VenueListener(msgspec.Struct, frozen=True):
    """Whom the venue tells: of an order, an execution, an error, and that the account changed.

    A fault may put another one in its place that tells later, in another order, or not at all.
    """

    order: Callable[[OrderRecord], None]
    status: Callable[[OrderRecord], None]
    execution: Callable[[Execution], None]
    commission: Callable[[Execution], None]
    error: Callable[[int, int, int, str], None]
    account: Callable[[str, ContractData], None]

    @staticmethod
    def silent() -> VenueListener:
        """Return one that hears nothing."""

        def hear(*_news: object) -> None:
            """Take no notice."""

        return VenueListener(order=hear, status=hear, execution=hear, commission=hear, error=hear, account=hear)
