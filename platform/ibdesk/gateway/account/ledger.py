"""One paper account: cash by currency, positions and margin.

Equity with loan value is cash, shares at the market's price, and the profit or loss of futures. Options have a value,
which is part of the net liquidation value, but no loan value (documented).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from ibdesk.gateway.account.margin import Requirement, requirement
from ibdesk.gateway.account.margin_projection import MarginProjection
from ibdesk.gateway.account.projected_trade import (
    ProjectedPosition,
    ProjectedTotal,
    ProjectedTrade,
    exposure_after,
    reduces,
    together,
)
from ibdesk.gateway.account.rates import Rates
from ibdesk.gateway.contracts.contract import ContractData
from ibdesk.gateway.refusal import RefusedError
from ibdesk.model import Fill, Forex, Future, Option, Position

NOT_ENOUGH = (
    "YOUR ORDER IS NOT ACCEPTED. IN ORDER TO OBTAIN THE DESIRED POSITION YOUR EQUITY WITH LOAN "
    "VALUE [{equity:.2f} {currency}] MUST EXCEED THE INITIAL MARGIN [{initial:.2f} {currency}]"
)
_THE_NEW_ONE = "the order under test"
NO_RATE = "No exchange rate from {currency} to {base} is known: the market plays no pair that gives it."


class Margin(msgspec.Struct, frozen=True):
    """Equity and margin requirements, in the account's currency.

    `equity` is equity with loan value, which the requirements are compared with.
    """

    net_liquidation: float
    equity: float
    initial: float
    maintenance: float

    @property
    def available(self) -> float:
        """Return the equity that is free for further positions."""
        return self.equity - self.initial

    @property
    def excess(self) -> float:
        """Return the amount that the positions may lose before they must be reduced."""
        return self.equity - self.maintenance


class Holding(msgspec.Struct):
    """A contract and the position in it. The average price includes commissions, like IB's average cost.

    `before_today` is its profit when the day began, realized or not.
    """

    contract: ContractData
    position: Position
    before_today: float = 0.0


class CashMove(msgspec.Struct, frozen=True, kw_only=True):
    """Money that arrived (positive) or left without a trade, at a time (ns UTC).

    `kind` is a type of IB's statements: ``Dividends``, ``Withholding Tax``, ``Broker Interest Received``, ``Other
    Fees``, ``Deposits/Withdrawals``, ...
    """

    amount: float
    currency: str
    kind: str
    description: str
    at_ns: int


class AccountLedger:
    """Cash and holdings of one account; `price_of` returns an instrument's price, or None.

    Amounts of an instrument are in its currency; figures of the account are in the base currency of `rates`.
    """

    def __init__(self, account: str, cash: float, price_of: Callable[[str], float | None], rates: Rates) -> None:
        self.account = account
        self.rates = rates
        self.cash: dict[str, float] = {rates.base: cash}
        # Money that arrived or left without a trade, oldest first.
        self.moves: list[CashMove] = []
        self.holdings: dict[str, Holding] = {}
        self.opening_value = cash
        self._price_of = price_of

    @property
    def currency(self) -> str:
        """Return the base currency."""
        return self.rates.base

    # ---- bookings ---------------------------------------------------------------------------------------------

    def book(self, contract: ContractData, fill: Fill, commission: float) -> float | None:
        """Book an execution and its commission. Return the profit it realized, or None if it closed nothing."""
        holding = self.holdings.setdefault(contract.id, Holding(contract, Position(contract.id)))
        before = holding.position
        share = commission / (fill.quantity * fill.multiplier)
        at_cost = msgspec.structs.replace(fill, price=fill.price + fill.side.sign * share)
        holding.position = before.after(at_cost)
        realized = holding.position.realized_pnl - before.realized_pnl
        instrument = contract.instrument
        # Holding a future costs nothing: only its profit or loss moves cash.
        self._pay(instrument.currency, realized if isinstance(instrument, Future) else fill.cash - commission)
        if isinstance(instrument, Forex):
            self._pay(instrument.symbol, fill.signed_quantity)
            self.rates.learn(instrument, fill.price)
        closes = before.quantity * fill.signed_quantity < 0
        return realized if closes else None

    def move(self, move: CashMove) -> None:
        """Book money that arrives or leaves without a trade."""
        self.moves.append(move)
        self._pay(move.currency, move.amount)

    def _pay(self, currency: str, amount: float) -> None:
        self.cash[currency] = self.cash.get(currency, 0.0) + amount

    # ---- holdings ---------------------------------------------------------------------------------------------

    def held(self) -> Iterator[Holding]:
        """Yield the holdings that are not flat."""
        return (holding for holding in self.holdings.values() if holding.position.quantity)

    def price(self, holding: Holding) -> float:
        """Return the price that values a holding; its cost while the market has none."""
        price = self._price_of(holding.contract.id)
        return holding.position.average_price if price is None else price

    def value(self, holding: Holding) -> float:
        """Return the value of a holding, in its currency; negative when short."""
        return holding.position.quantity * self.price(holding) * holding.position.multiplier

    def unrealized(self, holding: Holding) -> float:
        """Return the profit of closing a holding now, in its currency."""
        return holding.position.unrealized_pnl(self.price(holding))

    def in_base(self, holding: Holding, amount: float) -> float:
        """Convert an amount in a holding's currency to the base currency."""
        return amount * self.rates.rate(holding.contract.instrument.currency)

    def total_cash(self) -> float:
        """Return all cash in the base currency."""
        return sum(amount * self.rates.rate(currency) for currency, amount in self.cash.items())

    def total_realized(self) -> float:
        """Return the profit realized since the start, after commissions, in the base currency."""
        return sum(self.in_base(holding, holding.position.realized_pnl) for holding in self.holdings.values())

    def total_unrealized(self) -> float:
        """Return the profit of closing everything now, in the base currency."""
        return sum(self.in_base(holding, self.unrealized(holding)) for holding in self.held())

    # ---- the day ----------------------------------------------------------------------------------------------

    def begin_day(self) -> None:
        """Count daily profit from here on."""
        self.opening_value = self.margin().net_liquidation
        for holding in self.holdings.values():
            holding.before_today = self._profit(holding)

    def daily(self) -> float:
        """Return the profit of the day, realized or not, in the base currency."""
        return self.margin().net_liquidation - self.opening_value

    def daily_of(self, holding: Holding) -> float:
        """Return the profit of the day in one contract, in its currency."""
        return self._profit(holding) - holding.before_today

    def _profit(self, holding: Holding) -> float:
        return self.unrealized(holding) + holding.position.realized_pnl

    # ---- margin -----------------------------------------------------------------------------------------------

    def margin(self, trades: Iterable[ProjectedTrade] = ()) -> Margin:
        """Return the account's margin now, or after `trades`.

        Raises:
            RefusedError: If a trade involves a currency whose rate is unknown.
        """
        coming = together(trades)
        for each in coming.values():
            self._check_rates(each)
        return self._margin(coming)

    def _margin(self, coming: Mapping[str, ProjectedTotal]) -> Margin:
        net = equity = self.total_cash()
        needed = Requirement()
        for holding in self.held():
            worth = self._worth(holding)
            net += worth
            equity += 0.0 if isinstance(holding.contract.instrument, Option) else worth
            if holding.contract.id not in coming:
                needed += self._requirement(self._exposure(holding.contract))
        for each in coming.values():
            spent = self._spent(each)
            net, equity = net - spent, equity - spent - self._premium(each)
            needed += self._requirement(exposure_after(self._exposure(each.contract), each))
        return Margin(net, equity, needed.initial, needed.maintenance)

    def objection(self, order: Iterable[ProjectedTrade], projection: MarginProjection) -> str:
        """Return TWS's text for an order that the account lacks the margin for beside `projection`, or an empty text.

        Working orders count as if all purchases of their contract were filled, or all sales, or none, whichever needs
        the most. An order that only reduces positions is always accepted.
        """
        legs = list(order)
        if all(reduces(self._position(leg.contract.id), leg) for leg in legs):
            return ""
        try:
            projection.enter(_THE_NEW_ONE, legs)
            after = self._worst(projection)
        except RefusedError as refusal:
            return refusal.text
        finally:
            projection.remove(_THE_NEW_ONE)
        if after.available >= 0 or after.available >= self._worst(projection).available:
            return ""
        return NOT_ENOUGH.format(equity=after.equity, initial=after.initial, currency=self.currency)

    def _worst(self, projection: MarginProjection) -> Margin:
        chosen: dict[str, ProjectedTotal] = {}
        for contract, ways in projection.ways():
            for way in ways:
                self._check_rates(way)
            held = self._exposure(contract)
            heaviest = self._requirement(held).initial
            for way in ways:
                burden = self._requirement(exposure_after(held, way)).initial + self._spent(way) + self._premium(way)
                if burden > heaviest:
                    heaviest, chosen[contract.id] = burden, way
        return self._margin(chosen)

    def _position(self, instrument: str) -> Position | None:
        holding = self.holdings.get(instrument)
        return None if holding is None else holding.position

    def _exposure(self, contract: ContractData) -> ProjectedPosition:
        holding = self.holdings.get(contract.id)
        if holding is None:
            return ProjectedPosition(contract, 0.0, 0.0)
        return ProjectedPosition(contract, holding.position.quantity, self.price(holding))

    def _requirement(self, exposure: ProjectedPosition) -> Requirement:
        instrument, under_id = exposure.contract.instrument, exposure.contract.under_id
        underlying = self._price_of(under_id) if isinstance(instrument, Option) else None
        needed = requirement(exposure.contract, exposure.quantity, exposure.price, underlying_price=underlying)
        return needed.times(self.rates.rate(instrument.currency))

    def _worth(self, holding: Holding) -> float:
        """Return a holding's value beside the account's cash; both sides of a currency trade are cash."""
        match holding.contract.instrument:
            case Forex():
                return 0.0
            case Future():
                return self.in_base(holding, self.unrealized(holding))
            case _:
                return self.in_base(holding, self.value(holding))

    def _spent(self, coming: ProjectedTotal) -> float:
        """Return the amount that trades take from equity immediately: their commission."""
        return coming.commission * self.rates.rate(coming.contract.instrument.currency)

    def _premium(self, coming: ProjectedTotal) -> float:
        """Return the cash that trades convert into something without loan value; negative for the reverse."""
        instrument = coming.contract.instrument
        if not isinstance(instrument, Option):
            return 0.0
        return coming.value * instrument.multiplier * self.rates.rate(instrument.currency)

    def _check_rates(self, coming: ProjectedTotal) -> None:
        instrument = coming.contract.instrument
        currencies = [instrument.currency]
        if isinstance(instrument, Forex):
            currencies.append(instrument.symbol)
            if coming.price:
                self.rates.learn(instrument, coming.price)
        for currency in currencies:
            if self.rates.to_base(currency) is None:
                raise RefusedError(201, NO_RATE.format(currency=currency, base=self.currency))
