"""The venue's records of orders and executions, and the interfaces to which it reports them."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Protocol

import msgspec

from ibdesk.gateway.contracts.contract import ContractData
from ibdesk.gateway.protocol.codec import Fields
from ibdesk.gateway.venue.kinds import KINDS, OrderKind, Shape
from ibdesk.gateway.venue.terms import OrderTerms
from ibdesk.model import Fill, Order

DONE = frozenset({"Filled", "Cancelled", "Inactive"})
Key = tuple[int, int]


class Hold(enum.Enum):
    """Why an accepted order is not worked yet. An order without holds is worked."""

    TRANSMIT = "transmit"
    """The client sent it with transmit=False. It is not reported."""
    PARENT = "parent"
    """The parent order is not filled."""
    CONDITIONS = "conditions"
    """The order's conditions are not met."""
    TIME = "time"
    """The goodAfterTime has not come."""
    HOURS = "hours"
    """The market is closed."""
    AUCTION = "auction"
    """The order trades only in the next opening or closing auction."""

    # Members are singletons, so identity is enough; Enum's own hash is computed in Python, which is slow.
    __hash__ = object.__hash__


class OrderRecord(msgspec.Struct, kw_only=True):
    """A client's order as TWS keeps it: the request it came with, and its state.

    `order` is its size, type and prices as the exchange has or will have them; `terms` are the client's.
    """

    client_id: int
    order_id: int
    permanent_id: int
    contract: ContractData
    request: Fields
    terms: OrderTerms
    order: Order
    account: str
    status: str = "PreSubmitted"
    holds: set[Hold] = msgspec.field(default_factory=set)
    filled: float = 0.0
    shape: Shape | None = None
    """Its last shape at the exchange; None before it was there."""
    filled_before: float = 0.0
    """The filled quantity when the order last came to the exchange."""
    released: float = 0.0
    """The quantity that may trade by now; less than the size while an algorithm spreads the order over time."""
    average_price: float = 0.0
    last_price: float = 0.0
    completed_ns: int = 0
    completed_status: str = ""
    oca_group: str = ""
    cancelled_by: int | None = None
    """The other client that cancelled it."""
    is_bound: bool = True
    """Whether a client owns it. An order placed at TWS itself has no owner until client 0 binds it."""
    shown: int = 0
    """How often it was shown. The first openOrder of a stop differs from later ones."""
    executions_seen: set[int] = msgspec.field(default_factory=set)
    """The numbers of the execution conditions that have been fulfilled."""

    @property
    def key(self) -> Key:
        """Return client id and order id, which identify the order."""
        return self.client_id, self.order_id

    @property
    def reported_id(self) -> int:
        """Return the order id in reports: 0 while no client owns the order."""
        return self.order_id if self.is_bound else 0

    @property
    def kind(self) -> OrderKind:
        """Return how the order's type is worked."""
        return KINDS[self.terms.kind]

    @property
    def is_done(self) -> bool:
        """Return whether the order has ended."""
        return self.status in DONE

    @property
    def remaining(self) -> float:
        """Return the quantity that is not filled."""
        return self.order.quantity - self.filled

    @property
    def is_filled(self) -> bool:
        """Return whether the order is filled, up to the rounding error of binary fractions (a billionth)."""
        return self.remaining <= self.order.quantity * 1e-9

    @property
    def why_held(self) -> str:
        """Return orderStatus's whyHeld: ``child``, ``trigger``, ``child,trigger`` (captured) or empty."""
        if self.status != "PreSubmitted":
            return ""
        words = [word for word, holds in (("child", Hold.PARENT in self.holds), ("trigger", self.kind.waits)) if holds]
        return ",".join(words)

    @property
    def informed_clients(self) -> tuple[int, ...]:
        """Return the clients that receive reports: the owner, if any, and another client that cancelled the order."""
        if not self.is_bound:
            return ()
        return (self.client_id,) if self.cancelled_by is None else (self.client_id, self.cancelled_by)


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """One execution and its commission; `realized` is None when it closed no position.

    `contract` is the one that traded: the order's own, or a leg of its combination.
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
    """Stores what must outlive the gateway. It receives a change before clients do."""

    def order(self, record: OrderRecord, *, at_once: bool = True) -> None:
        """Note that an order is changing; without `at_once` clients may be told before it is stored."""

    def execution(self, place: int, execution: Execution) -> None:
        """Note an execution and its place among all; a correction has the place of the execution that it corrects."""

    def ids(self) -> None:
        """Note that the counting of ids has changed."""


class VenueListener(msgspec.Struct, frozen=True):
    """The receiver of the venue's reports: orders, executions, errors and changes of the account.

    A fault may replace it with one that reports later, in another order, or not at all.
    """

    order: Callable[[OrderRecord], None]
    status: Callable[[OrderRecord], None]
    execution: Callable[[Execution], None]
    commission: Callable[[Execution], None]
    error: Callable[[int, int, int, str], None]
    account: Callable[[str, ContractData], None]

    @staticmethod
    def silent() -> VenueListener:
        """Return a listener that ignores everything."""

        def hear(*_news: object) -> None:
            """Do nothing."""

        return VenueListener(order=hear, status=hear, execution=hear, commission=hear, error=hear, account=hear)
