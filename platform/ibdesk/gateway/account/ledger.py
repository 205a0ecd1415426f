"""One paper account: cash by currency, positions, and what of its equity is bound by margin.

Equity with loan value is cash, shares at the market's price and what futures have gained or lost; options have a value,
which is in the net liquidation value, and no loan value (documented).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator

import msgspec

from ibdesk.gateway.account.margin import Requirement, requirement
from ibdesk.gateway.account.prospect import Exposure, Prospect, exposure_after, reduces, sides
from ibdesk.gateway.account.rates import Rates
from ibdesk.gateway.contracts.book import ContractData
from ibdesk.gateway.refusal import RefusedError
from ibdesk.model import Fill, Forex, Future, Option, Position

NOT_ENOUGH = (
    "YOUR ORDER IS NOT ACCEPTED. IN ORDER TO OBTAIN THE DESIRED POSITION YOUR EQUITY WITH LOAN "
    "VALUE [{equity:.2f} {currency}] MUST EXCEED THE INITIAL MARGIN [{initial:.2f} {currency}]"
)
NO_RATE = "No exchange rate from {currency} to {base} is known: the market plays no pair that tells it."


class Margin(msgspec.Struct, frozen=True):
    """Equity, and what of it is bound by positions, in the account's currency.

    `equity` is that with loan value, which the requirements are measured against.
    """

    net_liquidation: float
    equity: float
    initial: float
    maintenance: float

    @property
    def available(self) -> float:
        """Return what is free for further positions."""
        return self.equity - self.initial

    @property
    def excess(self) -> float:
        """Return what the positions could lose before they may not be kept."""
        return self.equity - self.maintenance


class Holding(msgspec.Struct):
    """A contract and the position in it; its average price includes commissions, as IB's average cost does."""

    contract: ContractData
    position: Position


class Ledger:
    """Cash and holdings of one account; `price_of` values an instrument, or knows nothing.

    Money of an instrument is in its currency, and figures of the account are in the base currency of `rates`.
    """

    def __init__(self, account: str, cash: float, price_of: Callable[[str], float | None], rates: Rates) -> None:
        self.account = account
        self.rates = rates
        self.cash: dict[str, float] = {rates.base: cash}
        self.holdings: dict[str, Holding] = {}
        self.opening_value = cash
        self._price_of = price_of

    @property
    def currency(self) -> str:
        """Return the base currency."""
        return self.rates.base

    # ---- what happens -----------------------------------------------------------------------------------------

    def book(self, contract: ContractData, fill: Fill, commission: float) -> float | None:
        """Book an execution and what it cost; return the profit it realized, or nothing if it closed nothing."""
        holding = self.holdings.setdefault(contract.id, Holding(contract, Position(contract.id)))
        before = holding.position
        share = commission / (fill.quantity * fill.multiplier)
        at_cost = msgspec.structs.replace(fill, price=fill.price + fill.side.sign * share)
        holding.position = before.after(at_cost)
        realized = holding.position.realized_pnl - before.realized_pnl
        instrument = contract.instrument
        # A future costs nothing to hold: only what it has gained or lost moves cash.
        self._pay(instrument.currency, realized if isinstance(instrument, Future) else fill.cash - commission)
        if isinstance(instrument, Forex):
            self._pay(instrument.symbol, fill.signed_quantity)
            self.rates.learn(instrument, fill.price)
        closes = before.quantity * fill.signed_quantity < 0
        return realized if closes else None

    def _pay(self, currency: str, amount: float) -> None:
        self.cash[currency] = self.cash.get(currency, 0.0) + amount

    # ---- what is held -----------------------------------------------------------------------------------------

    def held(self) -> Iterator[Holding]:
        """Yield the holdings that are not flat."""
        return (holding for holding in self.holdings.values() if holding.position.quantity)

    def price(self, holding: Holding) -> float:
        """Return the price to value a holding at; its cost while the market has none."""
        price = self._price_of(holding.contract.id)
        return holding.position.average_price if price is None else price

    def value(self, holding: Holding) -> float:
        """Return what a holding is worth, in its currency: negative when short."""
        return holding.position.quantity * self.price(holding) * holding.position.multiplier

    def unrealized(self, holding: Holding) -> float:
        """Return what closing a holding now would realize, in its currency."""
        return holding.position.unrealized_pnl(self.price(holding))

    def in_base(self, holding: Holding, amount: float) -> float:
        """Return money of a holding's currency in the base currency."""
        return amount * self.rates.rate(holding.contract.instrument.currency)

    def total_cash(self) -> float:
        """Return all cash in the base currency."""
        return sum(amount * self.rates.rate(currency) for currency, amount in self.cash.items())

    def total_realized(self) -> float:
        """Return the profit realized since the start, after commissions, in the base currency."""
        return sum(self.in_base(holding, holding.position.realized_pnl) for holding in self.holdings.values())

    def total_unrealized(self) -> float:
        """Return what closing everything now would realize, in the base currency."""
        return sum(self.in_base(holding, self.unrealized(holding)) for holding in self.held())

    def daily(self) -> float:
        """Return the profit since the start, realized or not, in the base currency."""
        return self.margin().net_liquidation - self.opening_value

    # ---- margin -----------------------------------------------------------------------------------------------

    def margin(self, prospects: Iterable[Prospect] = ()) -> Margin:
        """Return how the account stands, or would stand if the prospects came true.

        Raises:
            RefusedError: If money would come up in a currency whose rate nothing tells.
        """
        coming: dict[str, list[Prospect]] = {}
        for prospect in prospects:
            self._check_rates(prospect)
            coming.setdefault(prospect.contract.id, []).append(prospect)
        net = equity = self.total_cash()
        needed = Requirement()
        for name in {**self.holdings, **coming}:
            holding = self.holdings.get(name)
            if holding is not None and holding.position.quantity:
                worth = self._worth(holding)
                net += worth
                equity += 0.0 if isinstance(holding.contract.instrument, Option) else worth
            elif name not in coming:
                continue
            spent = sum(map(self._spent, coming.get(name, ())))
            net, equity = net - spent, equity - spent - sum(map(self._premium, coming.get(name, ())))
            contract = coming[name][0].contract if holding is None else holding.contract
            needed += self._requirement(exposure_after(self._exposure(contract), coming.get(name, ())))
        return Margin(net, equity, needed.initial, needed.maintenance)

    def objection(self, order: Iterable[Prospect], working: Iterable[Prospect] = ()) -> str:
        """Return why the account cannot bear an order, in the words of TWS; empty when it can.

        Orders that work count as if all purchases of their contract came true, or all sales, or none, whichever takes
        most. An order that only reduces positions is always borne.
        """
        legs, others = list(order), list(working)
        if all(reduces(self._position(leg.contract.id), leg) for leg in legs):
            return ""
        try:
            before, after = self._worst(others), self._worst([*others, *legs])
        except RefusedError as refusal:
            return refusal.text
        if after.available >= 0 or after.available >= before.available:
            return ""
        return NOT_ENOUGH.format(equity=after.equity, initial=after.initial, currency=self.currency)

    def _worst(self, prospects: list[Prospect]) -> Margin:
        chosen: list[Prospect] = []
        for prospect in prospects:
            self._check_rates(prospect)
        for contract, purchases, sales in sides(prospects):
            ways: tuple[list[Prospect], ...] = ([], purchases, sales)
            chosen += max(ways, key=functools.partial(self._burden, contract))
        return self.margin(chosen)

    def _burden(self, contract: ContractData, coming: list[Prospect]) -> float:
        """Return by how much one contract would lessen what is available."""
        needed = self._requirement(exposure_after(self._exposure(contract), coming))
        return needed.initial + sum(map(self._spent, coming)) + sum(map(self._premium, coming))

    def _position(self, instrument: str) -> Position | None:
        holding = self.holdings.get(instrument)
        return None if holding is None else holding.position

    def _exposure(self, contract: ContractData) -> Exposure:
        holding = self.holdings.get(contract.id)
        if holding is None:
            return Exposure(contract, 0.0, 0.0)
        return Exposure(contract, holding.position.quantity, self.price(holding))

    def _requirement(self, exposure: Exposure) -> Requirement:
        instrument = exposure.contract.instrument
        underlying = self._price_of(instrument.symbol) if isinstance(instrument, Option) else None
        needed = requirement(exposure.contract, exposure.quantity, exposure.price, underlying_price=underlying)
        return needed.times(self.rates.rate(instrument.currency))

    def _worth(self, holding: Holding) -> float:
        """Return what a holding adds to the account beside its cash; the two sides of a currency trade are cash."""
        match holding.contract.instrument:
            case Forex():
                return 0.0
            case Future():
                return self.in_base(holding, self.unrealized(holding))
            case _:
                return self.in_base(holding, self.value(holding))

    def _spent(self, prospect: Prospect) -> float:
        """Return what a trade would take from equity at once: its commission."""
        return prospect.commission * self.rates.rate(prospect.contract.instrument.currency)

    def _premium(self, prospect: Prospect) -> float:
        """Return the cash a trade would turn into something without loan value, or out of it."""
        instrument = prospect.contract.instrument
        if not isinstance(instrument, Option):
            return 0.0
        return prospect.quantity * prospect.price * instrument.multiplier * self.rates.rate(instrument.currency)

    def _check_rates(self, prospect: Prospect) -> None:
        instrument = prospect.contract.instrument
        currencies = [instrument.currency]
        if isinstance(instrument, Forex):
            currencies.append(instrument.symbol)
            if prospect.price:
                self.rates.learn(instrument, prospect.price)
        for currency in currencies:
            if self.rates.to_base(currency) is None:
                raise RefusedError(201, NO_RATE.format(currency=currency, base=self.currency))
