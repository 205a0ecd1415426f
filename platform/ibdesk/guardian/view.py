"""The account as TWS's messages describe it, updated message by message."""

from __future__ import annotations

import collections
import math

from ibdesk.gateway.protocol.codec import Fields
from ibdesk.guardian.account import AccountSnapshot, Contract, Execution, WorkingOrder

_SECOND = 1_000_000_000
_MINUTE = 60 * _SECOND
# States in which an order can no longer be filled.
OVER = frozenset({"Filled", "Cancelled", "ApiCancelled"})
_CONTRACT_FIELDS = (
    "symbol", "secType", "lastTradeDateOrContractMonth", "strike", "right", "multiplier", "exchange", "currency",
    "localSymbol", "tradingClass",
)  # fmt: skip
# The number of orders that are remembered so that each counts once.
_ORDERS_REMEMBERED = 100_000


class AccountView:
    """TWS's messages about one account over one connection; `account` is empty until it is chosen."""

    def __init__(self, *, pnl_reports: int = 0) -> None:
        """Create an empty view; `pnl_reports` are counted over all connections."""
        self.account = ""
        self.daily_pnl: float | None = None
        self.pnl_reports = pnl_reports
        # highest_order_id: of all orders that TWS has named; an order of ours must have a higher one.
        self.highest_order_id = 0
        self.contracts: dict[int, Contract] = {}
        # exchanges: the order exchange of a contract, once TWS has sent its details.
        self.exchanges: dict[int, str] = {}
        self.holdings: dict[int, float] = {}
        self._prices: dict[int, float] = {}
        self._rates: dict[str, float] = {}
        self._orders: dict[int, WorkingOrder] = {}
        self._executions: dict[str, Execution] = {}
        self._executions_ns: dict[str, int] = {}
        # The names in an answer that is not complete yet.
        self._named_positions: dict[int, float] = {}
        self._named_orders: set[int] = set()
        # _known_orders: permanent ids seen; _orders_ns: the times of new ones within the last minute.
        self._known_orders: dict[int, None] = {}
        self._orders_ns: collections.deque[int] = collections.deque()
        self._has_looked = False

    # --- messages

    def take(self, name: str, found: Fields, at_ns: int) -> None:
        """Process one message of TWS; unrelated messages are ignored."""
        if name in ("openOrder", "orderStatus"):
            self.highest_order_id = max(self.highest_order_id, found.whole("orderId") or 0)
        match name:
            case "position":
                self._position(found)
            case "openOrder":
                self._open_order(found, at_ns)
            case "orderStatus":
                self._order_status(found)
            case "execDetails":
                self._execution(found, at_ns)
            case "pnl":
                self._pnl(found)
            case "portfolioValue":
                self._portfolio(found)
            case "accountValue":
                self._value(found)
            case "contractDetails":
                self._details(found)

    def reference_of(self, permanent_id: int) -> str:
        """Return the reference of a working order, empty if unknown."""
        order = self._orders.get(permanent_id)
        return "" if order is None else order.reference

    def begin_look(self) -> None:
        """Begin a round of requests: rows that the answers leave out will be removed."""
        self._named_positions, self._named_orders = {}, set()

    def forget_named(self, end: str) -> None:
        """Forget the names of an answer that came too late for its look."""
        if end == "openOrderEnd":
            self._named_orders = set()
        elif end == "positionEnd":
            self._named_positions = {}

    def end_look(self, asked_ns: int, *, with_positions: bool = True) -> AccountSnapshot:
        """Return the account as the complete answers of the round describe it."""
        if with_positions:
            # An instrument whose row has not come is no longer held.
            self.holdings = {con_id: held for con_id, held in self._named_positions.items() if held}
        self._orders = {key: order for key, order in self._orders.items() if key in self._named_orders}
        self._has_looked = True
        return self.look(asked_ns)

    def look(self, asked_ns: int) -> AccountSnapshot:
        """Return the account as it is known now."""
        return AccountSnapshot(
            asked_ns=asked_ns,
            holdings=dict(self.holdings),
            orders=tuple(self._orders.values()),
            executions=tuple(self._executions.values()),
        )

    def executions_before(self, seen_ns: int) -> list[Execution]:
        """Return the executions first seen before `seen_ns`."""
        return [done for key, done in self._executions.items() if self._executions_ns[key] < seen_ns]

    def executions_of(self, beginning: str) -> list[Execution]:
        """Return the executions of orders whose references begin with this."""
        return [done for done in self._executions.values() if done.reference.startswith(beginning)]

    # --- figures

    def orders_last_minute(self, now_ns: int) -> int:
        """Return the number of orders that came to the account within the last minute."""
        while self._orders_ns and now_ns - self._orders_ns[0] > _MINUTE:
            self._orders_ns.popleft()
        return len(self._orders_ns)

    @property
    def open_orders(self) -> int:
        """Return the number of working orders."""
        return len(self._orders)

    @property
    def gross_exposure(self) -> float | None:
        """Return the value of all positions in the account's currency, None while one has no price or rate."""
        total = 0.0
        for con_id, held in self.holdings.items():
            contract, price = self.contracts.get(con_id), self._prices.get(con_id)
            rate = None if contract is None else self._rates.get(contract.currency)
            if not held:
                continue
            if contract is None or price is None or rate is None:
                return None
            total += abs(held * price * _multiplier(contract)) * rate
        return total

    def exchange_of(self, con_id: int) -> str:
        """Return the exchange for orders in a contract."""
        contract = self.contracts[con_id]
        known = self.exchanges.get(con_id)
        if known:
            return known
        return {"CASH": "IDEALPRO", "STK": "SMART", "OPT": "SMART"}.get(contract.kind, contract.exchange)

    # --- inside

    def _is_other(self, account: str) -> bool:
        return bool(account) and account != self.account

    def _position(self, found: Fields) -> None:
        quantity = found.number("position")
        if self._is_other(found.text("account")) or quantity is None:
            return
        contract = _contract(found)
        self.contracts[contract.con_id] = contract
        self._named_positions[contract.con_id] = self.holdings[contract.con_id] = quantity

    def _open_order(self, found: Fields, at_ns: int) -> None:
        if self._is_other(found.text("account")) or found.flag("whatIf"):
            return
        # TWS may not have assigned one yet.
        permanent_id = found.whole("permId") or -(found.whole("orderId") or 0)
        contract = _contract(found)
        self.contracts.setdefault(contract.con_id, contract)
        self._count(permanent_id, at_ns)
        if found.text("status") in OVER:
            self._orders.pop(permanent_id, None)
            return
        known = self._orders.get(permanent_id)
        total = found.number("totalQuantity") or 0.0
        self._named_orders.add(permanent_id)
        self._orders[permanent_id] = WorkingOrder(
            permanent_id=permanent_id,
            client_id=found.whole("clientId") or 0,
            order_id=found.whole("orderId") or 0,
            con_id=contract.con_id,
            side=1 if found.text("action").upper() == "BUY" else -1,
            remaining=total if known is None else min(total, known.remaining),
            reference=found.text("orderRef"),
            status=found.text("status"),
        )

    def _order_status(self, found: Fields) -> None:
        permanent_id = found.whole("permId") or -(found.whole("orderId") or 0)
        known = self._orders.get(permanent_id)
        if known is None:
            return
        if found.text("status") in OVER:
            del self._orders[permanent_id]
            return
        self._orders[permanent_id] = WorkingOrder(
            permanent_id=permanent_id,
            client_id=known.client_id,
            order_id=known.order_id,
            con_id=known.con_id,
            side=known.side,
            remaining=found.number("remaining") or known.remaining,
            reference=known.reference,
            status=found.text("status"),
        )

    def _execution(self, found: Fields, at_ns: int) -> None:
        quantity = found.number("shares")
        if self._is_other(found.text("acctNumber")) or quantity is None:
            return
        bought = found.text("side") in ("BOT", "BUY")
        permanent_id = found.whole("permId") or 0
        contract = _contract(found)
        self.contracts.setdefault(contract.con_id, contract)
        self._count(permanent_id, at_ns)
        # A correction has the id of the execution that it corrects, except for the last part.
        key = found.text("execId").rpartition(".")[0]
        self._executions_ns.setdefault(key, at_ns)
        self._executions[key] = Execution(
            found.text("execId"),
            contract.con_id,
            quantity if bought else -quantity,
            found.text("orderRef"),
            permanent_id,
        )

    def _count(self, permanent_id: int, at_ns: int) -> None:
        """Count an order once; orders in the first look came earlier and do not count."""
        if permanent_id <= 0 or permanent_id in self._known_orders:
            return
        self._known_orders[permanent_id] = None
        if len(self._known_orders) > _ORDERS_REMEMBERED:
            del self._known_orders[next(iter(self._known_orders))]
        if self._has_looked:
            self._orders_ns.append(at_ns)

    def _pnl(self, found: Fields) -> None:
        daily = found.number("dailyPnL")
        if daily is not None and math.isfinite(daily):
            self.daily_pnl = daily
            self.pnl_reports += 1

    def _portfolio(self, found: Fields) -> None:
        price = found.number("marketPrice")
        if not self._is_other(found.text("account")) and price is not None:
            self._prices[found.required("conId")] = price

    def _value(self, found: Fields) -> None:
        if self._is_other(found.text("account")) or found.text("key") != "ExchangeRate":
            return
        rate = found.number("value")
        if rate is not None and rate > 0:
            self._rates[found.text("currency")] = rate

    def _details(self, found: Fields) -> None:
        exchanges = found.text("validExchanges").split(",")
        self.exchanges[found.required("conId")] = "SMART" if "SMART" in exchanges else found.text("exchange")


def _contract(found: Fields) -> Contract:
    return Contract(found.whole("conId") or 0, *(found.text(name) for name in _CONTRACT_FIELDS))


def _multiplier(contract: Contract) -> float:
    try:
        return float(contract.multiplier or 1)
    except ValueError:
        return 1.0
