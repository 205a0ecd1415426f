"""Continuation of earlier journals: their orders at TWS, and the run that a start continues."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ibdesk.engine import MANUAL, Run, RunState
from ibdesk.engine.blotter import NEVER_LEFT
from ibdesk.errors import DeskError
from ibdesk.model import AnyInstrument, Commission, EngineSnapshot, OrderStatus, Restore, StartStrategy
from ibdesk.tws import TwsService


def hand_over(service: TwsService, command: Restore) -> None:
    """Pass the restored orders and fills to the service, whose first comparison asks TWS about them."""
    snapshot = command.snapshot
    instruments = {each.id: each for left in snapshot.runs for each in left.start.instruments}
    instruments |= {each.id: each for each in snapshot.instruments}
    held: dict[str, float] = {}
    for position in (position for book in snapshot.books for position in book.positions):
        held[position.instrument] = held.get(position.instrument, 0.0) + position.quantity
    service.resume(
        # TWS never received denied orders. A waiting order may have left without a journal entry, so TWS is asked.
        orders=[
            order for order in snapshot.orders if order.status is not OrderStatus.DENIED and order.reason != NEVER_LEFT
        ],
        fills=[left.fill for left in snapshot.fills],
        commissions=[
            Commission(execution_id=left.fill.execution_id, amount=left.commission, at_ns=left.fill.at_ns)
            for left in snapshot.fills
            if left.commission is not None
        ],
        instruments=instruments.values(),
        owners=[*(left.start.run_id for left in snapshot.runs), MANUAL] if command.earlier else [],
        client_id=command.client_id if command.earlier else None,
        held=held,
        withdrawn=snapshot.withdrawn,
    )


def inherited(snapshot: EngineSnapshot) -> list[AnyInstrument]:
    """Return the instruments that were traded by hand, and those held by runs that do not continue yet."""
    held = {
        (book.owner, position.instrument) for book in snapshot.books for position in book.positions if position.quantity
    }
    found = {each.id: each for each in snapshot.instruments}
    for left in snapshot.runs:
        found |= {each.id: each for each in left.start.instruments if (left.start.run_id, each.id) in held}
    return list(found.values())


def predecessor(runs: Mapping[str, Run], start: StartStrategy, run_id: str) -> Run | None:
    """Return the run to continue: the run `run_id`, or the oldest orphan that was started in the same way.

    Raises:
        DeskError: If there is no run `run_id`, or an orphan of this strategy on one of the instruments was started in
            another way: two runs would hold the same position.
    """
    if run_id:
        if run_id not in runs:
            raise DeskError(f"there is no run {run_id!r} to continue: the runs are {', '.join(runs) or 'none'}")
        return runs[run_id]
    orphans = [run for run in runs.values() if run.state is RunState.ORPHANED and _is_of(run, start)]
    for run in orphans:
        if _likeness(run.start) == _likeness(start):
            return run
    wanted = {instrument.id for instrument in start.instruments}
    for run in orphans:
        if not wanted.isdisjoint(run.lanes):
            raise DeskError(
                f"{run.id} was left by an earlier desk with {_holdings(run)} ({'; '.join(_differences(run, start))}): "
                f"continue it in the requested way with run_id={run.id!r} (--take-over {run.id}), or stop it first, "
                f"with flatten to close its positions"
            )
    return None


def _is_of(run: Run, start: StartStrategy) -> bool:
    """Return whether a run is of the same strategy; its file may have moved."""
    return (run.start.source.class_name, run.start.name) == (start.source.class_name, start.name)


def _holdings(run: Run) -> str:
    held = ", ".join(f"{each.quantity:g} {each.instrument}" for each in run.book.positions.values() if each.quantity)
    orders = sum(len(run.open_orders(symbol)) for symbol in run.lanes)
    return f"{held or 'no position'} and {orders} open order{'' if orders == 1 else 's'}"


def _differences(run: Run, start: StartStrategy) -> Iterator[str]:
    """Yield the differences between the run and the request."""
    known = run.start
    for name, value in start.parameters.items():
        if known.parameters.get(name) != value:
            yield f"{name} was {known.parameters.get(name)}, not {value}"
    if {instrument.id for instrument in start.instruments} != set(run.lanes):
        yield f"it was on {', '.join(run.lanes)}"
    if known.interval_ns != start.interval_ns or known.bar_source is not start.bar_source:
        yield "its bars differed"


def _likeness(start: StartStrategy) -> object:
    """Return the facts that two starts of the same run share; the code may have been corrected in between."""
    names = sorted(instrument.id for instrument in start.instruments)
    return start.parameters, names, start.interval_ns, start.bar_source
