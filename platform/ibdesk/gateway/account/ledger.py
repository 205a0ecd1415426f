"""The paper account: cash, positions, margin, and the figures TWS reports of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from ibdesk.gateway.contracts.book import ContractData
from ibdesk.model import Fill, Future, Position, Side

# MARGIN_RATES: what must be held against a position, as a fraction of its value: Regulation T's maintenance rate of
# 25 % for shares, which brokers also ask within the day; about what CME asks for index futures; 3 % for currencies.
MARGIN_RATES = {"STK": 0.25, "FUT": 0.06, "CASH": 0.03}
# BUYING_POWER_FACTOR: shares that can be bought for each dollar available, the reverse of the rate for shares.
BUYING_POWER_FACTOR = 4.0


class Margin(msgspec.Struct, frozen=True):
    """Equity, and what of it is bound by positions, in the account's currency."""

    equity: float
    required: float

    @property
    def available(self) -> float:
        """Return what is free for further positions."""
        return self.equity - self.required


class Holding(msgspec.Struct):
    """A contract and the position in it; its average price includes commissions, as IB's average cost does."""

    contract: ContractData
    position: Position


class Ledger:
    """Cash and holdings of one account in one currency; `price_of` values an instrument, or knows nothing."""

    def __init__(
        self, account: str, cash: float, price_of: Callable[[str], float | None], currency: str = "USD"
    ) -> None:
        self.account = account
        self.currency = currency
        self.cash = cash
        self.holdings: dict[str, Holding] = {}
        self._price_of = price_of
        self._opening_equity = cash

    def book(self, contract: ContractData, fill: Fill, commission: float) -> float | None:
        """Book an execution and what it cost; return the profit it realized, or nothing if it closed nothing."""
        holding = self.holdings.setdefault(contract.id, Holding(contract, Position(contract.id)))
        before = holding.position
        share = commission / (fill.quantity * fill.multiplier)
        at_cost = msgspec.structs.replace(fill, price=fill.price + fill.side.sign * share)
        holding.position = before.after(at_cost)
        realized = holding.position.realized_pnl - before.realized_pnl
        # A future costs nothing to hold: only what it has gained or lost moves cash.
        self.cash += realized if isinstance(contract.instrument, Future) else fill.cash - commission
        closes = before.quantity * fill.signed_quantity < 0
        return realized if closes else None

    def held(self) -> Iterator[Holding]:
        """Yield the holdings that are not flat."""
        return (holding for holding in self.holdings.values() if holding.position.quantity)

    def price(self, holding: Holding) -> float:
        """Return the price to value a holding at; its cost while the market has none."""
        price = self._price_of(holding.contract.id)
        return holding.position.average_price if price is None else price

    def value(self, holding: Holding) -> float:
        """Return what a holding is worth: negative when short."""
        return holding.position.quantity * self.price(holding) * holding.position.multiplier

    def unrealized(self, holding: Holding) -> float:
        """Return what closing a holding now would realize."""
        return holding.position.unrealized_pnl(self.price(holding))

    def margin(self, extra: tuple[ContractData, Side, float, float] | None = None) -> Margin:
        """Return equity and requirement; `extra` adds an order (contract, side, quantity, price) as if filled."""
        equity, required, pending = self.cash, 0.0, extra
        for holding in self.held():
            contract, quantity, price = holding.contract, holding.position.quantity, self.price(holding)
            is_future = isinstance(contract.instrument, Future)
            equity += self.unrealized(holding) if is_future else self.value(holding)
            if pending is not None and pending[0].id == contract.id:
                quantity += pending[1].sign * pending[2]
                pending = None
            required += _requirement(contract, quantity, price)
        if pending is not None:
            required += _requirement(pending[0], pending[2], pending[3])
        return Margin(equity, required)

    def realized(self) -> float:
        """Return the profit realized since the start, after commissions."""
        return sum(holding.position.realized_pnl for holding in self.holdings.values())

    def daily(self) -> float:
        """Return the profit since the start, realized or not."""
        return self.margin().equity - self._opening_equity

    def figures(self) -> Iterator[tuple[str, str, str]]:
        """Yield tag, value and currency of everything TWS reports of an account, in the order of account updates."""
        margin, currency = self.margin(), self.currency
        holdings = list(self.held())
        unrealized = sum(map(self.unrealized, holdings))
        gross = sum(abs(self.value(holding)) for holding in holdings if holding.contract.sec_type != "FUT")
        stocks = sum(self.value(holding) for holding in holdings if holding.contract.sec_type == "STK")
        yield "AccountCode", self.account, ""
        yield "AccountOrGroup", self.account, currency
        yield "AccountReady", "true", ""
        yield "AccountType", "INDIVIDUAL", ""
        yield "AccruedCash", "0.00", currency
        for tag in _AVAILABLE:
            yield tag, _money(margin.available), currency
        yield "BuyingPower", _money(max(0.0, margin.available) * BUYING_POWER_FACTOR), currency
        yield "CashBalance", _money(self.cash), currency
        yield "Currency", currency, currency
        yield "Cushion", f"{margin.available / margin.equity if margin.equity else 0.0:.6g}", ""
        yield "DayTradesRemaining", "-1", ""
        yield "EquityWithLoanValue", _money(margin.equity), currency
        yield "ExchangeRate", "1.00", currency
        yield "FuturesPNL", "0.00", currency
        yield "GrossPositionValue", _money(gross), currency
        for tag in _REQUIRED:
            yield tag, _money(margin.required), currency
        yield "Leverage", f"{gross / margin.equity if margin.equity else 0.0:.2f}", ""
        yield "NetLiquidation", _money(margin.equity), currency
        yield "NetLiquidationByCurrency", _money(margin.equity), currency
        yield "PreviousDayEquityWithLoanValue", _money(self._opening_equity), currency
        yield "RealizedPnL", _money(self.realized()), currency
        yield "RegTEquity", _money(margin.equity), currency
        yield "RegTMargin", _money(margin.required), currency
        yield "SMA", _money(margin.available), currency
        yield "StockMarketValue", _money(stocks), currency
        yield "TotalCashBalance", _money(self.cash), currency
        yield "TotalCashValue", _money(self.cash), currency
        yield "UnrealizedPnL", _money(unrealized), currency


_AVAILABLE = (
    "AvailableFunds",
    "ExcessLiquidity",
    "FullAvailableFunds",
    "FullExcessLiquidity",
    "LookAheadAvailableFunds",
    "LookAheadExcessLiquidity",
)
_REQUIRED = (
    "InitMarginReq",
    "MaintMarginReq",
    "FullInitMarginReq",
    "FullMaintMarginReq",
    "LookAheadInitMarginReq",
    "LookAheadMaintMarginReq",
)


def _requirement(contract: ContractData, quantity: float, price: float) -> float:
    rate = MARGIN_RATES.get(contract.sec_type, 1.0)
    return abs(quantity) * price * contract.instrument.multiplier * rate


def _money(amount: float) -> str:
    return f"{amount:.2f}"
