"""Exposures: the present and possible positions of the account and each owner, in units and in money.

Every order, execution and price updates a few sums, so a limit costs one comparison and no scan over positions or
orders. `Holding` is one owner in one instrument, `InstrumentTotal` all owners in it, `MoneyTotal` one owner, or the
account, in all instruments. Money is in the account's currency, by the rates of the watched pairs; a currency without a
known rate counts as 1. After a restart an instrument or a pair without a price has the recorded value (`Valuation`), so
that a restart alone changes no profit.

Floating-point sums drift. `exact_pnl` and `recount` sum again from the books; no rule acts on a sum without that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from ibdesk.engine.holdings import Holding, InstrumentTotal, MoneyTotal
from ibdesk.engine.portfolio import EXTERNAL
from ibdesk.engine.rates import rate_between
from ibdesk.model import Fill, Forex, Position, Valuation

if TYPE_CHECKING:
    from ibdesk.engine.market import Market

# The rounding error of sums of binary fractions around zero.
_DUST = 1e-9
# A rate is applied again once it has moved by this part: sums in other currencies do not follow each tick.
_RATE_STEP = 0.001


class Exposures:
    """All holdings and their sums. With `is_kept` False, sums of money are not kept, as no limit needs them."""

    def __init__(self, markets: Mapping[str, Market], *, is_kept: bool) -> None:
        self._markets = markets
        self.is_kept = is_kept
        self.currency = "USD"
        self.account = MoneyTotal("")
        self.owners: dict[str, MoneyTotal] = {}
        self.totals: dict[str, InstrumentTotal] = {}
        self.holdings: dict[tuple[str, str], Holding] = {}
        # Rates as they are applied, by currency.
        self._rates: dict[str, float] = {}
        # The last recorded valuation, and its prices, which later executions replace.
        self._noted, self._noted_prices = Valuation(), dict[str, float]()

    # --- holdings

    def money(self, owner: str) -> MoneyTotal:
        """Return the sums of an owner."""
        return self.owners.get(owner) or self.owners.setdefault(owner, MoneyTotal(owner))

    def holding(self, owner: str, instrument: str) -> Holding:
        """Return an owner's holding, an empty one if there was none."""
        found = self.holdings.get((owner, instrument))
        if found is None:
            total = self.totals.get(instrument)
            if total is None:
                total = self.totals[instrument] = InstrumentTotal(instrument, self._markets.get(instrument))
            found = self.holdings[owner, instrument] = Holding(owner, total, self.money(owner))
            total.holdings.append(found)
            found.money.holdings.append(found)
            if found.money.is_budgeted:
                total.budgeted = (*total.budgeted, found)
        return found

    def count_order(self, holding: Holding, change: int) -> None:
        """Count one open order more or less."""
        self.account.open_orders += change
        holding.money.open_orders += change

    def rate_and_worth(self, total: InstrumentTotal) -> tuple[float, float]:
        """Return the rate of an instrument's money, and the worth of one unit at the present price, or infinity."""
        price = None if total.market is None else total.market.price
        # Sums that are not kept follow no price.
        if self.is_kept and total.is_live and price is not None and total.price == price:
            return total.rate, total.value
        rate = self.rate_of(total)
        return rate, math.inf if price is None else abs(price) * _multiplier(total) * rate

    def refresh(self, holding: Holding) -> None:
        """Update the sums after the open orders or the position of a holding have changed."""
        high, low = holding.sums.worst(holding.position.quantity)
        up, down = high - holding.high, low - holding.low
        if not up and not down:
            return
        total, worst = holding.total, high if high > -low else -low
        if not total.is_live:
            self._enliven(total)
        wider, holding.worst = worst - holding.worst, worst
        holding.high, holding.low = high, low
        total.high, total.low = _clean(total.high + up), _clean(total.low + down)
        before, total.worst = total.worst, max(total.high, -total.low)
        if not self.is_kept:
            return
        value, account, owner = total.value, self.account, holding.money
        account.gross += (total.worst - before) * value
        account.highest += up * value
        account.lowest += down * value
        owner.gross += wider * value
        owner.highest += up * value
        owner.lowest += down * value
        if not total.worst and not total.quantity:
            self._deaden(total)

    def booked(self, owner: str, position: Position) -> None:
        """Update the sums by an owner's new position."""
        holding = self.holding(owner, position.instrument)
        total, before = holding.total, holding.position
        if not total.is_live:
            self._enliven(total)
        pnl_before = holding.pnl(total.price)
        holding.position = position
        if owner != EXTERNAL:
            earned = (holding.pnl(total.price) - pnl_before) * total.rate
            if position.charges is not before.charges:
                earned -= self._charges(position) - self._charges(before)
            self.account.pnl += earned
            holding.money.pnl += earned
            change = position.quantity * position.multiplier - before.quantity * before.multiplier
            total.quantity = _clean(total.quantity + change)
        self.refresh(holding)
        if not total.is_live:
            return
        if total.price is None:
            self._revalue(total, None, total.rate)
        if not total.worst and not total.quantity:
            self._deaden(total)

    # --- prices and rates

    def priced(self, total: InstrumentTotal, price: float) -> None:
        """Update the sums by a new price of an instrument."""
        before = total.price
        if before is None:
            self._revalue(total, price, total.rate)
            return
        total.price = price
        change, account = price - before, self.account
        account.pnl += total.quantity * change * total.rate
        size = (abs(price) - abs(before)) * total.unit
        total.value += size
        account.gross += total.worst * size
        account.highest += total.high * size
        account.lowest += total.low * size
        for holding in total.budgeted:
            money, position = holding.money, holding.position
            money.pnl += position.quantity * position.multiplier * change * total.rate
            money.gross += holding.worst * size
            money.highest += holding.high * size
            money.lowest += holding.low * size

    def rated(self, market: Market) -> None:
        """Update the sums by a new price of a currency pair, if it has moved by a thousandth."""
        for currency in (market.instrument.symbol, market.instrument.currency):
            applied = self._rates.get(currency)
            if applied is None:
                continue
            rate = self._rate_now(currency)
            if rate is not None and abs(rate - applied) > _RATE_STEP * applied:
                self._rates[currency] = rate
                for total in self.totals.values():
                    if total.currency == currency:
                        self._revalue(total, total.price, rate)
                for holding in self.holdings.values():
                    if currency in holding.position.charges and holding.owner != EXTERNAL:
                        paid = holding.position.charges[currency] * (rate - applied)
                        self.account.pnl -= paid
                        holding.money.pnl -= paid

    def watched(self, market: Market) -> None:
        """Follow the prices of an instrument from now on, or update its terms."""
        total = self.totals.get(market.instrument.id)
        if total is not None and total.market is not market:
            total.market = market
            if total.is_live:
                self.recount()
        if isinstance(market.instrument, Forex):
            pair = {market.instrument.symbol, market.instrument.currency}
            market.is_rate = self.is_kept and self.currency in pair and not pair.isdisjoint(self._rates)
            self._mark(market)

    def traded(self, fill: Fill) -> None:
        """Use the price of an execution for an instrument without a price since the restart."""
        if fill.instrument not in self._noted_prices:
            return
        self._noted_prices[fill.instrument] = fill.price
        total = self.totals.get(fill.instrument)
        if total is not None and total.is_live and (price := self.price_of(total)) != total.price:
            self._revalue(total, price, total.rate)

    def count_in(self, currency: str) -> float:
        """Change the currency of the sums; return the worth of one unit of the former currency."""
        worth = 1.0 / self._rate_in_use(currency)
        self.currency = currency
        self._noted = msgspec.structs.replace(self._noted, rates={})
        self._rates.clear()
        self.recount()
        return worth

    def keep(self, *, is_kept: bool) -> None:
        """Keep sums of money from now on, or keep none; all of them are summed again."""
        if is_kept != self.is_kept:
            self.is_kept = is_kept
            self._rates.clear()
            self._watch_pairs()
        self.recount()

    # --- valuation across a restart

    def take_valuation(self, noted: Valuation) -> None:
        """Use a recorded valuation for instruments without a price."""
        is_known = noted == self.valuation()
        self._noted, self._noted_prices = noted, dict(noted.prices)
        if is_known:
            return
        self.currency = noted.currency or self.currency
        self._rates.clear()
        self.recount()

    def valuation(self, *, as_noted: bool = False) -> Valuation:
        """Return the prices and rates of present profits; with `as_noted` prefer the recorded ones."""
        prices, rates, currencies = {}, {}, {}
        for total in self.totals.values():
            own = [holding for holding in total.holdings if holding.owner != EXTERNAL]
            if any(holding.position.quantity for holding in own):
                noted = self._noted_prices.get(total.instrument) if as_noted else None
                price = self.price_of(total) if noted is None else noted
                if price is not None:
                    prices[total.instrument] = price
            paid_in = {currency for holding in own for currency in holding.position.charges}
            if any(holding.has_money for holding in own) and (currency := self.currency_of(total)) != self.currency:
                currencies[total.instrument] = currency
                paid_in.add(currency)
            for currency in sorted(paid_in - {self.currency}):
                noted = self._noted.rates.get(currency) if as_noted else None
                rates[currency] = self._rate_in_use(currency) if noted is None else noted
        return Valuation(self.currency, prices, rates, currencies)

    def has_foreign_money(self, owner: str) -> bool:
        """Return whether an owner has earned or paid money in a currency other than the account's."""
        return any(
            holding.has_money and (holding.position.charges or self.currency_of(holding.total) != self.currency)
            for holding in self.money(owner).holdings
        )

    # --- exact sums

    def exact_pnl(self, owner: str | None = None) -> float:
        """Return the profit of an owner, or of all owners but `EXTERNAL`, summed from the books."""
        holdings = self.holdings.values() if owner is None else self.money(owner).holdings
        return math.fsum(
            holding.pnl(self.price_of(holding.total)) * self.rate_of(holding.total) - self._charges(holding.position)
            for holding in holdings
            if owner is not None or holding.owner != EXTERNAL
        )

    def commission(self, owner: str, instrument: str) -> float:
        """Return the commissions of an owner in an instrument, in the instrument's currency."""
        holding = self.holding(owner, instrument)
        return holding.position.commission + self._charges(holding.position) / self.rate_of(holding.total)

    def recount(self) -> None:
        """Compute all sums again from the books."""
        for money in (self.account, *self.owners.values()):
            money.clear()
        for total in self.totals.values():
            total.quantity = total.high = total.low = total.worst = 0.0
            total.budgeted = tuple(each for each in total.holdings if each.money.is_budgeted)
            positions = [holding.position for holding in total.holdings]
            for holding in total.holdings:
                holding.position, holding.high, holding.low, holding.worst = Position(total.instrument), 0.0, 0.0, 0.0
            self._deaden(total)
            for holding, position in zip(total.holdings, positions, strict=True):
                self.booked(holding.owner, position)

    def price_of(self, total: InstrumentTotal) -> float | None:
        """Return the price at which an instrument is valued: the last, else the recorded one, else None."""
        price = None if total.market is None else total.market.price
        return self._noted_prices.get(total.instrument) if price is None else price

    def currency_of(self, total: InstrumentTotal) -> str:
        """Return the currency of an instrument, or the account's if it is not known."""
        if total.market is None:
            return self._noted.currencies.get(total.instrument, self.currency)
        return total.market.instrument.currency

    def rate_of(self, total: InstrumentTotal) -> float:
        """Return the rate applied to an instrument's money."""
        return self._rate_in_use(self.currency_of(total))

    # --- inside

    def _enliven(self, total: InstrumentTotal) -> None:
        """Make the sums follow the price of an instrument, whose sums are zero until now."""
        total.is_live = True
        if total.market is None:
            total.market = self._markets.get(total.instrument)
        total.currency = self.currency_of(total)
        total.price, total.rate = self.price_of(total), self.rate_of(total)
        self._price_unit(total)
        if total.market is not None and self.is_kept:
            total.market.total = total
            self._mark(total.market)

    def _deaden(self, total: InstrumentTotal) -> None:
        """Stop following the price of an instrument in which nothing is held or ordered."""
        if any(holding.worst for holding in total.holdings):
            # The owners' positions cancel out for the account, but not for the owners.
            return
        total.is_live = False
        if total.market is not None:
            total.market.total = None
            self._mark(total.market)

    @staticmethod
    def _mark(market: Market) -> None:
        market.is_watched = market.is_rate or market.total is not None

    def _price_unit(self, total: InstrumentTotal) -> None:
        multiplier = _multiplier(total)
        total.unit = multiplier * total.rate
        price = total.price
        if price is None:
            costs = [abs(each.position.average_price) for each in total.holdings if each.position.quantity]
            price = max((cost for cost in costs if not math.isnan(cost)), default=0.0)
        total.value = abs(price) * total.unit

    def _revalue(self, total: InstrumentTotal, price: float | None, rate: float) -> None:
        """Count an instrument at another price and rate, from its positions."""
        value_before, price_before, rate_before = total.value, total.price, total.rate
        total.price, total.rate = price, rate
        self._price_unit(total)
        size, account = total.value - value_before, self.account
        if not self.is_kept:
            return
        account.gross += total.worst * size
        account.highest += total.high * size
        account.lowest += total.low * size
        for holding in total.holdings:
            money = holding.money
            money.gross += holding.worst * size
            money.highest += holding.high * size
            money.lowest += holding.low * size
            if holding.owner != EXTERNAL:
                earned = holding.pnl(price) * rate - holding.pnl(price_before) * rate_before
                account.pnl += earned
                money.pnl += earned

    def _rate_in_use(self, currency: str) -> float:
        """Return the rate applied to money in a currency; without kept sums it is the present one."""
        if currency == self.currency:
            return 1.0
        rate = self._rates.get(currency)
        if rate is None:
            rate = self._rate_now(currency) or self._noted.rates.get(currency) or 1.0
            if self.is_kept:
                self._rates[currency] = rate
                self._watch_pairs()
        return rate

    def _charges(self, position: Position) -> float:
        """Return the charges in currencies other than the instrument's, in the account's money."""
        charges = position.charges
        return sum(paid * self._rate_in_use(currency) for currency, paid in charges.items()) if charges else 0.0

    def _watch_pairs(self) -> None:
        """Find the pairs whose rates money is counted by."""
        for market in self._markets.values():
            if isinstance(market.instrument, Forex):
                self.watched(market)

    def _rate_now(self, currency: str) -> float | None:
        return rate_between(currency, self.currency, self._price_named)

    def _price_named(self, instrument: str) -> float | None:
        market = self._markets.get(instrument)
        return None if market is None else market.price


def _multiplier(total: InstrumentTotal) -> float:
    if total.market is not None:
        return total.market.instrument.multiplier
    return max((each.position.multiplier for each in total.holdings), default=1.0)


def _clean(figure: float) -> float:
    return figure if figure > _DUST or figure < -_DUST else 0.0
