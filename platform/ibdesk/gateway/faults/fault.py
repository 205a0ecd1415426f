"""The base of all faults: fields, and `strike`, which makes a fault happen at one gateway."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar, Protocol, Self

import msgspec

from ibdesk.gateway.faults.message_filter import MessageFilter, Rule
from ibdesk.gateway.market.tape import Tape
from ibdesk.gateway.protocol.codec import Value
from ibdesk.gateway.schedule import Schedule
from ibdesk.gateway.session import Session
from ibdesk.gateway.venue.venue import Venue

if TYPE_CHECKING:
    from ibdesk.gateway.venue.records import OrderRecord

LONGEST = 14 * 86_400.0
"""The maximum duration of a fault, in seconds of the gateway's clock: two weeks."""
Seconds = Annotated[float, msgspec.Meta(gt=0, le=LONGEST)]
ClientId = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
OrderId = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    """The reason for a strike: the message or order that triggered it, if any, and a random source of its own."""

    chance: random.Random
    message: str | None = None
    client: int | None = None
    order: int | None = None


class FaultHost(Protocol):
    """The operations that faults need of the gateway."""

    @property
    def schedule(self) -> Schedule:
        """Return the gateway's schedule."""

    @property
    def venue(self) -> Venue:
        """Return the venue of the orders."""

    @property
    def tape(self) -> Tape:
        """Return the tape of the market."""

    @property
    def port(self) -> int:
        """Return the listening port."""

    def connected(self, client_id: int | None = None) -> Iterator[Session]:
        """Yield the open sessions, of one client or of all."""

    def hang_up(self, client_id: int | None) -> None:
        """Close the sockets of one client or of all."""

    def cut_link(self) -> None:
        """Stop reports of market and orders to clients."""

    def restore_link(self, *, data_kept: bool) -> None:
        """Resume the reports."""

    def tell_all(self, code: int, text: str) -> None:
        """Send an error to every client."""

    def position_rows(self) -> list[dict[str, Value]]:
        """Return the holdings as fields of position messages."""

    def known_clients(self) -> set[int]:
        """Return the clients that are connected or have placed orders."""


class FaultContext:
    """One gateway and its active faults."""

    def __init__(self, gateway: FaultHost) -> None:
        self.gateway = gateway
        self.message_filter = MessageFilter(gateway)
        # One token for each fault that refuses connections.
        self.refusals: set[object] = set()
        # Client ids that are reported as in use, by the token of their fault.
        self.ids_in_use: dict[object, int] = {}
        # The rule that sends executions twice, while it is active.
        self.duplicating: Rule | None = None
        # Tokens of the active faults of each lasting kind, so that the last one to end is known.
        self._about: dict[str, set[object]] = {}

    def refuse_for(self, seconds: float | None) -> None:
        """Refuse connections for a while, or until `refusals` is cleared."""
        token = object()
        self.refusals.add(token)
        if seconds is not None:
            self.gateway.schedule.after(seconds, lambda: self.refusals.discard(token))

    def begin(self, what: str) -> Callable[[], bool]:
        """Begin a lasting fault. The returned function ends it, and returns whether no other of its kind is active."""
        token, about = object(), self._about.setdefault(what, set())
        about.add(token)

        def end() -> bool:
            was_about = token in about
            about.discard(token)
            return was_about and not about

        return end

    def end(self, what: str) -> None:
        """End all faults of a kind early."""
        self._about.get(what, set()).clear()

    def free_id(self, token: object) -> None:
        """Stop reporting a client id as in use for the fault with this token."""
        self.ids_in_use.pop(token, None)

    def end_duplicating(self) -> None:
        """Report executions once again."""
        if self.duplicating is not None:
            self.message_filter.remove(self.duplicating)
            self.duplicating = None

    def end_lasting(self) -> None:
        """Stop refusing connections and orders, reporting ids as in use, and changing messages."""
        self.refusals.clear()
        self.ids_in_use.clear()
        self.gateway.venue.refuse_next = None
        self.message_filter.clear()
        self.duplicating = None

    def open_orders(self, client: int | None, order: int | None) -> list[OrderRecord]:
        """Return the open orders of one client or of all, or the one with this id."""
        return [record for record in self.gateway.venue.open_orders(client) if order in (None, record.order_id)]


class Fault(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    tag_field="kind",
    tag=lambda name: re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(),
):
    """A fault. A subclass is one kind; its name in snake case is the kind's name in TOML.

    Fields that a fault leaves open (client, order, messages) come from its trigger; without a trigger they mean all.
    """

    strikes_after: ClassVar[bool] = False
    """Whether a fault triggered by an order strikes after the order reached the venue instead of before."""

    def strike(self, context: FaultContext, trigger: Trigger) -> str | None:
        """Make the fault happen; return a remark for the log, if any."""
        raise NotImplementedError

    @classmethod
    def drawn(cls, chance: random.Random) -> Self:  # noqa: ARG003 - most kinds draw their fields from it
        """Return a fault of this kind with random fields, for random scripts."""
        return cls()

    @property
    def words(self) -> str:
        """Return kind and fields: ``hang_up client=1``."""
        fields = msgspec.to_builtins(self)
        return " ".join([fields.pop("kind"), *(f"{name}={_text(value)}" for name, value in fields.items())])


class OrderFault(Fault, frozen=True, kw_only=True):
    """A fault of one order: the one with a client and an order id, or the next one."""

    client: ClientId | None = None
    order: OrderId | None = None

    def client_and_order(self, trigger: Trigger) -> tuple[int | None, int | None]:
        """Return client and order; fields that this fault leaves open come from the trigger."""
        return (
            trigger.client if self.client is None else self.client,
            trigger.order if self.order is None else self.order,
        )


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def seconds_drawn(chance: random.Random, least: float, most: float) -> float:
    """Return a random duration within this range, in tenths of a second."""
    return round(chance.uniform(least, most), 1)
