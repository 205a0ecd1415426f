"""Commissions of the venue: Interactive Brokers' published schedules.

A schedule returns the charge for all executions of one order so far, because IB's minimums and maximums are per
order. Each execution is then charged the difference to the previous charge of its order. The rates are those of IB's
commission pages for US products in 2025, in US dollars; every rate is a field that can be set.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from ibdesk.model import AnyInstrument, Forex, Future, Option, Side


class CommissionSchedule(Protocol):
    """The commission of an order."""

    def charge(self, instrument: AnyInstrument, *, side: Side, quantity: float, value: float) -> float:
        """Return the charge for `quantity` executed of one order, in the instrument's currency.

        `value` is the sum of quantity, price and multiplier over the order's executions, without sign. A charge is
        positive. It never falls as quantity and value grow.
        """
        ...


class NoCommission(msgspec.Struct, frozen=True):
    """No commission."""

    def charge(
        self,
        instrument: AnyInstrument,  # noqa: ARG002
        *,
        side: Side,  # noqa: ARG002
        quantity: float,  # noqa: ARG002
        value: float,  # noqa: ARG002
    ) -> float:
        """Return zero."""
        return 0.0


class FixedCommission(msgspec.Struct, frozen=True, kw_only=True):
    """IB's Fixed schedule, the default: stocks at one rate per share, exchange fees included.

    Stocks cost `per_share`, at least `stock_minimum` per order and at most `stock_maximum` of its value (if the two
    conflict, IB applies the maximum). Sales taxes of a fraction of a cent per hundred shares (SEC section 31, FINRA
    trading activity fee) are not included; `TieredCommission` has them. `per_future` is IB's 0.85 plus about 1.40 of
    exchange, clearing and NFA fees, as for CME's E-mini contracts. Forex costs `forex_rate` of the value and at least
    `forex_minimum` US dollars per order; for a pair without the dollar the minimum is that many units of its quote
    currency.
    """

    per_share: float = 0.005
    stock_minimum: float = 1.0
    stock_maximum: float = 0.01
    per_future: float = 2.25
    per_option: float = 0.65
    option_minimum: float = 1.0
    forex_rate: float = 0.00002
    forex_minimum: float = 2.0

    def charge(
        self,
        instrument: AnyInstrument,
        *,
        side: Side,  # noqa: ARG002 - the same for both sides
        quantity: float,
        value: float,
    ) -> float:
        """Return the charge for the executed part of one order; see `CommissionSchedule.charge`."""
        if isinstance(instrument, Future):
            return self.per_future * quantity
        if isinstance(instrument, Option):
            return max(self.per_option * quantity, self.option_minimum)
        if isinstance(instrument, Forex):
            dollar = value / quantity if instrument.symbol == "USD" else 1.0
            return max(self.forex_rate * value, self.forex_minimum * dollar)
        return min(max(self.per_share * quantity, self.stock_minimum), self.stock_maximum * value)


class TieredCommission(FixedCommission, frozen=True, kw_only=True):
    """IB's Tiered schedule for stocks at its first tier (up to 300,000 shares a month), with passed-on fees.

    Beside IB's own charge, each share costs `exchange_fee` (taking liquidity at a US stock exchange: 30 mils is the cap
    of SEC rule 610; rebates for resting orders are not credited, which is worse for the trader) and `clearing_fee`
    (NSCC and DTC). `pass_through` is a fraction of IB's charge for NYSE (0.000175) and FINRA (0.00056). Sales also cost
    `trading_activity_fee` per share (FINRA) and `section_31_fee` of the value (SEC, the rate until May 2025; it changes
    every year and has been zero at times). Other instruments cost the same as with `FixedCommission`.
    """

    per_share: float = 0.0035
    stock_minimum: float = 0.35
    exchange_fee: float = 0.0030
    clearing_fee: float = 0.00020
    pass_through: float = 0.000735
    trading_activity_fee: float = 0.000166
    section_31_fee: float = 0.0000278

    def charge(self, instrument: AnyInstrument, *, side: Side, quantity: float, value: float) -> float:
        """Return the charge for the executed part of one order; see `CommissionSchedule.charge`."""
        own = super().charge(instrument, side=side, quantity=quantity, value=value)
        if isinstance(instrument, Future | Option | Forex):
            return own
        fees = (self.exchange_fee + self.clearing_fee) * quantity + self.pass_through * own
        if side is Side.SELL:
            fees += self.trading_activity_fee * quantity + self.section_31_fee * value
        return own + fees


SCHEDULES: dict[str, type[CommissionSchedule]] = {
    "fixed": FixedCommission,
    "tiered": TieredCommission,
    "none": NoCommission,
}
"""The schedules by their names in settings."""
