"""The faults of a gateway: caused by hand, by switches for the most common ones, or by a script."""

from __future__ import annotations

import asyncio
import functools
import logging
import random
import threading
from collections import deque
from collections.abc import Callable

from ibdesk.gateway.faults.fault import Fault, FaultContext, FaultHost, Trigger
from ibdesk.gateway.faults.links import HangUp, LoseConnectivity, RefuseConnections, RestoreConnectivity
from ibdesk.gateway.faults.message_filter import Onward, Rule
from ibdesk.gateway.faults.orders import RejectNextOrder, SetNextOrderId
from ibdesk.gateway.faults.passing import PassingMessage, Scope
from ibdesk.gateway.faults.reports import DuplicateExecutions, NewOrderWatch
from ibdesk.gateway.faults.script import After, At, FaultScript, OnMessage, OnOrder, Step, next_wall_time
from ibdesk.gateway.schedule import ScheduledAction
from ibdesk.gateway.session import Session

_log = logging.getLogger(__name__)

REMEMBERED = 10_000
"""The maximum length of `fired`."""


class Faults:
    """The faults of one gateway. Each method may be called from any thread and takes effect before it returns.

    `cause` makes any fault happen now, and `play` plays a script; the other methods are switches for the most common
    faults. `refuses_connections` and `duplicates_executions` are the state of lasting ones.
    """

    def __init__(self, gateway: FaultHost) -> None:
        self._gateway = gateway
        self._context = FaultContext(gateway)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._fired: deque[tuple[int, str]] = deque(maxlen=REMEMBERED)
        self._script = FaultScript()
        self._strikes = 0
        self._scheduled: list[ScheduledAction] = []
        self._watches: list[Rule] = []

    @property
    def fired(self) -> list[tuple[int, str]]:
        """Return the faults so far: their time (ns UTC on the gateway's clock) and their description."""
        return list(self._fired)

    # ---- calls of the gateway ---------------------------------------------------------------------------------

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Bind the faults to this loop; called from its thread."""
        self._loop, self._thread = loop, threading.get_ident()

    @property
    def refuses_connections(self) -> bool:
        """Return whether new connections are refused now."""
        return bool(self._context.refusals)

    @property
    def duplicates_executions(self) -> bool:
        """Return whether executions are reported twice now."""
        return self._context.duplicating is not None and not self._context.duplicating.is_over

    def holds_id(self, client_id: int) -> bool:
        """Return whether a client id is reported as in use."""
        return client_id in self._context.ids_in_use.values()

    def attach(self, session: Session) -> None:
        """Add an admitted session, before anything is sent to it."""
        self._context.message_filter.attach(session)

    def detach(self, session: Session) -> None:
        """Remove a closed session."""
        self._context.message_filter.detach(session)

    # ---- scripts ----------------------------------------------------------------------------------------------

    def cause(self, fault: Fault) -> None:
        """Make a fault happen now."""
        self._do(lambda: self._strike(fault))

    def play(self, script: FaultScript) -> None:
        """Play a script from now on, in place of one that is being played; earlier effects stay.

        Raises:
            ConfigError: If a fault has an invalid value.
        """
        script = script.checked()
        self._do(lambda: self._begin(script))

    def stop(self) -> None:
        """Stop the script, lasting refusals, ids in use and message rules; held messages are sent.

        A pending refusal of the next order ends too. A cut link stays cut until `restore`, and faults of sockets and
        the market end in their own time.
        """

        def stop() -> None:
            self._begin(FaultScript())
            self._context.end_lasting()

        self._do(stop)

    def _begin(self, script: FaultScript) -> None:
        for scheduled in self._scheduled:
            scheduled.cancel()
        for watch in self._watches:
            self._context.message_filter.remove(watch)
        self._scheduled, self._watches = [], []
        self._script, self._strikes = script, 0
        for step in script.steps:
            self._await(step)

    def _await(self, step: Step) -> None:
        match step:
            case At(at=str() as wall_time):
                self._daily(step, wall_time)
            case At(at=seconds):
                self._keep_scheduled(
                    self._gateway.schedule.after(float(seconds), lambda: self._strike(step.then, step))
                )
            case OnMessage():
                self._watch(_MessageWatch(step, functools.partial(self._strike, step.then, step)))
            case OnOrder(on_order=nth, of_client=client):
                strike = functools.partial(self._strike_at_order, step)
                late = step.then.strikes_after
                self._watch(
                    NewOrderWatch(client, nth=nth, before=None if late else strike, after=strike if late else None)
                )
            case After():
                # `_strike` finds the steps that follow another one.
                pass

    def _keep_scheduled(self, scheduled: ScheduledAction) -> None:
        self._scheduled.append(scheduled)

    def _watch(self, rule: Rule) -> None:
        self._watches.append(rule)
        self._context.message_filter.add(rule)

    def _daily(self, step: At, wall_time: str) -> None:
        schedule = self._gateway.schedule

        def strike() -> None:
            self._strike(step.then, step)
            self._daily(step, wall_time)

        self._keep_scheduled(schedule.at(next_wall_time(wall_time, schedule.now_ns), strike))

    def _strike_at_order(self, step: Step, client: int | None, order: int | None) -> None:
        self._strike(step.then, step, client=client, order=order)

    def _strike(
        self,
        fault: Fault,
        step: Step | None = None,
        *,
        message: str | None = None,
        client: int | None = None,
        order: int | None = None,
    ) -> None:
        """Make a fault strike, log it, and schedule the steps that follow it."""
        self._strikes += 1
        # Each strike has a random source of its own, so that one fault's draws do not change the others.
        chance = random.Random(f"{self._script.seed} {self._strikes}")  # noqa: S311 - repeatable on purpose
        note = fault.strike(self._context, Trigger(chance=chance, message=message, client=client, order=order))
        words = fault.words if note is None else f"{fault.words}: {note}"
        self._fired.append((self._gateway.schedule.now_ns, words))
        _log.info("fault: %s", words)
        for later in self._script.steps:
            if step is not None and isinstance(later, After) and later.after == step.name:
                self._follow(later)

    def _follow(self, step: After) -> None:
        self._keep_scheduled(self._gateway.schedule.after(step.seconds, lambda: self._strike(step.then, step)))

    # ---- switches ---------------------------------------------------------------------------------------------

    def hang_up(self, client_id: int | None = None) -> None:
        """Close the socket of one client, or of all, at once."""
        self.cause(HangUp(client=client_id))

    def refuse(self, refuses: bool = True) -> None:
        """Refuse new connections from now on, or accept them again, whichever fault refused them."""
        if refuses:
            self.cause(RefuseConnections())
        else:
            self._do(self._context.refusals.clear)

    def lose_connectivity(self) -> None:
        """Disconnect TWS from the market until `restore`; see `LoseConnectivity`."""
        self.cause(LoseConnectivity())

    def restore(self, *, data_kept: bool = True) -> None:
        """Reconnect TWS; see `RestoreConnectivity`."""
        self.cause(RestoreConnectivity(data_kept=data_kept))

    def reject_next_order(self, reason: str = "rejected on request") -> None:
        """Reject the next new order of any client with error 201 and this reason."""
        self.cause(RejectNextOrder(reason=reason))

    def duplicate_executions(self, duplicates: bool = True) -> None:
        """Report every execution and its commission twice from now on, or once again."""
        if duplicates:
            self.cause(DuplicateExecutions())
        else:
            self._do(self._context.end_duplicating)

    def roll_back_next_valid_id(self, to: int, client_id: int | None = None) -> None:
        """Announce `to` as the next order id of one client or all, and accept ids from there on."""
        self.cause(SetNextOrderId(to=to, client=client_id))

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


class _MessageWatch(Rule):
    """Waits for the n-th message of a name, and strikes before it is forwarded."""

    def __init__(self, step: OnMessage, strike: Callable[..., None]) -> None:
        super().__init__(Scope(messages=frozenset({step.on_message}), client=step.of_client), step.nth)
        self._strike = strike

    def meet(self, passing: PassingMessage, onward: Onward) -> None:
        """Count a message."""
        self.spend()
        if self.is_over:
            self._strike(message=passing.name, client=passing.session.client_id, order=passing.order())
        onward(passing)
