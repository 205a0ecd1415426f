"""Calls of strategies' code: an error ends its run and undoes its actions; the other runs continue."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from types import FrameType
from typing import TYPE_CHECKING

from ibdesk.engine.aims import AIM_TIMER
from ibdesk.engine.run import Run, RunState
from ibdesk.interrupts import CallInterrupted, is_interrupt
from ibdesk.model import (
    Action,
    Alert,
    Bar,
    CancelOrder,
    ModifyOrder,
    OrderDenied,
    OrderDropped,
    OrderQueued,
    OrderStatus,
    PlaceOrder,
    Quote,
    RunFailed,
    RunInterrupted,
    SetTimer,
    Severity,
    StateChanged,
    Tick,
    TradingHalted,
    run_scope,
)
from ibdesk.strategy import error_words

if TYPE_CHECKING:
    from ibdesk.engine.blotter import Blotter
    from ibdesk.engine.engine import Engine
    from ibdesk.engine.lane import Lane
    from ibdesk.engine.outbox import Outbox

# The numbers of interrupted calls that have none of their own (see `RunInterrupted`).
_MARKET, _STATE = 0, -1
# Modules of the engine that change only data of the run that they work for.
_OF_ONE_RUN = frozenset({"ibdesk.engine.features", "ibdesk.engine.lane", "ibdesk.engine.bars"})
# The other functions of the engine that call hooks: the frame that they call is a strategy's code.
_CALLERS = frozenset({("ibdesk.engine.strategy_calls", "call"), ("ibdesk.engine.engine", "_begin")})


class StrategyCalls:
    """Calls hooks and compares states. With `strict` errors propagate; otherwise they end the run.

    Exceptions of a signal (Ctrl-C) always propagate.
    """

    def __init__(self, engine: Engine, outbox: Outbox, *, strict: bool) -> None:
        self._engine, self._outbox, self._strict = engine, outbox, strict
        # Errors of hooks inside other hooks of the same run that are not done yet.
        # None stands for the run that is being called.
        self.faults: list[tuple[Run | None, BaseException]] = []
        # The runs that were interrupted in this event, and those that a replay interrupts, by run.
        self.interrupted: list[RunInterrupted] = []
        self.expected: dict[str, RunInterrupted] = {}
        # The number of outermost calls so far.
        self._made = 0
        # The runs whose strategies use their state.
        self.with_state: list[Run] = []

    def call(self, run: Run, hook: Callable[..., None], *arguments: object) -> None:
        """Call a hook of a run."""
        number = 0
        if not run.orders.inside:
            number = self._made = self._made + 1
        try:
            if self.expected:
                self._interrupt(run, number)
            hook(*arguments)
        except BaseException as error:
            if run.orders.inside:
                # The outer hook ends the run, even if its code catches this.
                run.is_faulty = True
                self.faults.append((run, error))
                raise
            self.fail(run, error, number)
        if self.faults and not run.orders.inside:
            self.end_faulty(run, number)

    def fail(self, run: Run, error: BaseException, number: int = _MARKET) -> None:
        """End a run whose code raised `error` in the call of this number, unless it has already ended.

        Raises:
            CallInterrupted: If the call was interrupted inside engine code, whose books may be half changed.
        """
        # The first of several is the cause of the others.
        error = next((first for faulty, first in self.faults if faulty is run or faulty is None), error)
        if self._strict or is_interrupt(error):
            raise error
        if run.state is not RunState.RUNNING:
            return
        if isinstance(error, CallInterrupted):
            if _is_amid_engine(error):
                raise error
            self._note_interrupted(run, number, str(error))
        _take_back(self._engine, self._outbox, run)
        note = error_words(error)
        self._engine.end_run(run, RunState.FAILED, note)
        self._engine.orders.aims.go_on(run)
        self._outbox.add(RunFailed(run.id, note, self._outbox.now_ns))
        self._outbox.alert(run.id, f"stopped, because its code failed: {note}", Severity.ERROR)

    def end_faulty(self, called: Run, number: int = _MARKET) -> None:
        """End the runs whose hooks raised inside hooks that caught the error; `called` is the run just called."""
        faults, self.faults = self.faults, []
        for run, error in faults:
            self.fail(run or called, error, number)

    def note_interruption(self, error: CallInterrupted) -> None:
        """Note that the run being called was interrupted, so that it ends even if its code catches that."""
        self.faults.append((None, error))

    def _note_interrupted(self, run: Run, number: int, note: str) -> None:
        """Record an interruption, with the halts that the call may have caused: they stay."""
        halts = [action.halt for action in self._outbox.actions if isinstance(action, TradingHalted)]
        self.interrupted.append(RunInterrupted(run.id, number, note, self._outbox.now_ns, halts))
        # A replay does not make the call, so it does not count its orders.
        self._engine.orders.repetition.forget(run_scope(run.id))

    def expect(self, interruption: RunInterrupted) -> None:
        """Interrupt a run in the next event, as recorded."""
        self.expected[interruption.run_id] = interruption

    def expecting(self, lanes: Iterable[Lane]) -> list[ExpectingLane]:
        """Return lanes that are interrupted as expected."""
        return [ExpectingLane(self, lane) for lane in lanes]

    def _interrupt(self, run: Run, number: int) -> None:
        """Raise the recorded interruption of the call with this number, if any."""
        expected = self.expected.get(run.id)
        if expected is not None and expected.call == number:
            del self.expected[run.id]
            for halt in expected.halts:
                self._engine.orders.halting.put(halt)
            raise CallInterrupted(expected.note)

    def watch_state(self, run: Run) -> None:
        """Compare the state of a run's strategy after each event, and store it if it has changed."""
        if not run.is_state_watched:
            run.is_state_watched = True
            self.with_state.append(run)

    def keep_states(self) -> None:
        """Record the changes of strategies' states in this event, after all other actions."""
        for run in list(self.with_state):
            if run.state is RunState.FAILED:
                # Its last good state remains.
                self._watch_no_more(run)
                continue
            try:
                if self.expected:
                    self._interrupt(run, _STATE)
                changes = run.keep_state()
                if changes:
                    self._outbox.add(StateChanged(run.id, changes))
            except BaseException as error:  # noqa: BLE001 - any error ends only this run
                self.fail(run, error, _STATE)
            if self.faults:
                self.end_faulty(run, _STATE)
            if not run.is_running:
                self._watch_no_more(run)

    def _watch_no_more(self, run: Run) -> None:
        run.is_state_watched = False
        self.with_state.remove(run)


class ExpectingLane:
    """A lane in a replay, with the recorded interruptions."""

    def __init__(self, calls: StrategyCalls, lane: Lane) -> None:
        self.run = lane.run
        self._calls, self._lane = calls, lane

    def on_bar(self, bar: Bar) -> None:
        """Handle a bar, or raise its interruption."""
        self._calls._interrupt(self.run, _MARKET)
        self._lane.on_bar(bar)

    def on_quote(self, quote: Quote) -> None:
        """Handle a quote, or raise its interruption."""
        self._calls._interrupt(self.run, _MARKET)
        self._lane.on_quote(quote)

    def on_tick(self, tick: Tick) -> None:
        """Handle a trade print, or raise its interruption."""
        self._calls._interrupt(self.run, _MARKET)
        self._lane.on_tick(tick)


def may_be_interrupted(frames: Iterable[FrameType]) -> bool:
    """Return whether an asynchronous exception in this code affects only the run that is called.

    The innermost frame comes first. Libraries, and our modules outside the engine, work for their caller.
    """
    is_inside = False
    for frame in frames:
        module = str(frame.f_globals.get("__name__", ""))
        if module in _OF_ONE_RUN or (is_inside and (module, frame.f_code.co_name) in _CALLERS):
            return True
        if module.startswith(("ibdesk.engine.", "ibdesk.model.")):
            return False
        is_inside = True
    return True


def _is_amid_engine(error: CallInterrupted) -> bool:
    """Return whether another thread has interrupted code that works for all runs."""
    # In a replay the engine itself raises it, and then it has exactly this class.
    if type(error) is CallInterrupted:
        return False
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return not may_be_interrupted(reversed(frames))


def _take_back(engine: Engine, outbox: Outbox, run: Run) -> None:
    """Undo the actions of a run in the current event: none of them leaves, and the books are as before."""
    own = [action for action in outbox.actions if _is_of(action, run.id)]
    made = dict.fromkeys(order_id for action in own if (order_id := _made_by(action, engine.blotter)))
    engine.orders.aims.take_back(run, made)
    if not own:
        return
    taken = {id(action) for action in own}
    outbox.actions = [
        action
        for action in outbox.actions
        # A halt may have dropped waiting orders.
        if id(action) not in taken and not (isinstance(action, OrderDropped) and action.order_id in made)
    ]
    for action in own:
        if isinstance(action, ModifyOrder | CancelOrder):
            engine.blotter.take_back(action.order_id)
        elif isinstance(action, SetTimer) and action.timer_id.startswith(AIM_TIMER):
            run.lanes[action.timer_id.split("/", 3)[3]].is_timed = False
    for order_id in made:
        engine.orders.queue.drop(order_id)
        if (order := engine.blotter.orders.get(order_id)) is not None:
            engine.orders.closed.drop(order)
    engine.blotter.forget(made)
    # The next order gets the number of the first one that never left.
    run.orders.made = min((int(order_id.rpartition(".")[2]) - 1 for order_id in made), default=run.orders.made)
    engine.gate.forget_sent(
        sum(isinstance(action, PlaceOrder | ModifyOrder) for action in own), engine.freshness.now_ns
    )
    for lane in run.lanes.values():
        lane.is_stale = True


def _is_of(action: Action, run_id: str) -> bool:
    """Return whether an action of this event was caused by the code of a run."""
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
    """Return the id of the order whose first action this is, or an empty string."""
    match action:
        case PlaceOrder():
            return action.order.id
        case OrderQueued():
            # It is repeated when a waiting order is changed.
            return action.order.id if action.order.created_ns == action.order.updated_ns else ""
        case OrderDenied():
            # An order whose new terms were denied stays open.
            order = blotter.orders.get(action.order_id)
            return action.order_id if order is None or order.status is OrderStatus.DENIED else ""
    return ""
