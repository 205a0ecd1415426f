"""A holding in one instrument and its cost."""

from __future__ import annotations

import msgspec

from ibdesk.errors import DataError
from ibdesk.model.fill import Fill


class Position(msgspec.Struct, frozen=True):
    """A holding in one instrument, its cost, and the profit that closing parts of it has realized.

    `quantity` is signed: positive is long, negative is short, zero is flat. `average_price` is the mean price of the
    present holding, without commission. `realized_pnl` is money before commission; `commission` was paid in the same
    currency, and `charges` were paid in others.
    """

    instrument: str
    quantity: float = 0.0
    average_price: float = 0.0
    realized_pnl: float = 0.0
    commission: float = 0.0
    multiplier: float = 1.0
    charges: dict[str, float] = {}

    def after(self, fill: Fill) -> Position:
        """Return the position after booking `fill`.

        Adding to a position averages the price in; reducing realizes against the average; going through flat
        realizes all of the old position and opens the rest at the fill's price.

        Raises:
            DataError: If the fill belongs to another instrument.
        """
        if fill.instrument != self.instrument:
            raise DataError(f"a fill of {fill.instrument} cannot be booked to a position in {self.instrument}")
        change = fill.signed_quantity
        quantity = self.quantity + change
        # The rounding error of binary fractions counts as flat.
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
        """Return the position with `commission` (money, positive is a cost) added.

        `currency` is given only if it differs from the instrument's.
        """
        if currency:
            paid = self.charges.get(currency, 0.0) + commission
            return msgspec.structs.replace(self, charges=self.charges | {currency: paid})
        return msgspec.structs.replace(self, commission=self.commission + commission)

    def unrealized_pnl(self, price: float) -> float:
        """Return the profit of closing the whole position at `price`, before commission."""
        return (price - self.average_price) * self.quantity * self.multiplier if self.quantity else 0.0

    def pnl(self, price: float) -> float:
        """Return realized and unrealized profit at `price`, less commission; without `charges` in other currencies."""
        return self.realized_pnl + self.unrealized_pnl(price) - self.commission
