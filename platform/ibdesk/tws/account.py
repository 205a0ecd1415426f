"""The account's figures and positions, as TWS reports them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping

import msgspec

from ibdesk.model import Account, AccountReport, Event, Fill, PositionReport
from ibdesk.tws.figures import figure_or_nan
from ibdesk.tws.settings import TwsSettings

_FIELDS = {
    "NetLiquidation": "net_liquidation",
    "TotalCashValue": "cash",
    "BuyingPower": "buying_power",
    "AvailableFunds": "available_funds",
    "InitMarginReq": "initial_margin",
    "RealizedPnL": "realized_pnl",
    "UnrealizedPnL": "unrealized_pnl",
}
# A tag has one row per currency; IB calls the sum over all currencies BASE.
_BASE = "BASE"
_CASH_BY_CURRENCY = "CashBalance"


# Rounding error allowed between a position and the sum of its executions.
_DUST = 1e-6


class Doubt(msgspec.Struct):
    """A position that the books do not explain.

    `since` and `asked_at` are on the loop's clock. `asked_at` is the time of the request that led to the first complete
    answer, None before there is one; `quantity` is what that answer said.
    """

    since: float
    asked_at: float | None = None
    quantity: float = 0.0


class AccountBook:
    """The account's figures as one value, and the positions reported last.

    A position is in doubt while executions do not explain it: an execution by someone else has not been reported yet,
    TWS's row is older than our last execution, or a row is missing. Two complete answers that agree settle a doubt if
    the second was requested at least `position_grace_seconds` after the first, and the last execution is older than
    `settle_seconds`, by which TWS's row may be late.
    """

    def __init__(self, tell: Callable[[Event], None], settings: TwsSettings) -> None:
        self._tell = tell
        self._grace, self._settle = settings.position_grace_seconds, settings.settle_seconds
        self._account = Account()
        self._changed = False
        self._has_base: set[str] = set()
        self._positions: dict[str, PositionReport] = {}
        self._mentioned: set[str] = set()
        # What the books hold of each instrument, by the last comparison and the executions since.
        self._explained: dict[str, float] = {}
        # Positions that TWS reported and executions contradict.
        self._unexplained: set[str] = set()
        self._doubts: dict[str, Doubt] = {}
        # When each position was last moved by an execution.
        self._filled_at: dict[str, float] = {}
        # When the positions were last requested.
        self._asked_at = -math.inf
        # True until the first complete answer.
        self._is_first = True

    @property
    def id(self) -> str:
        """Return the id of the account that is traded, empty before the first connection."""
        return self._account.id

    def choose(self, account: str) -> None:
        """Select the account whose rows are read."""
        if account != self._account.id:
            self._account = Account(id=account)

    def value(self, tag: str, value: str, currency: str, account: str) -> None:
        """Process one row of the account's figures."""
        if tag == _CASH_BY_CURRENCY and currency not in ("", _BASE) and account == self._account.id:
            self._cash(currency, figure_or_nan(value))
            return
        field = _FIELDS.get(tag)
        if field is None or account != self._account.id:
            return
        if currency == _BASE:
            self._has_base.add(tag)
        elif tag in self._has_base or (tag.endswith("PnL") and currency not in ("", self._account.currency)):
            return
        # Blank, unset and unreadable figures are unknown. An unknown figure replaces a known one.
        changes: dict[str, object] = {field: figure_or_nan(value)}
        if tag == "NetLiquidation" and currency not in ("", _BASE):
            changes["currency"] = currency
        if not all(_same(getattr(self._account, name), new) for name, new in changes.items()):
            self._account, self._changed = msgspec.structs.replace(self._account, **changes), True

    def _cash(self, currency: str, amount: float) -> None:
        """Store the account's amount of a currency; an unknown figure leaves the last one."""
        known = self._account.cash_by_currency
        if not math.isnan(amount) and known.get(currency) != amount:
            changed = {**known, currency: amount}
            self._account, self._changed = msgspec.structs.replace(self._account, cash_by_currency=changed), True

    def tell_changes(self, at_ns: int) -> None:
        """Report the account's figures if any changed."""
        if self._changed:
            self._changed = False
            self._account = msgspec.structs.replace(self._account, updated_ns=at_ns)
            self._tell(AccountReport(self._account, at_ns))

    def position(self, report: PositionReport) -> None:
        """Process the position in one instrument, and report it if it has changed."""
        self._mentioned.add(report.instrument)
        known = self._positions.get(report.instrument)
        if known is not None and known.quantity == report.quantity and _same(known.average_price, report.average_price):
            return
        self._positions[report.instrument] = report
        self._compare(report.instrument)
        self._tell(report)

    def fill(self, fill: Fill) -> None:
        """Process an execution of any client: it explains a change of the position."""
        name = fill.instrument
        self._explained[name] = self._explained.get(name, 0.0) + fill.signed_quantity
        self._filled_at[name] = _now()
        self._compare(name)

    def resume(self, held: Mapping[str, float], fills: Iterable[Fill], now_ns: int) -> None:
        """Restore what the books of the previous desk held, and the times of its last executions."""
        self._explained = dict(held)
        for fill in fills:
            at = _now() - max(now_ns - fill.at_ns, 0) / 1e9
            self._filled_at[fill.instrument] = max(at, self._filled_at.get(fill.instrument, -math.inf))

    def tell_doubts(self, at_ns: int) -> None:
        """Report each position that is still in doubt, so that nothing is concluded from it."""
        for name in self._doubts:
            report = self._positions.get(name) or PositionReport(name, 0.0, 0.0, at_ns)
            self._tell(msgspec.structs.replace(report, at_ns=at_ns, doubtful=True))

    @property
    def doubts(self) -> list[tuple[str, float, float, float]]:
        """Return each doubtful instrument with TWS's quantity, the books' quantity and the doubt's age in seconds."""
        now = _now()
        return [
            (name, self._held(name), self._explained.get(name, 0.0), now - doubt.since)
            for name, doubt in self._doubts.items()
        ]

    def is_explained(self, name: str) -> bool:
        """Return whether executions explain a position, including over all breaks of the link so far."""
        return not self._is_first and name not in self._unexplained and name not in self._doubts

    def is_doubtful(self, seconds: float) -> bool:
        """Return whether any position has been in doubt for at least `seconds`."""
        return any(doubt.since <= _now() - seconds for doubt in self._doubts.values())

    def mention(self, instrument: str) -> None:
        """Note that TWS lists a position in a row that cannot be read."""
        self._mentioned.add(instrument)

    def begin_positions(self) -> None:
        """Start to note which positions TWS lists: it leaves out flat ones."""
        self._mentioned.clear()
        self._asked_at = _now()

    def end_positions(self, at_ns: int) -> None:
        """Process the end of the answer, and report each doubt that it settles.

        A position that is not listed may be flat, or its row may be missing: it is in doubt like any other. In the very
        first answer, an instrument that neither books nor executions mention is accepted as reported.
        """
        for name in {**self._positions, **self._explained}:
            if name not in self._mentioned and (self._held(name) or self._explained.get(name)):
                self.position(PositionReport(name, 0.0, 0.0, at_ns))
                self._compare(name)
        for name, doubt in list(self._doubts.items()):
            if self._is_first and name not in self._explained:
                self._explained[name] = self._held(name)
                self._unexplained.add(name)
                del self._doubts[name]
            elif self._stands(name, doubt):
                self._confirm(name, at_ns)
        self._is_first = False

    def _stands(self, name: str, doubt: Doubt) -> bool:
        """Return whether the answer that has just ended agrees with an earlier one, with no execution in between."""
        first, quantity = doubt.asked_at, self._held(name)
        is_same = first is not None and quantity == doubt.quantity
        if first is None or not is_same or self._filled_at.get(name, -math.inf) > first - self._settle:
            doubt.asked_at, doubt.quantity = self._asked_at, quantity
            return False
        return self._asked_at - first >= self._grace

    def _confirm(self, name: str, at_ns: int) -> None:
        """Report that TWS's position is confirmed."""
        report = self._positions.get(name) or PositionReport(name, 0.0, 0.0, at_ns)
        self._explained[name] = report.quantity
        self._unexplained.add(name)
        del self._doubts[name]
        self._tell(msgspec.structs.replace(report, at_ns=at_ns, confirmed=True))

    def _held(self, name: str) -> float:
        """Return the quantity that TWS reported last, 0 if it reported none."""
        report = self._positions.get(name)
        return 0.0 if report is None else report.quantity

    def _compare(self, name: str) -> None:
        if abs(self._held(name) - self._explained.get(name, 0.0)) <= _DUST:
            self._doubts.pop(name, None)
        elif name not in self._doubts:
            self._doubts[name] = Doubt(_now())


def _now() -> float:
    return asyncio.get_running_loop().time()


def _same(one: object, other: object) -> bool:
    """Return whether two figures are equal, or both unknown."""
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return one == other
