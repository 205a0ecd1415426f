"""What of a gateway outlives it: accounts, orders, executions and ids.

It is written before anybody is told what has changed, so that no client ever knows more than the file; and only what
has changed is written, so that it costs the same however much is kept.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ibdesk.errors import ConfigError
from ibdesk.gateway.account.accounts import Accounts
from ibdesk.gateway.account.ledger import CashMove, Holding, Ledger
from ibdesk.gateway.contracts.book import ContractBook
from ibdesk.gateway.contracts.contract import ContractData
from ibdesk.gateway.protocol.codec import Fields
from ibdesk.gateway.state_file import Row, StateFile
from ibdesk.gateway.times import midnight
from ibdesk.gateway.venue.memory import ExecutionMemory, IdsMemory, VenueMemory, remembered
from ibdesk.gateway.venue.notifier import NullRecorder
from ibdesk.gateway.venue.records import Execution, OrderRecord
from ibdesk.gateway.venue.venue import Venue

_log = logging.getLogger(__name__)

_T = TypeVar("_T")
SOON_SECONDS = 1.0
"""How long what changes all the time, as a stop that follows the market, may wait to be written."""


class Whole(msgspec.Struct, frozen=True):
    """What is kept of the gateway as a whole: its time when that was written (ns UTC), its ids and exchange rates."""

    saved_ns: int
    ids: IdsMemory
    rates: dict[str, float]


class AccountMemory(msgspec.Struct, frozen=True):
    """What is kept of an account beside its holdings: money by currency, and its value when its day began.

    `moves` are those of money without a trade.
    """

    account: str
    cash: dict[str, float]
    opening_value: float
    moves: list[CashMove] = []


class HoldingMemory(msgspec.Struct, frozen=True):
    """What an account holds, or has held, in one contract."""

    account: str
    holding: Holding


class State(msgspec.Struct, frozen=True):
    """All that an earlier run has left."""

    whole: Whole
    accounts: list[AccountMemory]
    holdings: list[HoldingMemory]
    orders: list[OrderRecord]
    executions: list[ExecutionMemory]


class StateStore:
    """Keeps the state of one gateway in its file.

    Raises:
        ConfigError: From `load`, if the file is there and cannot be used.
    """

    def __init__(
        self, path: Path, accounts: Accounts, venue: Venue, contracts: ContractBook, now_ns: Callable[[], int]
    ) -> None:
        self._file = StateFile(path)
        self._accounts = accounts
        self._venue = venue
        self._contracts = contracts
        self._now_ns = now_ns
        self._loop: asyncio.AbstractEventLoop | None = None
        self._found: State | None = None
        # What has changed since it was last written: orders by permanent id, executions by their place among all.
        self._orders: dict[int, OrderRecord] = {}
        self._executions: dict[int, Execution] = {}
        self._is_new_day = True
        self._is_urgent = False
        self._appointment: asyncio.Handle | None = None

    # ---- from the run before ----------------------------------------------------------------------------------

    def load(self, loop: asyncio.AbstractEventLoop) -> None:
        """Open the file, or make it where there is none, and keep it on this loop from now on.

        Raises:
            ConfigError: If it cannot be read or written, is in use, or holds what the gateway does not have.
        """
        rows = self._file.open()
        try:
            self._found = self._checked(_read(rows)) if rows else None
        except ConfigError as error:
            self._file.close()
            raise ConfigError(f"gateway.state {self._file.path} {error}") from error
        self._loop = loop

    def _checked(self, found: State) -> State:
        known = {ledger.account for ledger in self._accounts}
        for account in found.accounts:
            if account.account not in known:
                raise ConfigError(
                    f"holds account {account.account}, which the gateway does not have: "
                    "name it in gateway.accounts, or name another file"
                )
        orders = {record.key for record in found.orders}
        for execution in found.executions:
            if execution.key not in orders:
                raise ConfigError(f"has execution {execution.id} and not its order")
        return found

    def restore(self) -> None:
        """Bring back what was read: first what accounts hold, then the orders, which are worked on at once.

        Executions and completed orders are those of the day, as TWS keeps them (documented).
        """
        found = self._found
        if found is not None:
            self._accounts.rates.restore(found.whole.rates)
            for account in found.accounts:
                ledger = self._accounts.named(account.account)
                ledger.cash, ledger.opening_value = dict(account.cash), account.opening_value
                ledger.moves = list(account.moves)
            for each in found.holdings:
                each.holding.contract = self._known_as(each.holding.contract)
                self._accounts.named(each.account).holdings[each.holding.contract.id] = each.holding
            memory, today_ns = VenueMemory(found.whole.ids, found.orders, found.executions), midnight(self._now_ns())
            if found.whole.saved_ns < today_ns:
                self._accounts.begin_day()
            self._venue.restore(memory, found.whole.saved_ns, since_ns=today_ns, known_as=self._known_as)
        self._found = None
        self._orders = {record.permanent_id: record for record in self._venue.records.values()}
        self._executions = dict(enumerate(self._venue.executions))
        self._write(afresh=True)
        self._venue.recorder = self

    def _known_as(self, contract: ContractData) -> ContractData:
        """Return a contract as the gateway knows it now, with its market played."""
        if contract.legs:
            for leg in contract.legs:
                self._known_as(leg.contract)
            return contract
        known = self._contracts.restored(contract)
        self._contracts.single_out(known)
        return known

    # ---- what changes -----------------------------------------------------------------------------------------

    def order(self, record: OrderRecord, *, at_once: bool = True) -> None:
        """Note that an order is changing; it is written in this turn of the loop, or within a second."""
        self._orders[record.permanent_id] = record
        self._touch(at_once=at_once)

    def execution(self, place: int, execution: Execution) -> None:
        """Note an execution, with it the account and what it holds."""
        self._executions[place] = execution
        self._touch()

    def ids(self) -> None:
        """Note that ids are counted from somewhere else."""
        self._touch()

    def day(self) -> None:
        """Note that a day has begun, for every account and all that it holds."""
        self._is_new_day = True
        self._touch()

    def settle(self) -> None:
        """Write what has changed, if it has; called before clients are told."""
        if self._is_urgent:
            self._write()

    def close(self) -> None:
        """Write for the last time, if it has come to keeping anything, and let the file go."""
        if self._venue.recorder is self:
            self._venue.recorder = NullRecorder()
            self._write()
        self._file.close()

    def _touch(self, *, at_once: bool = True) -> None:
        assert self._loop is not None, "a state is kept from `load` on"  # noqa: S101
        if self._is_urgent or (self._appointment is not None and not at_once):
            return
        self._is_urgent = at_once
        if self._appointment is not None:
            self._appointment.cancel()
        self._appointment = (
            self._loop.call_soon(self._write) if at_once else self._loop.call_later(SOON_SECONDS, self._write)
        )

    # ---- writing ----------------------------------------------------------------------------------------------

    def _write(self, *, afresh: bool = False) -> None:
        if self._appointment is not None:
            self._appointment.cancel()
            self._appointment = None
        self._is_urgent = False
        try:
            self._file.put(self._rows(), alone=afresh)
        except OSError as error:
            # The gateway goes on; the next change tries again with what has not been written.
            _log.error("gateway.state %s cannot be written: %s", self._file.path, error)
            return
        self._is_new_day = False
        self._orders.clear()
        self._executions.clear()

    def _rows(self) -> Iterator[Row]:
        """Yield what is to be written: the one row that may always have changed, and what was noted."""
        whole = Whole(self._now_ns(), self._venue.ids_memory(), dict(self._accounts.rates.known))
        yield _row("gateway", "", whole)
        traded = {each.record.account for each in self._executions.values()}
        for ledger in self._accounts:
            if self._is_new_day or ledger.account in traded:
                memory = AccountMemory(ledger.account, ledger.cash, ledger.opening_value, ledger.moves)
                yield _row("account", ledger.account, memory)
        for ledger, name in self._held():
            yield _row("holding", f"{ledger.account} {name}", HoldingMemory(ledger.account, ledger.holdings[name]))
        for permanent_id, record in self._orders.items():
            yield _row("order", str(permanent_id), record)
        for place, execution in self._executions.items():
            yield _row("execution", str(place), remembered(execution))

    def _held(self) -> Iterator[tuple[Ledger, str]]:
        """Yield the holdings that have changed, by account and contract."""
        if self._is_new_day:
            yield from ((ledger, name) for ledger in self._accounts for name in ledger.holdings)
            return
        for account, name in {(each.record.account, each.contract.id): None for each in self._executions.values()}:
            ledger = self._accounts.named(account)
            # A combination as a whole is nothing that is held.
            if name in ledger.holdings:
                yield ledger, name


def _row(kind: str, name: str, value: Any) -> Row:
    return Row(kind, name, msgspec.json.encode(value, enc_hook=_texts_of))


def _read(rows: list[Row]) -> State:
    try:
        [whole] = _values(rows, "gateway", Whole)
        return State(
            whole,
            _values(rows, "account", AccountMemory),
            _values(rows, "holding", HoldingMemory),
            _values(rows, "order", OrderRecord),
            _values(rows, "execution", ExecutionMemory),
        )
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise ConfigError(f"holds no state of a gateway of this version, and is left as it is: {error}") from error


def _values(rows: list[Row], kind: str, of: type[_T]) -> list[_T]:
    return [msgspec.json.decode(row.value, type=of, dec_hook=_fields_of) for row in rows if row.kind == kind]


def _texts_of(value: Any) -> Any:
    if isinstance(value, Fields):
        return [value.name, value.texts]
    raise NotImplementedError(f"a {type(value).__name__} is no part of a gateway's state")


def _fields_of(kind: type, value: Any) -> Any:
    if kind is Fields and isinstance(value, list) and len(value) == 2:
        return Fields(str(value[0]), dict(value[1]))
    raise NotImplementedError(f"a {kind.__name__} is no part of a gateway's state")
