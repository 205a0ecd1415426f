"""Recovery: the journal that a new desk continues from, and the snapshot in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from ibdesk.engine import MANUAL, WITHDRAWN, Engine, Exposure, RiskGate, RiskLimits, RunState, snapshot_of
from ibdesk.errors import JournalError, OrderDeniedError
from ibdesk.model import (
    Action,
    AimChanged,
    CancelOrder,
    EngineSnapshot,
    Halt,
    Order,
    OrderDenied,
    OrderDropped,
    OrderQueued,
    OrderStatus,
    PlaceOrder,
    Restore,
    RunFailed,
    StartStrategy,
    StateChanged,
    StopStrategy,
    TradingHalted,
    moment,
)
from ibdesk.store.journal import SCHEMA_VERSION, CopyMark, JournalHeader
from ibdesk.store.journal_files import journals_in
from ibdesk.store.journal_reader import JournalReader, UnbornJournalError
from ibdesk.strategy import Strategy


class RecordedGate(RiskGate):
    """The risk gate of a recorded engine: it repeats the recorded denials and checks nothing itself.

    Its denials and halts are in the journal; the prices that it used are not read.
    """

    decides = False

    def __init__(self, limits: RiskLimits) -> None:
        super().__init__(limits)
        self._denials: dict[str, OrderDenied] = {}

    def recall(self, actions: Sequence[Action]) -> None:
        """Take the denials of the event that is handled next."""
        self._denials = {action.order_id: action for action in actions if isinstance(action, OrderDenied)}

    def check(self, order: Order, exposure: Exposure, at_ns: int) -> bool:  # noqa: ARG002 - the journal decides
        """Let the order pass if it passed; whether it reduced a position no longer matters.

        Raises:
            OrderDeniedError: If it was denied, with the recorded figures.
        """
        denial = self._denials.get(order.id)
        if denial is not None:
            raise OrderDeniedError(denial.order_id, denial.rule, denial.limit, denial.asked)
        return False

    def room_at(self, at_ns: int) -> int:
        """Return `at_ns`, as anything may leave: the journal holds the orders that waited."""
        return at_ns


def restore_from(
    own: Path,
    header: JournalHeader,
    *,
    account: str,
    at_ns: int,
    halt_only: bool = False,
    on_gap: Callable[[str], None] | None = None,
) -> Restore:
    """Return the command by which a new desk, whose journal is `own`, continues from the newest one before it.

    With `halt_only` only the halts are taken over: the account of that desk ended with it. After a copy from which no
    desk can continue, the new desk begins with empty books, and halted. `on_gap` receives a sentence if the journal
    lacks an event: the books may lack its effects.

    The journal is the newest one of the same mode and account in the folder of `own`, whatever its client id was:
    books, the day's loss and halts belong to the account. A journal that ended before its own `Restore` is skipped,
    because its desk did not trade, and so is a file without a header.

    Raises:
        JournalError: If that journal cannot be read, or was written by another version of ibdesk: it may hold open
            orders, and the desk must not trade beside them.
    """
    for path in journals_in(own.parent, header.mode):
        if path.name >= own.name:
            continue
        try:
            journal = _opened(path)
        except UnbornJournalError:
            continue
        with journal:
            traded = account_of(journal)
            if journal.copy is not None and journal.copy.fault and traded in ("", account):
                return _halted(journal.copy, account, at_ns)
            if traded == account:
                snapshot = snapshot_in(journal, at_ns)
                if on_gap is not None and (lacking := journal.first_lacking):
                    on_gap(
                        f"{path} lacks event {lacking}: it is damaged, and the effects of that event are missing from "
                        f"the books and halts; compare both with TWS"
                    )
                if halt_only:
                    return Restore(
                        account=account,
                        at_ns=at_ns,
                        snapshot=EngineSnapshot(halts=snapshot.halts, halts_made=snapshot.halts_made),
                    )
                client_id = journal.header.client_id
                return Restore(account=account, at_ns=at_ns, earlier=path.name, client_id=client_id, snapshot=snapshot)
    return Restore(account=account, at_ns=at_ns)


def _halted(copy: CopyMark, account: str, at_ns: int) -> Restore:
    """Return the command by which a desk begins halted, because the books before it are incomplete.

    Its positions are not known here, nor whether it was halted: a strategy could buy a position a second time.
    """
    reason = (
        f"the books of the desk on {copy.host}, which traded before, could not be copied ({copy.fault}): compare the "
        f"account with the positions that strategies should hold"
    )
    halt = Halt(reason, "standby", at_ns, f"{moment(at_ns):%Y%m%d-%H%M%S}-1")
    return Restore(account=account, at_ns=at_ns, snapshot=EngineSnapshot(halts=[halt], halts_made=1))


def restore_from_journal(path: Path, command: Restore) -> Restore:
    """Return the command with the snapshot of the journal at `path`.

    Raises:
        JournalError: If it cannot be read.
    """
    with JournalReader(path) as journal:
        return msgspec.structs.replace(command, snapshot=snapshot_in(journal, command.at_ns))


def account_of(journal: JournalReader) -> str:
    """Return the account of a journal's `Restore`, an empty string if there is none."""
    for entry in journal.book_entries():
        if isinstance(entry.event, Restore):
            return entry.event.account
    return ""


def snapshot_in(journal: JournalReader, at_ns: int) -> EngineSnapshot:
    """Return the snapshot of a journal for a desk that begins at `at_ns`; no strategy runs for it.

    Raises:
        JournalError: If the journal cannot be read.
    """
    # The engine books as before. Inert strategies replace the real ones, whose actions are recorded.
    gate = RecordedGate(journal.header.limits)
    engine = Engine(strategies=lambda _: Strategy(), gate=gate, client_id=journal.header.client_id)
    for entry in journal.book_entries():
        event = entry.event
        if isinstance(event, StartStrategy):
            event = msgspec.structs.replace(event, history=[])
        elif isinstance(event, StopStrategy):
            event = msgspec.structs.replace(event, flatten=False)
        gate.recall(entry.actions)
        engine.handle(event)
        for action in entry.actions:
            _redo(engine, action)
    return snapshot_of(engine, at_ns)


def _redo(engine: Engine, action: Action) -> None:
    """Repeat a recorded action of a strategy or the risk gate."""
    match action:
        case PlaceOrder(order) | OrderQueued(order):
            engine.blotter.put(order)
            _count(engine, order.id)
        case OrderDenied(order_id=order_id):
            _count(engine, order_id)
            denial = OrderDeniedError(order_id, action.rule, action.limit, action.asked)
            _end_waiting(engine, order_id, OrderStatus.DENIED, action.at_ns, str(denial))
        case OrderDropped(order_id, at_ns):
            _end_waiting(engine, order_id, OrderStatus.CANCELLED, at_ns, WITHDRAWN)
        case CancelOrder(order_id) if (asked := engine.blotter.orders.get(order_id)) and asked.is_open:
            engine.blotter.withdraw(order_id)
        case TradingHalted():
            engine.gate.halts.put(action.halt)
        case RunFailed(run_id, note):
            engine.runs[run_id].state, engine.runs[run_id].note = RunState.FAILED, note
        case StateChanged(run_id, changes):
            engine.runs[run_id].take_state_changes(changes)
        case AimChanged(run_id, instrument, aim) if run_id == MANUAL:
            engine.orders.manual_exits.take(instrument, aim)
        case AimChanged(run_id, instrument, aim):
            engine.runs[run_id].lanes[instrument].take_aim(aim)
        case _:
            pass


def _end_waiting(engine: Engine, order_id: str, status: OrderStatus, at_ns: int, reason: str) -> None:
    """End an order that has not left."""
    order = engine.blotter.orders.get(order_id)
    if order is not None and order.status is OrderStatus.CREATED:
        engine.blotter.put(order.moved(status, at_ns, reason=reason))


def _count(engine: Engine, order_id: str) -> None:
    run = engine.runs.get(order_id.rpartition(".")[0])
    if run is not None:
        run.orders.count(order_id)


def _opened(path: Path) -> JournalReader:
    try:
        return JournalReader(path)
    except UnbornJournalError:
        raise
    except JournalError as error:
        raise JournalError(
            f"the desk cannot continue from its last journal, which may hold open orders: {error}; settle its orders "
            f"in TWS and move the file away to begin with empty books (this version writes schema {SCHEMA_VERSION})"
        ) from None
