"""The state of a gateway that outlives it: accounts, orders, executions and ids.

It is written before clients are told of a change, so that no client ever knows more than the file. Only changes are
written, so that the cost does not grow with the size of the state.
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
from ibdesk.gateway.account.ledger import AccountLedger, CashMove, Holding
from ibdesk.gateway.contracts.book import ContractBook
from ibdesk.gateway.contracts.contract import ContractData
from ibdesk.gateway.protocol.codec import Fields
from ibdesk.gateway.state_file import StateFile, StoredRow
from ibdesk.gateway.times import midnight
from ibdesk.gateway.venue.memory import ExecutionMemory, IdsMemory, VenueMemory, remembered
from ibdesk.gateway.venue.notifier import NullRecorder
from ibdesk.gateway.venue.records import Execution, OrderRecord
from ibdesk.gateway.venue.venue import Venue

_log = logging.getLogger(__name__)

_T = TypeVar("_T")
SOON_SECONDS = 1.0
"""The maximum delay before constant changes, such as a trailing stop, are written."""


class GatewayMemory(msgspec.Struct, frozen=True):
    """The state of the gateway as a whole: the time of writing (ns UTC), ids and exchange rates."""

    saved_ns: int
    ids: IdsMemory
    rates: dict[str, float]


class AccountMemory(msgspec.Struct, frozen=True):
    """The state of an account beside its holdings: cash by currency, and its value at the beginning of its day.

    `moves` is cash that moved without a trade.
    """

    account: str
    cash: dict[str, float]
    opening_value: float
    moves: list[CashMove] = []


class HoldingMemory(msgspec.Struct, frozen=True):
    """An account's holding, present or past, in one contract."""

    account: str
    holding: Holding


class SavedState(msgspec.Struct, frozen=True):
    """The complete state of an earlier run."""

    whole: GatewayMemory
    accounts: list[AccountMemory]
    holdings: list[HoldingMemory]
    orders: list[OrderRecord]
    executions: list[ExecutionMemory]


class StateStore:
    """Stores the state of one gateway in its file.

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
        self._found: SavedState | None = None
        # Changes since the last write: orders by permanent id, executions by their index among all.
        self._orders: dict[int, OrderRecord] = {}
        self._executions: dict[int, Execution] = {}
        self._is_new_day = True
        self._is_urgent = False
        self._scheduled_write: asyncio.Handle | None = None

    # ---- restoring --------------------------------------------------------------------------------------------

    def load(self, loop: asyncio.AbstractEventLoop) -> None:
        """Open the file, creating it if needed, and store changes from this loop from now on.

        Raises:
            ConfigError: If it cannot be read or written, is in use, or names accounts that the gateway does not have.
        """
        rows = self._file.open()
        try:
            self._found = self._checked(_read(rows)) if rows else None
        except ConfigError as error:
            self._file.close()
            raise ConfigError(f"gateway.state {self._file.path} {error}") from error
        self._loop = loop

    def _checked(self, found: SavedState) -> SavedState:
        known = {ledger.account for ledger in self._accounts}
        for account in found.accounts:
            if account.account not in known:
                raise ConfigError(
                    f"has account {account.account}, which the gateway does not have: "
                    "name it in gateway.accounts, or name another file"
                )
        orders = {record.key for record in found.orders}
        for execution in found.executions:
            if execution.key not in orders:
                raise ConfigError(f"has execution {execution.id} but not its order")
        return found

    def restore(self) -> None:
        """Restore the loaded state: first the holdings, then the orders, which are worked immediately.

        Executions and completed orders are those of the present day, as in TWS (documented).
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
        """Return a contract as the gateway knows it now, and play its market."""
        if contract.legs:
            for leg in contract.legs:
                self._known_as(leg.contract)
            return contract
        known = self._contracts.restored(contract)
        self._contracts.single_out(known)
        return known

    # ---- changes ----------------------------------------------------------------------------------------------

    def order(self, record: OrderRecord, *, at_once: bool = True) -> None:
        """Note that an order is changing; it is written in this turn of the loop, or within a second."""
        self._orders[record.permanent_id] = record
        self._touch(at_once=at_once)

    def execution(self, place: int, execution: Execution) -> None:
        """Note an execution, with the account and its holding."""
        self._executions[place] = execution
        self._touch()

    def ids(self) -> None:
        """Note that the counting of ids has changed."""
        self._touch()

    def day(self) -> None:
        """Note that a day has begun for all accounts and their holdings."""
        self._is_new_day = True
        self._touch()

    def settle(self) -> None:
        """Write pending changes; called before clients are told."""
        if self._is_urgent:
            self._write()

    def close(self) -> None:
        """Write for the last time, if the state was restored, and close the file."""
        if self._venue.recorder is self:
            self._venue.recorder = NullRecorder()
            self._write()
        self._file.close()

    def _touch(self, *, at_once: bool = True) -> None:
        assert self._loop is not None, "the state is stored from `load` on"  # noqa: S101
        if self._is_urgent or (self._scheduled_write is not None and not at_once):
            return
        self._is_urgent = at_once
        if self._scheduled_write is not None:
            self._scheduled_write.cancel()
        self._scheduled_write = (
            self._loop.call_soon(self._write) if at_once else self._loop.call_later(SOON_SECONDS, self._write)
        )

    # ---- writing ----------------------------------------------------------------------------------------------

    def _write(self, *, afresh: bool = False) -> None:
        if self._scheduled_write is not None:
            self._scheduled_write.cancel()
            self._scheduled_write = None
        self._is_urgent = False
        try:
            self._file.put(self._rows(), alone=afresh)
        except OSError as error:
            # The gateway continues; the next change tries to write these changes again.
            _log.error("gateway.state %s cannot be written: %s", self._file.path, error)
            return
        self._is_new_day = False
        self._orders.clear()
        self._executions.clear()

    def _rows(self) -> Iterator[StoredRow]:
        """Yield the rows to write: the gateway's own, which may always have changed, and the noted changes."""
        whole = GatewayMemory(self._now_ns(), self._venue.ids_memory(), dict(self._accounts.rates.known))
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

    def _held(self) -> Iterator[tuple[AccountLedger, str]]:
        """Yield the changed holdings, by account and contract."""
        if self._is_new_day:
            yield from ((ledger, name) for ledger in self._accounts for name in ledger.holdings)
            return
        for account, name in {(each.record.account, each.contract.id): None for each in self._executions.values()}:
            ledger = self._accounts.named(account)
            # A combination as a whole is not a holding.
            if name in ledger.holdings:
                yield ledger, name


def _row(kind: str, name: str, value: Any) -> StoredRow:
    return StoredRow(kind, name, msgspec.json.encode(value, enc_hook=_texts_of))


def _read(rows: list[StoredRow]) -> SavedState:
    try:
        [whole] = _values(rows, "gateway", GatewayMemory)
        return SavedState(
            whole,
            _values(rows, "account", AccountMemory),
            _values(rows, "holding", HoldingMemory),
            _values(rows, "order", OrderRecord),
            _values(rows, "execution", ExecutionMemory),
        )
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise ConfigError(f"is not a state file of this gateway's version; it is not changed: {error}") from error


def _values(rows: list[StoredRow], kind: str, of: type[_T]) -> list[_T]:
    return [msgspec.json.decode(row.value, type=of, dec_hook=_fields_of) for row in rows if row.kind == kind]


def _texts_of(value: Any) -> Any:
    if isinstance(value, Fields):
        return [value.name, value.texts]
    raise NotImplementedError(f"a gateway's state cannot hold a {type(value).__name__}")


def _fields_of(kind: type, value: Any) -> Any:
    if kind is Fields and isinstance(value, list) and len(value) == 2:
        return Fields(str(value[0]), dict(value[1]))
    raise NotImplementedError(f"a gateway's state cannot hold a {kind.__name__}")
