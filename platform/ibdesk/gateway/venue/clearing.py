"""The effect of orders and executions on the accounts. No other part of the venue touches them."""

from __future__ import annotations

import msgspec

from ibdesk.exchange import CommissionSchedule
from ibdesk.gateway.account.accounts import Accounts
from ibdesk.gateway.account.margin_projection import MarginProjection
from ibdesk.gateway.account.projected_trade import ProjectedTrade
from ibdesk.gateway.contracts.contract import ContractData
from ibdesk.gateway.venue import combos
from ibdesk.gateway.venue.combos import QuoteOf
from ibdesk.gateway.venue.records import Hold, OrderRecord
from ibdesk.model import Fill, Quote, Side


class Clearing:
    """Books executions, and computes the cost of orders and whether their account has the margin for them."""

    def __init__(self, accounts: Accounts, commissions: CommissionSchedule, quote_of: QuoteOf) -> None:
        self._accounts = accounts
        self._commissions = commissions
        self._quote_of = quote_of
        # Orders by permanent id that have changed since the last margin check.
        self._noted: dict[int, OrderRecord] = {}
        self._projections = {ledger.account: MarginProjection() for ledger in accounts}
        # By account and instrument: the orders without a price of their own, and the quote that priced them.
        self._unpriced: dict[str, dict[str, _Unpriced]] = {ledger.account: {} for ledger in accounts}

    def book(self, account: str, contract: ContractData, fill: Fill, commission: float) -> float | None:
        """Book an execution. Return the profit it realized, or None if it closed nothing."""
        return self._accounts.named(account).book(contract, fill, commission)

    def take_back(self, account: str, contract: ContractData, fill: Fill, commission: float) -> None:
        """Undo an execution.

        Cash and size return to what they were; so does the average price, unless other executions came in between.
        """
        other = Side.SELL if fill.side is Side.BUY else Side.BUY
        self.book(account, contract, msgspec.structs.replace(fill, side=other), -commission)

    # ---- margin checks ----------------------------------------------------------------------------------------

    def note(self, record: OrderRecord) -> None:
        """Note that an order is changing."""
        self._noted[record.permanent_id] = record

    def objection(self, record: OrderRecord, *, in_place_of: OrderRecord | None = None) -> str:
        """Return TWS's text for an order that the account lacks the margin for; empty when the margin suffices.

        The other working orders count too. The cost grows with the number of contracts, not with that of orders.
        """
        itself = in_place_of or record
        self._noted.pop(itself.permanent_id, None)
        projection = self.projection(record.account)
        projection.remove(itself.permanent_id)
        self.note(itself)
        reason = self._accounts.named(record.account).objection(self.projected_trades(record), projection)
        return f"Order rejected - reason:{reason}" if reason else ""

    def projection(self, account: str) -> MarginProjection:
        """Return the projection of an account's working orders at current prices."""
        for record in self._noted.values():
            self._enter(record)
        self._noted.clear()
        projection = self._projections[account]
        for name, orders in self._unpriced[account].items():
            quote = self._quote_of(name)
            if quote is not orders.quote or orders.are_combinations:
                orders.quote = quote
                for record in orders.records.values():
                    projection.enter(record.permanent_id, self.projected_trades(record))
        return projection

    def _enter(self, record: OrderRecord) -> None:
        projection, unpriced, name = (
            self._projections[record.account],
            self._unpriced[record.account],
            record.contract.id,
        )
        number = record.permanent_id
        if name in unpriced:
            unpriced[name].records.pop(number, None)
            if not unpriced[name].records:
                del unpriced[name]
        if record.is_done or _is_idle(record):
            projection.remove(number)
            return
        projection.enter(number, self.projected_trades(record))
        if record.contract.legs or _own_price(record) is None:
            orders = unpriced.setdefault(name, _Unpriced(are_combinations=bool(record.contract.legs)))
            orders.records[number] = record

    def projected_trades(self, record: OrderRecord) -> list[ProjectedTrade]:
        """Return the remaining quantity of an order as if it were filled now; a combination as its legs."""
        contract, side, left = record.contract, record.order.side, record.remaining
        if not contract.legs:
            return [self._projected_trade(contract, side, left, self._price(record), record.oca_group)]
        prices = combos.leg_prices(contract, side, self._quote_of) or [0.0] * len(contract.legs)
        return [
            self._projected_trade(leg, its_side, ratio * left, price, record.oca_group)
            for (leg, its_side, ratio), price in zip(combos.leg_trades(contract, side), prices, strict=True)
        ]

    def commission(self, contract: ContractData, side: Side, quantity: float, price: float) -> float:
        """Return the commission of an execution."""
        value = abs(quantity * price * contract.instrument.multiplier)
        return self._commissions.charge(contract.instrument, side=side, quantity=quantity, value=value)

    def _projected_trade(
        self, contract: ContractData, side: Side, quantity: float, price: float, group: str
    ) -> ProjectedTrade:
        return ProjectedTrade(
            contract=contract,
            quantity=side.sign * quantity,
            price=price,
            commission=self.commission(contract, side, quantity, price),
            group=group,
        )

    def _price(self, record: OrderRecord) -> float:
        """Return the order's own price, or else the market's; 0.0 if there is neither."""
        price = _own_price(record)
        quote = self._quote_of(record.contract.id)
        if price is None and quote is not None:
            price = quote.ask if record.order.side is Side.BUY else quote.bid
        # A side of the quote without a price is NaN.
        return 0.0 if price is None or price != price else price  # noqa: PLR0124


class _Unpriced(msgspec.Struct):
    """Orders of one instrument that are priced by the quote.

    A combination is priced by the quotes of its legs, so it is priced again each time.
    """

    are_combinations: bool
    quote: Quote | None = None
    records: dict[int, OrderRecord] = msgspec.field(default_factory=dict)


def _own_price(record: OrderRecord) -> float | None:
    limit = record.order.limit_price
    return record.order.stop_price if limit is None else limit


def _is_idle(record: OrderRecord) -> bool:
    """Return whether an order needs no margin yet: it is not transmitted, or its parent is not filled."""
    return not record.holds.isdisjoint((Hold.TRANSMIT, Hold.PARENT))
