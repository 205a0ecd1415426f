"""What every fault has: fields of its own, and `strike`, which makes it happen on the stage of one gateway."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar, Protocol, Self

import msgspec

from ibdesk.gateway.faults.wire import Rule, Wire
from ibdesk.gateway.market.tape import Tape
from ibdesk.gateway.protocol.codec import Value
from ibdesk.gateway.schedule import Schedule
from ibdesk.gateway.session import Session
from ibdesk.gateway.venue.venue import Venue

if TYPE_CHECKING:
    from ibdesk.gateway.venue.records import OrderRecord

LONGEST = 14 * 86_400.0
"""No fault lasts longer than this many seconds of the gateway's clock: two weeks."""
Seconds = Annotated[float, msgspec.Meta(gt=0, le=LONGEST)]
ClientId = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
OrderId = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]


class Occasion(msgspec.Struct, frozen=True, kw_only=True):
    """Why a fault strikes now: the message or order that triggered it, if one did, and its own source of chance."""

    chance: random.Random
    message: str | None = None
    client: int | None = None
    order: int | None = None


class Faulty(Protocol):
    """What faults need of the gateway."""

    @property
    def schedule(self) -> Schedule:
        """Return the gateway's appointments."""

    @property
    def venue(self) -> Venue:
        """Return where orders are worked."""

    @property
    def tape(self) -> Tape:
        """Return the state of the market."""

    @property
    def port(self) -> int:
        """Return the port it listens on."""

    def connected(self, client_id: int | None = None) -> Iterator[Session]:
        """Yield the open sessions, of one client or of all."""

    def hang_up(self, client_id: int | None) -> None:
        """Close sockets."""

    def cut_link(self) -> None:
        """Stop telling clients of market and orders."""

    def restore_link(self, *, data_kept: bool) -> None:
        """Tell them again."""

    def tell_all(self, code: int, text: str) -> None:
        """Send an error to every client."""

    def position_rows(self) -> list[dict[str, Value]]:
        """Return what accounts hold, as position messages tell it."""

    def known_clients(self) -> set[int]:
        """Return the clients that are connected or have placed orders."""


class Stage:
    """One gateway and the faults about at it: what is refused, held and tampered with now."""

    def __init__(self, gateway: Faulty) -> None:
        self.gateway = gateway
        self.wire = Wire(gateway)
        # One token for each fault that has connections refused.
        self.refusals: set[object] = set()
        # Client ids that are reported as in use, by the token of the fault that does.
        self.ids_in_use: dict[object, int] = {}
        # The rule that sends executions twice, while it is about.
        self.duplicating: Rule | None = None
        # A token for each fault of a kind that lasts, so that the last one to end is known.
        self._about: dict[str, set[object]] = {}

    def refuse_for(self, seconds: float | None) -> None:
        """Refuse connections for a while, or until somebody clears `refusals`."""
        token = object()
        self.refusals.add(token)
        if seconds is not None:
            self.gateway.schedule.after(seconds, lambda: self.refusals.discard(token))

    def begin(self, what: str) -> Callable[[], bool]:
        """Note that something begins to last; what is returned ends it, and tells whether nothing of its kind lasts."""
        token, about = object(), self._about.setdefault(what, set())
        about.add(token)

        def end() -> bool:
            was_about = token in about
            about.discard(token)
            return was_about and not about

        return end

    def end(self, what: str) -> None:
        """End all of a kind, before their time."""
        self._about.get(what, set()).clear()

    def free_id(self, token: object) -> None:
        """Report a client id as in use no more, as far as the fault of this token is concerned."""
        self.ids_in_use.pop(token, None)

    def end_duplicating(self) -> None:
        """Tell executions once again."""
        if self.duplicating is not None:
            self.wire.remove(self.duplicating)
            self.duplicating = None

    def end_lasting(self) -> None:
        """Refuse no connection and no order, report no id as in use, and tamper with no message any more."""
        self.refusals.clear()
        self.ids_in_use.clear()
        self.gateway.venue.refuse_next = None
        self.wire.clear()
        self.duplicating = None

    def open_orders(self, client: int | None, order: int | None) -> list[OrderRecord]:
        """Return the open orders of a client, or of all, or the one of this id."""
        return [record for record in self.gateway.venue.open(client) if order in (None, record.order_id)]


class Fault(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    tag_field="kind",
    tag=lambda name: re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(),
):
    """Something that goes wrong. A subclass is one kind; its name in small letters is the kind's name in TOML.

    What a fault leaves open (client, order, messages) is taken from what triggered it, and else means all.
    """

    strikes_after: ClassVar[bool] = False
    """Whether, triggered by an order, it strikes once the order is at the venue instead of before."""

    def strike(self, stage: Stage, occasion: Occasion) -> str | None:
        """Make it happen; return what a reader of the log should know besides."""
        raise NotImplementedError

    @classmethod
    def drawn(cls, chance: random.Random) -> Self:  # noqa: ARG003 - most kinds draw their fields from it
        """Return one of this kind with fields drawn at random, as random scripts have them."""
        return cls()

    @property
    def words(self) -> str:
        """Return kind and fields: ``hang_up client=1``."""
        fields = msgspec.to_builtins(self)
        return " ".join([fields.pop("kind"), *(f"{name}={_text(value)}" for name, value in fields.items())])


class OrderFault(Fault, frozen=True, kw_only=True):
    """What the faults of one order have in common: a client and an order id, or whichever comes next."""

    client: ClientId | None = None
    order: OrderId | None = None

    def whose(self, occasion: Occasion) -> tuple[int | None, int | None]:
        """Return client and order, from the trigger where this fault leaves them open."""
        return (
            occasion.client if self.client is None else self.client,
            occasion.order if self.order is None else self.order,
        )


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def seconds_drawn(chance: random.Random, least: float, most: float) -> float:
    """Return a duration between these, with a tenth of a second as its unit."""
    return round(chance.uniform(least, most), 1)
