"""Calls the code of strategies: what it raises ends its run and takes back what it did, and the other runs go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ibdesk.engine.aims import AIM_TIMER
from ibdesk.engine.run import Run, RunState
from ibdesk.interrupts import is_interrupt
from ibdesk.model import (
    Action,
    Alert,
    CancelOrder,
    ModifyOrder,
    OrderDenied,
    OrderQueued,
    OrderStatus,
    PlaceOrder,
    RunFailed,
    SetTimer,
    Severity,
    StateChanged,
)
from ibdesk.strategy import error_words

if TYPE_CHECKING:
    from ibdesk.engine.blotter import Blotter
    from ibdesk.engine.engine import Engine
    from ibdesk.engine.outbox import Outbox


class StrategyCalls:
    """Calls hooks and looks at states. With `strict` what they raise comes through; otherwise it ends their run.

    What a signal raises (Ctrl-C) comes through in any case.
    """

    def __init__(self, engine: Engine, outbox: Outbox, *, strict: bool) -> None:
        self._engine, self._outbox, self._strict = engine, outbox, strict
        # What the hooks of runs have raised inside other hooks of theirs that are not done yet.
        self.faults: list[tuple[Run, BaseException]] = []
        # The runs whose strategies use their state.
        self.with_state: list[Run] = []

    def call(self, run: Run, hook: Callable[..., None], *arguments: object) -> None:
        """Call a hook of a run."""
        try:
            hook(*arguments)
        except BaseException as error:
            if run.orders_inside:
                # The outer hook ends the run, even if its code goes on over this.
                run.is_faulty = True
                self.faults.append((run, error))
                raise
            self.fail(run, error)
        if self.faults and not run.orders_inside:
            self.end_faulty()

    def fail(self, run: Run, error: BaseException) -> None:
        """End a run whose code raised `error`; one that has ended already is left as it is."""
        # The first of several is the cause of the others.
        error = next((first for faulty, first in self.faults if faulty is run), error)
        if self._strict or is_interrupt(error):
            raise error
        if run.state is not RunState.RUNNING:
            return
        _take_back(self._engine, self._outbox, run)
        note = error_words(error)
        self._engine.end_run(run, RunState.FAILED, note)
        self._engine.orders.aims.go_on(run)
        self._outbox.add(RunFailed(run.id, note, self._outbox.now_ns))
        self._outbox.alert(run.id, f"stopped, because its code failed: {note}", Severity.ERROR)

    def end_faulty(self) -> None:
        """End the runs whose hooks raised inside hooks that went on over it."""
        faults, self.faults = self.faults, []
        for run, error in faults:
            self.fail(run, error)

    def watch_state(self, run: Run) -> None:
        """Compare the state of a run's strategy after each event, and have it kept when it has changed."""
        if not run.is_state_watched:
            run.is_state_watched = True
            self.with_state.append(run)

    def keep_states(self) -> None:
        """Put on the record what this event has changed in the states of strategies, after all other actions."""
        for run in list(self.with_state):
            if run.state is RunState.FAILED:
                # Its last good state stands.
                self._watch_no_more(run)
                continue
            try:
                changes = run.keep_state()
                if changes:
                    self._outbox.add(StateChanged(run.id, changes))
            except BaseException as error:  # noqa: BLE001 - whatever it is, it ends this run only
                self.fail(run, error)
            if not run.is_running:
                self._watch_no_more(run)

    def _watch_no_more(self, run: Run) -> None:
        run.is_state_watched = False
        self.with_state.remove(run)


def _take_back(engine: Engine, outbox: Outbox, run: Run) -> None:
    """Undo what a run has done in the event being handled: none of it leaves, and the books are as before it."""
    engine.orders.aims.take_back(run)
    own = [action for action in outbox.actions if _is_of(action, run.id)]
    if not own:
        return
    outbox.actions = [action for action in outbox.actions if not any(action is each for each in own)]
    made = [order_id for action in own if (order_id := _made_by(action, engine.blotter))]
    for action in own:
        if isinstance(action, ModifyOrder | CancelOrder):
            engine.blotter.take_back(action.order_id)
        elif isinstance(action, SetTimer) and action.timer_id.startswith(AIM_TIMER):
            run.lanes[action.timer_id.split("/", 3)[3]].is_timed = False
    for order_id in made:
        engine.orders.queue.drop(order_id)
        engine.orders.closed.drop(engine.blotter.orders[order_id])
        engine.blotter.forget(order_id)
    # The next order gets the number of the first one that never left.
    run.orders_made = min((int(order_id.rpartition(".")[2]) - 1 for order_id in made), default=run.orders_made)
    engine.gate.forget_sent(sum(isinstance(action, PlaceOrder | ModifyOrder) for action in own), outbox.now_ns)
    for lane in run.lanes.values():
        lane.is_stale = True


def _is_of(action: Action, run_id: str) -> bool:
    """Return whether the code of a run has caused an action of this event."""
    match action:
        case PlaceOrder() | OrderQueued():
            return action.order.owner == run_id
        case ModifyOrder() | CancelOrder() | OrderDenied():
            return action.order_id.rpartition(".")[0] == run_id
        case SetTimer():
            return action.timer_id.startswith((f"{run_id}/", f"{AIM_TIMER}{run_id}/"))
        case Alert():
            return action.origin == run_id
    return False


def _made_by(action: Action, blotter: Blotter) -> str:
    """Return the id of the order that an action of this event was the first of, an empty string when there is none."""
    match action:
        case PlaceOrder():
            return action.order.id
        case OrderQueued():
            # It comes again when an order that waits already is changed.
            return action.order.id if action.order.created_ns == action.order.updated_ns else ""
        case OrderDenied():
            # An order whose new terms were denied lives on.
            order = blotter.orders.get(action.order_id)
            return action.order_id if order is None or order.status is OrderStatus.DENIED else ""
    return ""
