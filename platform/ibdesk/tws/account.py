"""The account's figures and positions, as TWS tells them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import msgspec

from ibdesk.model import Account, AccountReport, Event, Fill, PositionReport
from ibdesk.tws.figures import figure_or_nan

_FIELDS = {
    "NetLiquidation": "net_liquidation",
    "TotalCashValue": "cash",
    "BuyingPower": "buying_power",
    "AvailableFunds": "available_funds",
    "RealizedPnL": "realized_pnl",
    "UnrealizedPnL": "unrealized_pnl",
}
# Rows of one tag exist per currency; IB names the sum over all currencies BASE.
_BASE = "BASE"


# What adding binary fractions may leave between a position and the executions that led to it.
_DUST = 1e-6


class AccountBook:
    """Collects the rows of the account into one value, and knows the positions told last.

    A position is in doubt while executions do not explain it: somebody has traded without our hearing of it yet, or
    TWS's row is older than our last execution. Which of both it is only more evidence tells.
    """

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        self._account = Account()
        self._changed = False
        self._has_base: set[str] = set()
        self._positions: dict[str, PositionReport] = {}
        self._mentioned: set[str] = set()
        # _explained: what the books hold of each instrument, by the last comparison and the executions since.
        self._explained: dict[str, float] = {}
        # _unexplained: positions that a break of the link left other than executions say; None before the first look.
        self._unexplained: set[str] | None = None
        # _doubtful: since when each position is in doubt; _filled_at: when each was last moved by an execution.
        self._doubtful: dict[str, float] = {}
        self._filled_at: dict[str, float] = {}

    @property
    def id(self) -> str:
        """Return the id of the account that is traded, empty before the first connection."""
        return self._account.id

    def choose(self, account: str) -> None:
        """Take the account to listen to."""
        if account != self._account.id:
            self._account = Account(id=account)

    def value(self, tag: str, value: str, currency: str, account: str) -> None:
        """Take one row of the account's figures."""
        field = _FIELDS.get(tag)
        if field is None or account != self._account.id:
            return
        if currency == _BASE:
            self._has_base.add(tag)
        elif tag in self._has_base or (tag.endswith("PnL") and currency not in ("", self._account.currency)):
            return
        # What is blank, unset or no number is unknown, and an unknown figure takes the place of a known one.
        changes: dict[str, object] = {field: figure_or_nan(value)}
        if tag == "NetLiquidation" and currency not in ("", _BASE):
            changes["currency"] = currency
        if not all(_same(getattr(self._account, name), new) for name, new in changes.items()):
            self._account, self._changed = msgspec.structs.replace(self._account, **changes), True

    def tell_changes(self, at_ns: int) -> None:
        """Tell the account's figures if any changed."""
        if self._changed:
            self._changed = False
            self._account = msgspec.structs.replace(self._account, updated_ns=at_ns)
            self._tell(AccountReport(self._account, at_ns))

    def position(self, report: PositionReport) -> None:
        """Take what the account holds in one instrument; told when it differs from what was told."""
        self._mentioned.add(report.instrument)
        known = self._positions.get(report.instrument)
        if known is not None and known.quantity == report.quantity and _same(known.average_price, report.average_price):
            return
        self._positions[report.instrument] = report
        self._compare(report.instrument)
        self._tell(report)

    def fill(self, fill: Fill) -> None:
        """Take an execution, whoever's: it explains a change of the position."""
        name = fill.instrument
        self._explained[name] = self._explained.get(name, 0.0) + fill.signed_quantity
        self._filled_at[name] = _now()
        self._compare(name)

    def settled(self) -> None:
        """Take that the books are equal to the positions told."""
        if self._unexplained is None:
            # What an earlier life held is not known here.
            self._unexplained = {*self._positions}
        else:
            self._unexplained |= set(self._doubtful)
        self._explained = {name: report.quantity for name, report in self._positions.items()}
        self._doubtful.clear()

    def is_explained(self, name: str) -> bool:
        """Return whether executions explain a position, also over all breaks of the link so far."""
        return self._unexplained is not None and name not in self._unexplained and name not in self._doubtful

    def is_doubtful(self, seconds: float) -> bool:
        """Return whether a position has been in doubt for so long."""
        return any(since <= _now() - seconds for since in self._doubtful.values())

    def confirm(self, seconds: float, at_ns: int) -> None:
        """Tell of each position that has been in doubt for so long, and unmoved by executions, that it stands."""
        latest = _now() - seconds
        for name, since in list(self._doubtful.items()):
            if since <= latest and self._filled_at.get(name, -math.inf) <= latest:
                report = self._positions.get(name) or PositionReport(name, 0.0, 0.0, at_ns)
                self._explained[name] = report.quantity
                del self._doubtful[name]
                self._tell(msgspec.structs.replace(report, at_ns=at_ns, confirmed=True))

    def _compare(self, name: str) -> None:
        report = self._positions.get(name)
        held = 0.0 if report is None else report.quantity
        if abs(held - self._explained.get(name, 0.0)) <= _DUST:
            self._doubtful.pop(name, None)
        else:
            self._doubtful.setdefault(name, _now())

    def mention(self, instrument: str) -> None:
        """Take that TWS lists a position, of which it says nothing that can be read."""
        self._mentioned.add(instrument)

    def begin_positions(self) -> None:
        """Start to note which positions TWS mentions: it leaves out those that are flat."""
        self._mentioned.clear()

    def end_positions(self, at_ns: int) -> None:
        """Call flat what was held and was not mentioned."""
        for name, known in list(self._positions.items()):
            if known.quantity and name not in self._mentioned:
                self.position(PositionReport(name, 0.0, 0.0, at_ns))


def _now() -> float:
    return asyncio.get_running_loop().time()


def _same(one: object, other: object) -> bool:
    """Return whether two figures are equal, or both unknown."""
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return one == other
