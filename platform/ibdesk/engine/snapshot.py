"""Snapshots: the state that an engine leaves to the next generation, and its restoration.

The law of this module: an engine that restores a snapshot gives the same snapshot.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from ibdesk.engine.aims import leaves
from ibdesk.engine.blotter import NEVER_LEFT
from ibdesk.engine.market import Market
from ibdesk.engine.portfolio import MANUAL
from ibdesk.engine.run import Run, RunState
from ibdesk.model import (
    AnyInstrument,
    BookSnapshot,
    DayBegan,
    EngineSnapshot,
    Halt,
    Order,
    OrderStatus,
    Restore,
    RunSnapshot,
    Severity,
    Valuation,
    moment,
)
from ibdesk.strategy import Strategy

if TYPE_CHECKING:
    from ibdesk.engine.engine import Engine

# TWS repeats executions of up to seven days; a correction must find its execution.
_DAYS_KEPT_NS = 8 * 86_400 * 1_000_000_000


def snapshot_of(engine: Engine, at_ns: int) -> EngineSnapshot:
    """Return the engine's snapshot for a desk that begins at `at_ns`."""
    since_ns = at_ns - _DAYS_KEPT_NS
    ended = (_as_it_ends(order, at_ns) for order in engine.blotter.orders.values())
    orders = [order for order in ended if _counts(order, since_ns)]
    owners = {order.owner for order in orders if order.is_open}
    fills = engine.portfolio.fill_snapshots(since_ns)
    runs = [_left(run) for run in engine.runs.values() if _matters(run, owners)]
    owners |= {left.owner for left in fills} | {left.start.run_id for left in runs}
    is_kept = engine.orders.exposures.has_foreign_money
    books = [
        # The profit of a book in another currency changes its worth each day.
        book
        for book in engine.portfolio.book_snapshots()
        if book.owner in owners or _holds(book) or is_kept(book.owner)
    ]
    gate, kept_runs = engine.gate, {left.start.run_id for left in runs}
    day, left_behind = engine.losses.marks(at_ns), engine.portfolio.pnl_without({book.owner for book in books})
    return EngineSnapshot(
        books=books,
        orders=orders,
        fills=fills,
        runs=runs,
        halts=list(gate.halts.values()),
        halts_made=gate.halts.made,
        uncovered=dict(engine.orders.outside.uncovered),
        withdrawn=[order.id for order in orders if engine.blotter.is_withdrawn(order.id)],
        cash=dict(engine.check.cash.expected),
        manual_exits=dict(engine.orders.manual_exits.aims),
        overruled=dict(engine.orders.overrules.orders),
        # The profit of books that are left out must not look like a loss of this day.
        day_pnl=0.0 if day is None else day.pnl - left_behind,
        day_ends_ns=0 if day is None else day.ends_ns,
        day_peak=-math.inf if day is None else day.peak - left_behind,
        day_runs={} if day is None else {name: marks for name, marks in day.runs.items() if name in kept_runs},
        day_valuation=Valuation() if day is None else day.valuation,
        instruments=_traded_by_hand(engine, orders),
        limits=gate.limits.by_name if gate.limits != gate.settings else {},
        limits_before=gate.settings.by_name if gate.limits != gate.settings else {},
    )


def restore(engine: Engine, command: Restore) -> None:
    """Restore a snapshot: earlier runs wait to be started again, and halts stay in force."""
    snapshot = command.snapshot
    engine.orders.exposures.take_valuation(snapshot.day_valuation)
    engine.portfolio.restore(snapshot.books, snapshot.fills)
    engine.orders.outside.restore(snapshot.uncovered)
    for instrument in snapshot.instruments:
        engine.orders.watch(instrument)
    for order in snapshot.orders:
        engine.blotter.put(order)
    engine.orders.self_crossing.restore(snapshot.orders)
    for order_id in snapshot.withdrawn:
        engine.blotter.withdraw(order_id)
    engine.check.cash.restore(snapshot.cash)
    for name, aim in snapshot.manual_exits.items():
        engine.orders.manual_exits.take(name, aim)
    for left in snapshot.runs:
        _add_run(engine, left)
    if snapshot.limits:
        _keep_limits(engine, snapshot)
    _continue_day(engine, command)
    engine.losses.awaited.begin(command.at_ns)
    for order in engine.blotter.all_open():
        # Its run was stopped, and the cancel may not have left.
        run = engine.runs.get(order.owner)
        if run is not None and run.state is not RunState.ORPHANED:
            lane = run.lanes.get(order.instrument)
            if lane is None or not leaves(lane, order):
                engine.orders.cancel(order.id)
    _tell_never_sent(engine, command)
    _tell_orphans(engine)
    _take_halts(engine, snapshot)


def _take_halts(engine: Engine, snapshot: EngineSnapshot) -> None:
    """Put the halts of the account in force, and cancel the orders that they do not allow."""
    engine.gate.halts.made = snapshot.halts_made
    engine.orders.overrules.orders = dict(snapshot.overruled)
    for halt in snapshot.halts:
        engine.gate.halts.put(halt)
        engine.alert("desk", halt_words(halt), Severity.ERROR)
    engine.orders.overrules.look_at_halts()
    if snapshot.halts and engine.gate.decides:
        # Another process may have halted while no desk was running.
        engine.orders.halting.cancel_openers()


def _continue_day(engine: Engine, command: Restore) -> None:
    """Continue to measure losses from the recorded profits."""
    snapshot = command.snapshot
    engine.losses.take_limits()
    if snapshot.day_ends_ns:
        engine.losses.continue_day(
            DayBegan(
                snapshot.day_pnl,
                snapshot.day_ends_ns,
                command.at_ns,
                snapshot.day_peak,
                snapshot.day_runs,
                snapshot.day_valuation,
            )
        )


def halt_words(halt: Halt) -> str:
    """Return a sentence with the reason, author and time of a halt, and the remedy."""
    return (
        f"trading has been halted since {moment(halt.at_ns):%Y-%m-%d %H:%M:%S} UTC by {halt.by} ({halt.reason}): "
        f"only orders that reduce a position pass until resume(id={halt.id!r}, reason=...) lifts it"
    )


def _holds(book: BookSnapshot) -> bool:
    return any(position.quantity for position in book.positions)


def _counts(order: Order, since_ns: int) -> bool:
    """Return whether TWS may still report on an order, or its caller may still use its key."""
    if order.status is OrderStatus.DENIED and not order.client_key:
        return False
    return order.is_open or order.updated_ns >= since_ns


def _traded_by_hand(engine: Engine, orders: list[Order]) -> list[AnyInstrument]:
    book = engine.portfolio.books.get(MANUAL)
    used = {order.instrument for order in orders if order.owner == MANUAL}
    used |= {position.instrument for position in book.positions.values() if position.quantity} if book else set()
    return [market.instrument for market in engine.markets.values() if market.instrument.id in used]


def _as_it_ends(order: Order, at_ns: int) -> Order:
    """Return an order in its state at the end of the desk.

    An order that waited for its first answer is UNKNOWN: nobody receives that answer. An order that waited for its turn
    has not left, and never will.
    """
    if order.status is OrderStatus.SENT:
        return order.moved(OrderStatus.UNKNOWN, at_ns)
    if order.status is OrderStatus.CREATED:
        return order.moved(OrderStatus.CANCELLED, at_ns, reason=NEVER_LEFT)
    return order


def _matters(run: Run, owners_of_open_orders: set[str]) -> bool:
    """Return whether the next desk needs a run: it still ran, holds a position, or has open orders."""
    if run.is_running or run.state is RunState.ORPHANED or run.id in owners_of_open_orders:
        return True
    return any(position.quantity for position in run.book.positions.values())


def _left(run: Run) -> RunSnapshot:
    return RunSnapshot(
        start=msgspec.structs.replace(run.start, history=[], state={}),
        was_running=run.state in (RunState.RUNNING, RunState.ORPHANED),
        note=run.note,
        orders_made=run.orders.made,
        state=run.saved_state,
        aims={name: lane.aim for name, lane in run.lanes.items() if lane.aim is not None},
    )


def _add_run(engine: Engine, left: RunSnapshot) -> None:
    """Restore a run with its book and orders, but without its code: it decides nothing."""
    start = msgspec.structs.replace(left.start, state=left.state)
    for instrument in start.instruments:
        engine.markets.setdefault(instrument.id, Market(instrument))
    run = Run(engine, start, Strategy(), engine.make_features, orders_made=left.orders_made)
    run.state, run.note = RunState.ORPHANED if left.was_running else RunState.STOPPED, left.note
    for name, aim in left.aims.items():
        if name in run.lanes:
            run.lanes[name].take_aim(aim)
    engine.runs[run.id] = run
    engine.losses.take_budget(run.id, start.budget)


def _keep_limits(engine: Engine, snapshot: EngineSnapshot) -> None:
    """Keep limits that a person has changed at run time, unless the settings were changed since."""
    if engine.gate.settings.by_name == snapshot.limits_before:
        engine.gate.change(engine.gate.settings.but(snapshot.limits))
        text = "the limits that were changed before the restart still apply"
    else:
        text = "the limits that were changed before the restart no longer apply: the settings were changed since"
    engine.alert("risk", text, Severity.WARNING)


def _tell_never_sent(engine: Engine, command: Restore) -> None:
    for order in command.snapshot.orders:
        if order.reason == NEVER_LEFT and order.updated_ns == command.at_ns:
            text = f"order {order.id} waited for its turn when the desk stopped, and was never sent: place it again"
            engine.alert(order.owner, text, Severity.WARNING)


def _tell_orphans(engine: Engine) -> None:
    waiting = [run for run in engine.runs.values() if run.state is RunState.ORPHANED]
    for run in waiting:
        held = ", ".join(f"{p.quantity:g} {p.instrument}" for p in run.book.positions.values() if p.quantity)
        orders = sum(order.owner == run.id for order in engine.blotter.all_open())
        engine.alert(
            run.id,
            f"was running when the desk stopped; it holds {held or 'nothing'} and has {orders or 'no'} open orders: "
            f"start it again to continue, or stop it to cancel any orders",
            Severity.WARNING,
        )
