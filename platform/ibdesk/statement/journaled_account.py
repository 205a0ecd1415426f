"""The executions, commissions and cash of an account in its journals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path

import msgspec

from ibdesk.errors import JournalError
from ibdesk.model import TAKEN_BACK, CashCounted, Commission, Event, Fill, Restore, revision_of
from ibdesk.store import JournalReader, journals_in
from ibdesk.store.recovery import account_of

_ZERO = Decimal(0)


class JournaledExecution(msgspec.Struct, frozen=True, kw_only=True):
    """One execution in the journals, after all corrections.

    `quantity` is negative for a sale, and zero for an execution that was cancelled. `currency` is that of the cash
    moved, both for a currency pair (``EUR.USD``), empty for a future. `order_id` is empty for an order of another
    program, and `commission_currency` if the journals do not have it.
    """

    id: str
    order_id: str
    instrument: str
    quantity: Decimal
    price: Decimal
    multiplier: Decimal
    currency: str
    at_ns: int
    commission: Decimal | None = None
    commission_currency: str = ""

    @property
    def cash(self) -> dict[str, Decimal]:
        """Return the cash moved before commission, by currency."""
        base, _, quote = self.currency.rpartition(".")
        moved = {quote: -self.quantity * self.price * self.multiplier} if quote else {}
        if base:
            moved[base] = moved.get(base, _ZERO) + self.quantity
        return moved


class ExternalMoney(msgspec.Struct, frozen=True, kw_only=True):
    """Cash received (positive) or paid without an execution, and when a desk counted it."""

    at_ns: int
    currency: str
    amount: Decimal


class JournaledAccount(msgspec.Struct, frozen=True, kw_only=True):
    """The content of one account's journals.

    `executions` are by the part of the id that all versions share. `cash` is the cash that the books explain at the end
    of the period, by currency, and `external` the movements since `counted_ns` without an execution; `cash` and
    `counted_ns` are None if no desk has counted cash. `unread` names the journals that cannot be read, and why.
    """

    account: str
    journals: list[str]
    unread: list[str]
    executions: dict[str, JournaledExecution]
    cash: dict[str, Decimal] | None
    external: list[ExternalMoney]
    counted_ns: int | None


def read_account(paths: Sequence[Path], account: str, *, until_ns: int | None = None) -> JournaledAccount:
    """Read the journals of an account, compressed or not, from files and folders.

    Cash is counted up to `until_ns`; all executions are read.

    Raises:
        JournalError: If the account has no journal.
    """
    collected = _Collected(until_ns)
    read: list[tuple[int, Path]] = []
    unread: list[str] = []
    for path in _journals_among(paths):
        try:
            with JournalReader(path) as journal:
                if account_of(journal) == account:
                    read.append((journal.header.started_ns, path))
        except JournalError as error:
            unread.append(str(error))
    read.sort()
    for _, path in read:
        with JournalReader(path) as journal:
            for entry in journal.book_entries():
                collected.take(entry.event)
    if not read:
        where = ", ".join(map(str, paths))
        raise JournalError(f"there is no journal of account {account} in {where}: name its folder with --journals")
    return collected.record(account, [path.name for _, path in read], unread)


def _journals_among(paths: Iterable[Path]) -> list[Path]:
    found = [journal for path in paths for journal in (journals_in(path) if path.is_dir() else [path])]
    return list(dict.fromkeys(found))


class _Collected:
    """Collects executions and cash from events, in the order of the journals."""

    def __init__(self, until_ns: int | None) -> None:
        self._until_ns = until_ns
        self._fills: dict[str, Fill] = {}
        self._charges: dict[str, tuple[Decimal, str]] = {}
        self._cash: dict[str, Decimal] = {}
        self._external: list[ExternalMoney] = []
        self._counted_ns: int | None = None

    def take(self, event: Event) -> None:
        """Process the next event."""
        match event:
            case Fill():
                self._take_fill(event)
            case Commission():
                self._take_charge(event)
            case CashCounted():
                self._take_count(event)
            case Restore(snapshot=snapshot):
                for left in snapshot.fills:
                    # They were in a journal that was removed in the meantime.
                    self._fills.setdefault(left.fill.execution_id, left.fill)
                    if left.commission is not None:
                        base, _ = revision_of(left.fill.execution_id)
                        self._charges.setdefault(base, (_decimal(left.commission), left.commission_currency))
                if snapshot.cash and self._is_in_time(event.at_ns):
                    self._cash = {name: _decimal(amount) for name, amount in snapshot.cash.items()}
            case _:
                pass

    def _take_fill(self, fill: Fill) -> None:
        if fill.execution_id in self._fills:
            return
        self._fills[fill.execution_id] = fill
        if self._is_in_time(fill.at_ns):
            for currency, amount in _recorded(fill, fill.execution_id).cash.items():
                self._move(currency, amount)

    def _take_charge(self, commission: Commission) -> None:
        base, _ = revision_of(commission.execution_id)
        amount = _decimal(commission.amount)
        before, _ = self._charges.get(base, (_ZERO, ""))
        self._charges[base] = amount, commission.currency
        if self._is_in_time(commission.at_ns):
            self._move(commission.currency, before - amount)

    def _take_count(self, counted: CashCounted) -> None:
        if not self._is_in_time(counted.at_ns):
            return
        if self._counted_ns is None:
            self._counted_ns = counted.at_ns
        self._cash.update((name, _decimal(amount)) for name, amount in counted.amounts.items())
        for currency, amount in counted.unexplained.items():
            self._external.append(ExternalMoney(at_ns=counted.at_ns, currency=currency, amount=_decimal(amount)))

    def _move(self, currency: str, amount: Decimal) -> None:
        # Before the first count there is no balance to move from.
        if currency and self._cash:
            self._cash[currency] = self._cash.get(currency, _ZERO) + amount

    def _is_in_time(self, at_ns: int) -> bool:
        return self._until_ns is None or at_ns < self._until_ns

    def record(self, account: str, journals: list[str], unread: list[str]) -> JournaledAccount:
        """Return the collected account."""
        counted = self._counted_ns is not None
        return JournaledAccount(
            account=account,
            journals=journals,
            unread=unread,
            executions=self._executions(),
            cash=self._cash if counted else None,
            external=self._external,
            counted_ns=self._counted_ns,
        )

    def _executions(self) -> dict[str, JournaledExecution]:
        taken_back = {id_.removesuffix(TAKEN_BACK) for id_ in self._fills if id_.endswith(TAKEN_BACK)}
        newest: dict[str, tuple[int, Fill]] = {}
        for id_, fill in self._fills.items():
            if id_.endswith(TAKEN_BACK):
                continue
            base, revision = revision_of(id_)
            if base not in newest or revision > newest[base][0]:
                newest[base] = revision, fill
        found = {}
        for base, (_, fill) in newest.items():
            execution = _recorded(fill, fill.execution_id)
            if fill.execution_id in taken_back:
                execution = msgspec.structs.replace(execution, quantity=_ZERO)
            charge = self._charges.get(base)
            if charge is not None:
                execution = msgspec.structs.replace(execution, commission=charge[0], commission_currency=charge[1])
            found[base] = execution
        return found


def _recorded(fill: Fill, id_: str) -> JournaledExecution:
    return JournaledExecution(
        id=id_,
        order_id=fill.order_id,
        instrument=fill.instrument,
        quantity=_decimal(fill.signed_quantity),
        price=_decimal(fill.price),
        multiplier=_decimal(fill.multiplier),
        currency=fill.currency,
        at_ns=fill.at_ns,
    )


def _decimal(number: float) -> Decimal:
    """Return the figure that TWS wrote: the shortest that reads as this float."""
    return Decimal(repr(number))
