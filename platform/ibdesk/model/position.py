"""What is held in one instrument, and what it cost."""

from __future__ import annotations

import msgspec

from ibdesk.errors import DataError
from ibdesk.model.fill import Fill


class Position(msgspec.Struct, frozen=True):
    """What is held in one instrument, what it cost, and what closing parts of it has earned.

    `quantity` is signed: positive is long, negative is short, zero is flat. `average_price` is the mean price of
    what is held now, without commission. `realized_pnl` is money before commission; `commission` is what was paid in
    the same currency, and `charges` what was paid in others.
    """

    instrument: str
    quantity: float = 0.0
    average_price: float = 0.0
    realized_pnl: float = 0.0
    commission: float = 0.0
    multiplier: float = 1.0
    charges: dict[str, float] = {}

    def after(self, fill: Fill) -> Position:
        """Return the position once `fill` is booked.

        Adding to a position averages the price in; reducing realizes against the average; going through flat
        realizes all of the old position and opens the rest at the fill's price.

        Raises:
            DataError: If the fill is of another instrument.
        """
        if fill.instrument != self.instrument:
            raise DataError(f"a fill of {fill.instrument} cannot be booked to a position in {self.instrument}")
        change = fill.signed_quantity
        quantity = self.quantity + change
        # What adding binary fractions leaves of a closed position is flat.
        if abs(quantity) <= 1e-9 * max(abs(self.quantity), abs(change)):
            quantity = 0.0
        realized, average = self.realized_pnl, self.average_price
        if self.quantity * change >= 0:
            held, added = abs(self.quantity), abs(change)
            average = (average * held + fill.price * added) / (held + added) if held + added else 0.0
        else:
            closed = min(abs(change), abs(self.quantity))
            gain = (fill.price - average) if self.quantity > 0 else (average - fill.price)
            realized += gain * closed * fill.multiplier
            if quantity * self.quantity <= 0:
                average = fill.price if quantity else 0.0
        return msgspec.structs.replace(
            self, quantity=quantity, average_price=average, realized_pnl=realized, multiplier=fill.multiplier
        )

    def charged(self, commission: float, currency: str = "") -> Position:
        """Return the position with `commission` (money, positive is a cost) added to what was paid.

        `currency` is named if it is another one than the instrument's.
        """
        if currency:
            paid = self.charges.get(currency, 0.0) + commission
            return msgspec.structs.replace(self, charges=self.charges | {currency: paid})
        return msgspec.structs.replace(self, commission=self.commission + commission)

    def unrealized_pnl(self, price: float) -> float:
        """Return what closing all of it at `price` would earn, before commission."""
        return (price - self.average_price) * self.quantity * self.multiplier if self.quantity else 0.0

    def pnl(self, price: float) -> float:
        """Return realized and unrealized profit at `price`, less commission; without `charges` in other currencies."""
        return self.realized_pnl + self.unrealized_pnl(price) - self.commission
