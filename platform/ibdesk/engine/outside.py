"""Trades made outside this desk: their book, their cost, and the strategies' positions that they close.

A person can sell in TWS a position that a strategy holds. The books then say that the strategy still has it, and that
`EXTERNAL` is short the same quantity. The strategy's exit would take the account through zero. So the quantity that the
account no longer covers is kept by instrument, its holders may not order in it, and a person decides.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec

from ibdesk.engine.blotter import Blotter
from ibdesk.engine.outbox import Outbox
from ibdesk.engine.portfolio import EXTERNAL, Portfolio, PriceOf
from ibdesk.errors import DeskError, OrderDeniedError
from ibdesk.model import Fill, Order, Position, PositionReport, Severity, Side

RULE = "external_trade"
"""The rule that denies orders in instruments that the account does not cover."""

_DUST = 1e-9


class OutsideTrades:
    """Books outside trades in the account, and keeps the part of our positions that they closed.

    `uncovered` is that part by instrument, signed like the positions: 100 means that books hold 100 which the account
    does not have. An outside trade first closes the position of `EXTERNAL` itself, and only then ours.
    """

    def __init__(
        self,
        portfolio: Portfolio,
        blotter: Blotter,
        outbox: Outbox,
        price_of: PriceOf,
        cancel: Callable[[str], None],
        halt: Callable[[str, str], None],
    ) -> None:
        self._portfolio, self._blotter, self._outbox, self._price_of = portfolio, blotter, outbox, price_of
        self._cancel, self._halt = cancel, halt
        self.uncovered: dict[str, float] = {}
        # The instruments in which `EXTERNAL` has a position of unknown cost, until there is a price.
        self.unpriced: set[str] = set()
        # The executions that the last `accept` has booked.
        self.accepted: list[Fill] = []

    # --- outside trades

    def trade(self, fill: Fill) -> None:
        """Handle an execution that is not ours, before it is booked."""
        self._moves(fill.instrument, fill.signed_quantity)

    def settle(self, report: PositionReport) -> None:
        """Book the part of the account's position that no book explains to `EXTERNAL`, and alert.

        Its cost is known only if none of the position is ours: TWS reports the mean of all. Otherwise its profit counts
        from the last price on, and is unknown while there is no price.
        """
        name = report.instrument
        explained = self._portfolio.held(name)
        change = report.quantity - explained
        if abs(change) <= _DUST * max(abs(report.quantity), 1.0):
            return
        self._moves(name, change)
        external = self._portfolio.open_book(EXTERNAL)
        held = external.position(name)
        quantity = held.quantity + change
        if not self._holders(name):
            cost = report.average_price
        else:
            price = self._price_of(name)
            cost = math.nan if price is None else _mean(held, change, price)
        external.put(msgspec.structs.replace(held, quantity=quantity, average_price=cost))
        self.note_unpriced(name)
        self._outbox.alert(EXTERNAL, _difference_words(report.quantity, explained, name), Severity.WARNING)

    def note_unpriced(self, instrument: str) -> None:
        """Note whether the position of `EXTERNAL` in an instrument has a known cost."""
        position = self._portfolio.open_book(EXTERNAL).position(instrument)
        if position.quantity and math.isnan(position.average_price):
            self.unpriced.add(instrument)
        else:
            self.unpriced.discard(instrument)

    def price(self, instrument: str, price: float) -> None:
        """Use this price as the cost of a position of unknown cost."""
        if instrument not in self.unpriced:
            return
        self.unpriced.discard(instrument)
        external = self._portfolio.open_book(EXTERNAL)
        external.put(msgspec.structs.replace(external.position(instrument), average_price=price))

    # --- uncovered positions

    def trim(self, instrument: str) -> None:
        """Update after our positions have changed: at most their quantity can be uncovered."""
        sign = math.copysign(1, self.uncovered[instrument])
        self._put(instrument, sign * min(abs(self.uncovered[instrument]), self._ours(instrument, sign)))

    def check(self, order: Order) -> None:
        """Deny an order of an owner whose position the account does not cover.

        Raises:
            OrderDeniedError: With the covered quantity of the position.
        """
        missing = self.uncovered.get(order.instrument, 0.0)
        held = self._portfolio.open_book(order.owner).position(order.instrument).quantity
        if missing * held > 0:
            covered = max(self._ours(order.instrument, math.copysign(1, missing)) - abs(missing), 0.0)
            raise OrderDeniedError(order.id, RULE, covered, order.quantity)

    def accept(self, instrument: str, owner: str, at_ns: int) -> None:
        """Book the uncovered quantity to its holders, as closed at the price of the outside trades.

        With `owner` only up to that owner's position. `accepted` holds the executions, two for each owner.

        Raises:
            DeskError: If nothing is uncovered, `owner` holds none of it, or no price of it is known.
        """
        missing = self.uncovered.get(instrument, 0.0)
        holders = [(name, q) for name, q in self._holders(instrument) if q * missing > 0 and owner in ("", name)]
        if not holders:
            raise DeskError(_nothing_words(instrument, owner, self.uncovered))
        price = self._price_outside(instrument, missing)
        self.accepted = []
        for name, quantity in holders:
            part = min(abs(quantity), abs(missing))
            if not part:
                continue
            position = self._portfolio.open_book(name).position(instrument)
            side = Side.SELL if missing > 0 else Side.BUY
            for book, way in ((name, side), (EXTERNAL, Side.BUY if side is Side.SELL else Side.SELL)):
                fill = Fill(
                    execution_id=f"accepted/{instrument}/{at_ns}/{name}/{book}",
                    order_id="",
                    instrument=instrument,
                    side=way,
                    quantity=part,
                    price=price,
                    at_ns=at_ns,
                    multiplier=position.multiplier,
                )
                self._portfolio.book(fill, book)
                self.accepted.append(fill)
            missing -= math.copysign(part, missing)
        self._put(instrument, missing)
        self.note_unpriced(instrument)

    def held_by_us(self, instrument: str, sign: float) -> float:
        """Return the signed quantity of an instrument in all books but EXTERNAL's on the side of `sign`."""
        return math.copysign(self._ours(instrument, math.copysign(1, sign)), sign)

    def restore(self, uncovered: dict[str, float]) -> None:
        """Restore the uncovered quantities of a snapshot."""
        self.uncovered = dict(uncovered)
        external = self._portfolio.books.get(EXTERNAL)
        for instrument in () if external is None else external.positions:
            self.note_unpriced(instrument)

    # --- inside

    def _moves(self, instrument: str, change: float) -> None:
        """Handle an outside change of the account's position, before it is booked."""
        before = self.uncovered.get(instrument, 0.0)
        if before * change > 0:
            # A closed position is opened again.
            undone = math.copysign(min(abs(before), abs(change)), change)
            self._put(instrument, before - undone)
            change -= undone
        sign = -math.copysign(1, change)
        external = self._portfolio.open_book(EXTERNAL).position(instrument).quantity * sign
        closed = min(abs(change), max(self._portfolio.held(instrument) * sign, 0.0)) - max(external, 0.0)
        if closed <= _DUST * max(abs(change), 1.0):
            return
        ours = self._ours(instrument, sign)
        missing = min(max(self.uncovered.get(instrument, 0.0) * sign, 0.0) + closed, ours)
        if missing > 0:
            self._put(instrument, sign * missing)
            self._stop_holders(instrument, sign, closed, missing)

    def _stop_holders(self, instrument: str, sign: float, closed: float, missing: float) -> None:
        holders = [(name, quantity) for name, quantity in self._holders(instrument) if quantity * sign > 0]
        who = ", ".join(f"{name} ({quantity:g})" for name, quantity in holders)
        ours = sum(quantity for _, quantity in holders)
        self._outbox.alert(
            EXTERNAL,
            f"{instrument}: {closed:g} {'sold' if sign > 0 else 'bought'} outside this desk; the books say {who}, and "
            f"the account covers {max(abs(ours) - missing, 0.0):g}. Orders of these owners in {instrument} are "
            f"cancelled and refused until a person decides: accept_external({instrument!r}) books the trade to them "
            f"(stop a run first that must not open the position again), or undo it in TWS. Runs among them are halted.",
            Severity.ERROR,
        )
        for name, _ in holders:
            self._halt(name, f"{instrument}: a position of this run was closed outside this desk")
            for order in self._blotter.open_orders(name, instrument):
                self._cancel(order.id)

    def _put(self, instrument: str, missing: float) -> None:
        if abs(missing) <= _DUST:
            if self.uncovered.pop(instrument, 0.0):
                self._outbox.alert(
                    EXTERNAL,
                    f"{instrument}: the account covers the books again; orders in it are accepted again",
                    Severity.INFO,
                )
        else:
            self.uncovered[instrument] = missing

    def _holders(self, instrument: str) -> list[tuple[str, float]]:
        """Return the owners other than `EXTERNAL` that hold the instrument, with quantities, oldest book first."""
        held = (
            (book.owner, book.position(instrument).quantity)
            for book in self._portfolio.books.values()
            if book.owner != EXTERNAL
        )
        return [(owner, quantity) for owner, quantity in held if quantity]

    def _ours(self, instrument: str, sign: float) -> float:
        return sum(quantity * sign for _, quantity in self._holders(instrument) if quantity * sign > 0)

    def _price_outside(self, instrument: str, missing: float) -> float:
        """Return the price at which the position was closed outside, or else the last price.

        Raises:
            DeskError: If neither is known.
        """
        external = self._portfolio.open_book(EXTERNAL).position(instrument)
        if external.quantity * missing < 0 and not math.isnan(external.average_price):
            return external.average_price
        price = self._price_of(instrument)
        if price is None:
            raise DeskError(
                f"no price of {instrument} is known at which to book the trade: watch({instrument!r}) follows one"
            )
        return price


def _mean(held: Position, change: float, price: float) -> float:
    """Return the mean cost of a position after adding `change` at `price`."""
    if held.quantity * change > 0:
        return (held.average_price * abs(held.quantity) + price * abs(change)) / (abs(held.quantity) + abs(change))
    return held.average_price if abs(held.quantity) > abs(change) else price


def _difference_words(quantity: float, explained: float, instrument: str) -> str:
    return (
        f"{instrument}: the account holds {quantity:g} but the books say {explained:g}. The difference of "
        f"{quantity - explained:g} is booked under `{EXTERNAL}`; check for trades made elsewhere."
    )


def _nothing_words(instrument: str, owner: str, uncovered: dict[str, float]) -> str:
    known = ", ".join(f"{name} ({missing:g})" for name, missing in uncovered.items()) or "nothing"
    whose = f" by {owner}" if owner else ""
    return f"{instrument} has no position{whose} that a trade outside has closed: uncovered is {known}"
