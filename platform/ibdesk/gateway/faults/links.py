"""Faults of connections: sockets that close, hang or are refused; TWS disconnected from IB; data farms; restarts."""

from __future__ import annotations

import random
from functools import partial
from typing import Annotated, Literal, Self

import msgspec

from ibdesk.gateway.faults.fault import ClientId, Fault, FaultContext, Seconds, Trigger, seconds_drawn
from ibdesk.gateway.faults.message_filter import Onward, Rule
from ibdesk.gateway.faults.messages import DropRule, HoldRule
from ibdesk.gateway.faults.passing import HISTORY, MARKET, PassingMessage, Scope

LOST = "Connectivity between IBKR and Trader Workstation has been lost."
RESTORED_LOST = "Connectivity between IBKR and Trader Workstation has been restored - data lost."
RESTORED_KEPT = (
    "Connectivity between IBKR and Trader Workstation has been restored - data maintained. "
    "All data farms are connected: usfarm; ushmds; secdefnj."
)
PORT_RESET = (
    "TWS socket port has been reset and this connection is being dropped. Please reconnect on the new port - {port}"
)
FARMS = {
    "market": (
        (2103, "Market data farm connection is broken:usfarm"),
        (2104, "Market data farm connection is OK:usfarm"),
    ),
    "history": (
        (2105, "HMDS data farm connection is broken:ushmds"),
        (2106, "HMDS data farm connection is OK:ushmds"),
    ),
}
"""Code and text of each farm's break and recovery."""


# ---- sockets ------------------------------------------------------------------------------------------------------


class HangUp(Fault, frozen=True, kw_only=True):
    """The socket of one client, or of all, is closed at once; orders stay."""

    client: ClientId | None = None

    def strike(self, context: FaultContext, trigger: Trigger) -> None:
        """Close the sockets."""
        context.gateway.hang_up(trigger.client if self.client is None else self.client)


class HalfOpen(Fault, frozen=True, kw_only=True):
    """A socket stays open, but nothing is sent or read any more, as when a cable is pulled.

    TWS considers the client connected, so its id is in use (326) until the socket is closed after `for_seconds`.
    """

    client: ClientId | None = None
    for_seconds: Seconds = 60.0

    def strike(self, context: FaultContext, trigger: Trigger) -> None:
        """Silence the sockets that are open now."""
        client = trigger.client if self.client is None else self.client
        for session in tuple(context.gateway.connected(client)):
            session.silence()
            context.gateway.schedule.after(self.for_seconds, session.hang_up)

    @classmethod
    def drawn(cls, chance: random.Random) -> Self:
        """Return one of a few seconds."""
        return cls(for_seconds=seconds_drawn(chance, 1, 10))


class RefuseConnections(Fault, frozen=True, kw_only=True):
    """New connections are refused for a while; existing ones stay."""

    for_seconds: Seconds | None = None

    def strike(self, context: FaultContext, trigger: Trigger) -> None:  # noqa: ARG002
        """Refuse connections from now on."""
        context.refuse_for(self.for_seconds)

    @classmethod
    def drawn(cls, chance: random.Random) -> Self:
        """Return one of a few seconds."""
        return cls(for_seconds=seconds_drawn(chance, 1, 10))


class StallReads(Fault, frozen=True, kw_only=True):
    """A client's messages are not read for a while, then all at once. Messages to it continue."""

    client: ClientId | None = None
    for_seconds: Seconds = 5.0

    def strike(self, context: FaultContext, trigger: Trigger) -> None:
        """Stall the sockets that are open now."""
        client = trigger.client if self.client is None else self.client
        for session in tuple(context.gateway.connected(client)):
            stalled = object()
            session.read(on=False, why=stalled)
            context.gateway.schedule.after(self.for_seconds, partial(session.read, on=True, why=stalled))

    @classmethod
    def drawn(cls, chance: random.Random) -> Self:
        """Return one of a few seconds."""
        return cls(for_seconds=seconds_drawn(chance, 0.5, 5))


class ClientIdInUse(Fault, frozen=True, kw_only=True):
    """A client id is reported as in use (error 326) without such a client, as after a crash."""

    client: ClientId
    for_seconds: Seconds = 10.0

    def strike(self, context: FaultContext, trigger: Trigger) -> None:  # noqa: ARG002
        """Report it from now on."""
        token = object()
        context.ids_in_use[token] = self.client
        context.gateway.schedule.after(self.for_seconds, partial(context.free_id, token))

    @classmethod
    def drawn(cls, chance: random.Random) -> Self:
        """Return one of the first ten client ids."""
        return cls(client=chance.randint(0, 9), for_seconds=seconds_drawn(chance, 1, 10))


class ResetPort(Fault, frozen=True, kw_only=True):
    """Error 1300, and all sockets are closed; the new port in the message is the old one."""

    def strike(self, context: FaultContext, trigger: Trigger) -> None:  # noqa: ARG002
        """Send the error and hang up."""
        context.gateway.tell_all(1300, PORT_RESET.format(port=context.gateway.port))
        for session in tuple(context.gateway.connected()):
            session.hang_up(at_once=False)


# ---- TWS and IB ---------------------------------------------------------------------------------------------------


LINK = "link"
"""The connection of TWS to IB, which several faults may have cut."""


class LoseConnectivity(Fault, frozen=True, kw_only=True):
    """TWS is disconnected from IB: error 1100, and no reports of market or orders until it is restored.

    The market continues: orders are accepted and filled, and only requests for executions or open orders show it. After
    `for_seconds` the link is restored, as by `RestoreConnectivity`, unless another such fault lasts longer; without
    `for_seconds` it stays cut.
    """

    for_seconds: Seconds | None = None
    data_kept: bool = True

    def strike(self, context: FaultContext, trigger: Trigger) -> None:
        """Cut the link."""
        context.gateway.cut_link()
        context.gateway.tell_all(1100, LOST)
        over = context.begin(LINK)

        def end() -> None:
            if over():
                RestoreConnectivity(data_kept=self.data_kept).strike(context, trigger)

        if self.for_seconds is not None:
            context.gateway.schedule.after(self.for_seconds, end)

    @classmethod
    def drawn(cls, chance: random.Random) -> Self:
        """Return one of a few seconds, which may end the subscriptions."""
        return cls(for_seconds=seconds_drawn(chance, 0.5, 10), data_kept=chance.random() < 0.5)


class RestoreConnectivity(Fault, frozen=True, kw_only=True):
    """TWS is connected again: error 1102, or 1101 after which every market-data subscription has ended."""

    data_kept: bool = True

    def strike(self, context: FaultContext, trigger: Trigger) -> None:  # noqa: ARG002
        """Restore the link."""
        context.end(LINK)
        context.gateway.restore_link(data_kept=self.data_kept)
        code, text = (1102, RESTORED_KEPT) if self.data_kept else (1101, RESTORED_LOST)
        context.gateway.tell_all(code, text)


class BreakFarm(Fault, frozen=True, kw_only=True):
    """A data farm breaks for a while: 2103 and no ticks or bars, or 2105 and no history; then 2104 or 2106.

    Clients stay connected, orders continue. Requests to the history farm are answered after its recovery; ticks that
    were not sent are lost.
    """

    farm: Literal["market", "history"] = "market"
    for_seconds: Seconds = 10.0

    def strike(self, context: FaultContext, trigger: Trigger) -> None:
        """Break the farm."""
        broken, mended = FARMS[self.farm]
        lost = MARKET if self.farm == "market" else frozenset({"historicalDataUpdate"})
        held = frozenset({"tickSnapshotEnd"}) if self.farm == "market" else HISTORY
        context.gateway.tell_all(*broken)
        context.message_filter.add(DropRule(Scope(messages=lost), None, trigger.chance, 1.0), self.for_seconds)
        context.message_filter.add(HoldRule(Scope(messages=held)), self.for_seconds)
        context.gateway.schedule.after(self.for_seconds, lambda: context.gateway.tell_all(*mended))

    @classmethod
    def drawn(cls, chance: random.Random) -> Self:
        """Return one of a few seconds."""
        farm: Literal["market", "history"] = "market" if chance.random() < 0.5 else "history"
        return cls(farm=farm, for_seconds=seconds_drawn(chance, 1, 10))


class CompeteForData(Fault, frozen=True, kw_only=True):
    """Another login takes the market data for a while: error 10197 for each ticking subscription, and no ticks."""

    client: ClientId | None = None
    for_seconds: Seconds = 10.0

    def strike(self, context: FaultContext, trigger: Trigger) -> None:
        """Take the data."""
        client = trigger.client if self.client is None else self.client
        context.message_filter.add(_Competing(Scope(messages=MARKET, client=client)), self.for_seconds)

    @classmethod
    def drawn(cls, chance: random.Random) -> Self:
        """Return one of a few seconds."""
        return cls(for_seconds=seconds_drawn(chance, 1, 10))


class _Competing(Rule):
    """Drops ticks, and reports the reason once per subscription."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self._told: set[tuple[int, int | None]] = set()

    def meet(self, passing: PassingMessage, onward: Onward) -> None:  # noqa: ARG002 - it goes nowhere
        """Drop a tick."""
        session, request = passing.session, passing.request()
        line = (id(session), request)
        if request is not None and line not in self._told:
            self._told.add(line)
            session.error(request, 10197, "No market data during competing live session")


# ---- restarts -----------------------------------------------------------------------------------------------------


class Restart(Fault, frozen=True, kw_only=True):
    """The nightly restart: all sockets are closed and connections refused for a while.

    Subscriptions and DAY orders end. GTC orders stay and are worked meanwhile. Order ids continue, roll back or jump by
    `ids_by`.
    """

    for_seconds: Seconds = 60.0
    order_ids: Literal["go_on", "roll_back", "jump"] = "go_on"
    ids_by: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 100

    def strike(self, context: FaultContext, trigger: Trigger) -> None:  # noqa: ARG002
        """Begin the restart."""
        gateway = context.gateway
        gateway.hang_up(None)
        context.refuse_for(self.for_seconds)
        gateway.restore_link(data_kept=False)
        for record in context.open_orders(None, None):
            if record.request.text("tif") in ("", "DAY"):
                gateway.venue.cancel_order(record, "")
        shift = {"go_on": 0, "roll_back": -self.ids_by, "jump": self.ids_by}[self.order_ids]
        for client in sorted(gateway.known_clients()) if shift else ():
            venue = gateway.venue
            venue.set_next_order_id(client, max(1, venue.next_order_id(client) + shift))

    @classmethod
    def drawn(cls, chance: random.Random) -> Self:
        """Return one of a few seconds with a random treatment of order ids."""
        how: Literal["go_on", "roll_back", "jump"] = chance.choice(("go_on", "roll_back", "jump"))
        return cls(for_seconds=seconds_drawn(chance, 1, 10), order_ids=how, ids_by=chance.randint(1, 50))


class LogOff(Fault, frozen=True, kw_only=True):
    """The weekly log-off: 1100, then as a restart; connections are refused until the login after `for_seconds`."""

    for_seconds: Seconds = 600.0

    def strike(self, context: FaultContext, trigger: Trigger) -> None:
        """Log off."""
        context.gateway.tell_all(1100, LOST)
        for session in tuple(context.gateway.connected()):
            session.hang_up(at_once=False)
        Restart(for_seconds=self.for_seconds).strike(context, trigger)

    @classmethod
    def drawn(cls, chance: random.Random) -> Self:
        """Return one of a few seconds."""
        return cls(for_seconds=seconds_drawn(chance, 1, 10))
