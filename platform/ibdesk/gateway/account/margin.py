"""Margin requirements of a position: the rules of regulator, exchanges and broker, simplified.

`initial` is needed to open a position, `maintenance` to keep it. IB sells positions of an account that has less than
that; here nothing is sold: `Cushion` shows it, and new positions are refused. Sources of the rules:

* Shares: Regulation T (12 CFR 220.12) requires half of the value to open, long or short. FINRA rule 4210(c) requires a
  quarter of a long position to keep it, and 30 % of a short one or 5 dollars a share, whichever is more (documented).
  Regulation T says 150 % of a short sale's value: 100 % of that are its own proceeds, which are in the cash.
* Futures: an amount per contract that the exchange sets and changes; the table has the order of magnitude of 2025
  (believed). The initial amount is 110 % of the maintenance amount, CME's ratio for speculators (documented). It is
  the same by day and overnight (a choice).
* Currencies: 3 % of the value, about IB's rate for main pairs (believed).
* Options: a bought option is paid in full and has no loan value. A sold one needs its present price and 20 % of the
  underlying's value less the amount it is out of the money, at least 10 % of the underlying (call) or of the strike
  (put): Cboe's strategy-based margin for equity options (documented). Index options get no reduction to 15 %, and no
  leg covers another (choices).
"""

from __future__ import annotations

import msgspec

from ibdesk.gateway.contracts.contract import ContractData
from ibdesk.model import Combination, Forex, Future, Index, Option, Right, Stock

STOCK_INITIAL = 0.5
LONG_STOCK_MAINTENANCE = 0.25
SHORT_STOCK_MAINTENANCE = 0.30
SHORT_STOCK_MINIMUM = 5.0
FOREX_RATE = 0.03
FUTURE_INITIAL_RATIO = 1.1
FUTURE_RATE = 0.10
"""Maintenance of a future that is not in the table, as a fraction of its value."""
SHORT_OPTION_RATE = 0.20
SHORT_OPTION_MINIMUM = 0.10
FUTURE_MAINTENANCE = {
    "ES": 20_000.0,
    "MES": 2_000.0,
    "NQ": 28_000.0,
    "MNQ": 2_800.0,
    "RTY": 9_000.0,
    "M2K": 900.0,
    "YM": 14_000.0,
    "MYM": 1_400.0,
    "CL": 6_000.0,
    "MCL": 600.0,
    "NG": 4_000.0,
    "GC": 15_000.0,
    "MGC": 1_500.0,
    "SI": 16_000.0,
    "HG": 7_000.0,
    "ZN": 2_000.0,
    "ZB": 4_000.0,
    "ZF": 1_400.0,
    "ZT": 1_100.0,
}
"""Maintenance per contract, in the future's currency, by root."""


class Requirement(msgspec.Struct, frozen=True):
    """Money to open a position and money to keep it, in the instrument's currency or the account's."""

    initial: float = 0.0
    maintenance: float = 0.0

    def __add__(self, other: Requirement) -> Requirement:
        return Requirement(self.initial + other.initial, self.maintenance + other.maintenance)

    def times(self, factor: float) -> Requirement:
        """Return the requirement multiplied by a factor such as an exchange rate."""
        return Requirement(self.initial * factor, self.maintenance * factor)


def requirement(
    contract: ContractData, quantity: float, price: float, *, underlying_price: float | None = None
) -> Requirement:
    """Return the requirement of `quantity` (negative is short) at `price`, in the instrument's currency.

    `underlying_price` is the price of an option's underlying. While the market has none, the strike replaces it (a
    choice).
    """
    instrument, count = contract.instrument, abs(quantity)
    value = count * abs(price) * instrument.multiplier
    match instrument:
        case Stock() | Combination():
            return _shares(value, count, is_short=quantity < 0)
        case Future():
            per_contract = FUTURE_MAINTENANCE.get(instrument.trading_class)
            maintenance = FUTURE_RATE * value if per_contract is None else per_contract * count
            return Requirement(maintenance * FUTURE_INITIAL_RATIO, maintenance)
        case Option():
            if quantity >= 0:
                return Requirement()
            spot = instrument.strike if underlying_price is None else underlying_price
            sold = value + count * instrument.multiplier * _cover(instrument, spot)
            return Requirement(sold, sold)
        case Forex():
            return Requirement(FOREX_RATE * value, FOREX_RATE * value)
        case Index():
            return Requirement()


def _shares(value: float, count: float, *, is_short: bool) -> Requirement:
    if not is_short:
        return Requirement(STOCK_INITIAL * value, LONG_STOCK_MAINTENANCE * value)
    maintenance = max(SHORT_STOCK_MAINTENANCE * value, SHORT_STOCK_MINIMUM * count)
    return Requirement(max(STOCK_INITIAL * value, maintenance), maintenance)


def _cover(option: Option, spot: float) -> float:
    """Return the requirement of one sold option beyond its price, per unit of the multiplier."""
    if option.right is Right.CALL:
        out_of_the_money, base = max(0.0, option.strike - spot), spot
    else:
        out_of_the_money, base = max(0.0, spot - option.strike), option.strike
    return max(SHORT_OPTION_RATE * spot - out_of_the_money, SHORT_OPTION_MINIMUM * base)
