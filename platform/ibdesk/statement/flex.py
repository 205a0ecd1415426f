"""A Flex statement of Interactive Brokers: executions, commissions and cash of one account over a period.

It has the sections Trades (at the level *Executions*) or Trade Confirmations, Cash Transactions and Cash Report. A
section that the query leaves out is not compared.
https://www.ibkrguides.com/reportingreference/reportguide/tradesfq.htm
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from ibdesk.model import revision_of
from ibdesk.statement.cells import Moment, figure, time_of
from ibdesk.statement.rows import StatementError, StatementRow, StatementSection, rows_of

__all__ = ["NEW_YORK", "CashLine", "CashReport", "Statement", "StatementError", "StatementExecution", "read_statements"]

NEW_YORK = ZoneInfo("America/New_York")
"""The zone in which IB writes the times of statements, unless the account has another setting."""

_SUMMARY = frozenset({"ORDER", "SYMBOL_SUMMARY", "ASSET_SUMMARY", "CLOSED_LOT", "WASH_SALE", "SUMMARY"})
_ZERO = Decimal(0)


class StatementExecution(msgspec.Struct, frozen=True, kw_only=True):
    """One execution in the broker's record, after all corrections.

    `id` is its last version. `quantity` is negative for a sale, and zero for a cancelled execution. `commission` is
    positive if it was charged, None if the statement does not have it. `trade_date` is the day to which IB counts the
    execution: for an evening session the next one.
    """

    id: str
    symbol: str
    category: str
    currency: str
    quantity: Decimal
    price: Decimal
    multiplier: Decimal
    at: Moment | None
    commission: Decimal | None
    commission_currency: str
    taxes: Decimal = _ZERO
    trade_date: dt.datetime | None = None

    @property
    def cash(self) -> dict[str, Decimal]:
        """Return the cash moved before commission, by currency; a future moves none."""
        return cash_moved(self.category, self.symbol, self.currency, self.quantity, self.price * self.multiplier)


class CashLine(msgspec.Struct, frozen=True, kw_only=True):
    """Cash received (positive) or paid without a trade: a dividend, tax, interest, fee, deposit or withdrawal."""

    currency: str
    amount: Decimal
    kind: str
    description: str
    at: Moment | None


class CashReport(msgspec.Struct, frozen=True, kw_only=True):
    """The cash in one currency at the beginning and the end of the statement.

    `starting` is None if the statement does not have it.
    """

    currency: str
    starting: Decimal | None
    ending: Decimal
    settled: Decimal


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """The content of one statement for one account.

    `begins` and `ends` bound its period, None if the file does not state it. `has_trades` and `has_cash_lines` are
    whether it has those sections.
    """

    account: str
    begins: dt.datetime | None
    ends: dt.datetime | None
    executions: dict[str, StatementExecution]
    cash_lines: list[CashLine]
    cash_reports: dict[str, CashReport]
    has_trades: bool
    has_cash_lines: bool


def cash_moved(category: str, symbol: str, currency: str, quantity: Decimal, worth: Decimal) -> dict[str, Decimal]:
    """Return the cash that `quantity` units at `worth` each move, by currency: two for a currency pair."""
    if category == "FUT":
        return {}
    moved = {currency: -quantity * worth}
    if category == "CASH":
        base = symbol.partition(".")[0]
        moved[base] = moved.get(base, _ZERO) + quantity
    return moved


def read_statements(path: Path, *, zone: ZoneInfo = NEW_YORK) -> list[Statement]:
    """Return the statements of a file, one per account.

    Raises:
        StatementError: If the file is not a Flex statement, or a row cannot be read.
    """
    drafts: dict[str, _Draft] = {}
    account = ""
    for row in rows_of(path):
        cells = row.cells
        if row.section is StatementSection.ACCOUNT:
            account = cells.get("accountid", "")
        name = cells.get("accountid", "").strip() or account
        if name in ("", "-"):
            # The summary of several accounts.
            continue
        draft = drafts.setdefault(name, _Draft(name, zone))
        try:
            draft.take(row)
        except (ValueError, OverflowError) as error:
            kind = row.section.value.replace("_", " ")
            raise StatementError(f"{path}, row {row.number} ({kind} of {name}), cannot be read: {error}") from None
    if not drafts:
        raise StatementError(f"{path} names no account: include the account id in each section of the query")
    return [draft.done(path) for draft in drafts.values()]


class _Draft:
    """Collects the rows of one account."""

    def __init__(self, account: str, zone: ZoneInfo) -> None:
        self._account, self._zone = account, zone
        self._begins: dt.datetime | None = None
        self._ends: dt.datetime | None = None
        self._trades: dict[StatementSection, list[StatementExecution]] = {}
        self._seen: set[tuple[str, ...]] = set()
        self._summaries = 0
        self._lines: list[CashLine] | None = None
        self._reports: dict[str, CashReport] = {}

    def take(self, row: StatementRow) -> None:
        """Process one row.

        Raises:
            ValueError: If the row cannot be read.
        """
        match row.section:
            case StatementSection.ACCOUNT:
                self._take_period(row.cells)
            case StatementSection.TRADE | StatementSection.TRADE_CONFIRM:
                self._take_trade(row)
            case StatementSection.CASH_TRANSACTION:
                self._take_cash_line(row.cells)
            case StatementSection.CASH_REPORT:
                self._take_cash_report(row.cells)

    def _take_period(self, cells: dict[str, str]) -> None:
        first, last = (time_of(cells.get(name, ""), self._zone) for name in ("fromdate", "todate"))
        made = time_of(cells.get("whengenerated", ""), self._zone)
        self._begins = None if first is None else first.time
        ends = None if last is None else last.time + dt.timedelta(days=1)
        # Trades after the statement was written are not in it.
        if made is not None and not made.is_day and (ends is None or made.time < ends):
            ends = made.time
        self._ends = ends

    def _take_trade(self, row: StatementRow) -> None:
        cells, found = row.cells, self._trades.setdefault(row.section, [])
        if not cells:
            return
        if cells.get("levelofdetail", "").strip().upper() in _SUMMARY:
            self._summaries += 1
            return
        id_ = cells.get("ibexecid", "").strip() or _unnamed(cells)
        if self._is_known(cells, id_):
            return
        quantity, price = _needed(cells, "quantity"), _needed(cells, "tradeprice")
        side = cells.get("buysell", "").strip().upper()
        if side in ("BUY", "SELL"):
            quantity = abs(quantity) if side == "BUY" else -abs(quantity)
        charged = figure(cells.get("ibcommission", ""))
        currency = cells.get("currency", "").strip()
        execution = StatementExecution(
            id=id_,
            symbol=cells.get("symbol", "").strip(),
            category=cells.get("assetcategory", "").strip(),
            currency=currency,
            quantity=quantity,
            price=price,
            multiplier=figure(cells.get("multiplier", "")) or Decimal(1),
            at=self._time_of_trade(cells),
            commission=None if charged is None else -charged,
            commission_currency=cells.get("ibcommissioncurrency", "").strip() or currency,
            taxes=figure(cells.get("taxes", "")) or _ZERO,
            trade_date=None if (day := time_of(cells.get("tradedate", ""), self._zone)) is None else day.time,
        )
        found.append(execution)

    def _is_known(self, cells: dict[str, str], id_: str) -> bool:
        """Return whether the file already has this row, as files with overlapping sections do."""
        number = cells.get("transactionid", "").strip()
        key = (id_, number)
        if not number or key not in self._seen:
            self._seen.add(key)
            return False
        return True

    def _time_of_trade(self, cells: dict[str, str]) -> Moment | None:
        at = time_of(cells.get("datetime", ""), self._zone)
        if at is not None:
            return at
        day, clock = cells.get("tradedate", "").strip(), cells.get("tradetime", "").strip()
        return time_of(f"{day};{clock}" if day and clock else day, self._zone)

    def _take_cash_line(self, cells: dict[str, str]) -> None:
        if self._lines is None:
            self._lines = []
        if not cells:
            return
        if cells.get("levelofdetail", "").strip().upper() in _SUMMARY or cells.get("currency") == "BASE_SUMMARY":
            return
        currency = cells.get("currency", "").strip()
        if not currency:
            raise ValueError("it has no currency: include it in the query")
        self._lines.append(
            CashLine(
                currency=currency,
                amount=_needed(cells, "amount"),
                kind=cells.get("type", "").strip() or "Other",
                description=cells.get("description", "").strip(),
                at=next(
                    (
                        at
                        for name in ("datetime", "date", "reportdate", "settledate")
                        if (at := time_of(cells.get(name, ""), self._zone)) is not None
                    ),
                    None,
                ),
            )
        )

    def _take_cash_report(self, cells: dict[str, str]) -> None:
        currency = cells.get("currency", "").strip()
        ending = figure(cells.get("endingcash", ""))
        if currency in ("", "BASE_SUMMARY") or ending is None:
            return
        self._reports[currency] = CashReport(
            currency=currency,
            starting=figure(cells.get("startingcash", "")),
            ending=ending,
            settled=figure(cells.get("cashsettlingmtm", "")) or _ZERO,
        )

    def done(self, path: Path) -> Statement:
        """Return the statement.

        Raises:
            StatementError: If it has trades but none at the level of executions.
        """
        trades = self._trades.get(StatementSection.TRADE) or self._trades.get(StatementSection.TRADE_CONFIRM) or []
        if self._summaries and not trades:
            raise StatementError(
                f"{path} has trades of {self._account} only as summaries: include Executions in the query"
            )
        return Statement(
            account=self._account,
            begins=self._begins,
            ends=self._ends,
            executions=_corrected(trades),
            cash_lines=self._lines or [],
            cash_reports=self._reports,
            has_trades=bool(self._trades),
            has_cash_lines=self._lines is not None,
        )


def _corrected(trades: Iterable[StatementExecution]) -> dict[str, StatementExecution]:
    """Return the executions in their last version, by the part of the id that all versions share.

    An execution that IB cancelled appears twice under one id, once with the opposite quantity. An execution that closes
    a position and opens another may appear in two parts.
    """
    found: dict[str, tuple[int, StatementExecution]] = {}
    for trade in trades:
        base, revision = revision_of(trade.id)
        known = found.get(base)
        if known is None or revision > known[0]:
            found[base] = revision, trade
        elif revision == known[0]:
            found[base] = revision, _together(known[1], trade)
    return {base: execution for base, (_, execution) in found.items()}


def _together(one: StatementExecution, other: StatementExecution) -> StatementExecution:
    quantity = one.quantity + other.quantity
    price = one.price
    if quantity and one.price != other.price:
        price = (one.quantity * one.price + other.quantity * other.price) / quantity
    charges = [each.commission for each in (one, other) if each.commission is not None]
    return msgspec.structs.replace(
        one,
        quantity=quantity,
        price=price,
        commission=sum(charges, _ZERO) if charges else None,
        taxes=one.taxes + other.taxes,
    )


def _needed(cells: dict[str, str], name: str) -> Decimal:
    found = figure(cells.get(name, ""))
    if found is None:
        raise ValueError(f"it has no {name}: include it in the query")
    return found


def _unnamed(cells: dict[str, str]) -> str:
    """Return an id for a row without an execution: an assignment, an exercise, an expiry, a transfer."""
    kind = cells.get("transactiontype", "").strip() or "trade"
    return f"{kind}/{cells.get('tradeid', '').strip() or cells.get('transactionid', '').strip()}"
