"""What orders and executions mean for the accounts: the one place where the venue meets them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from ibdesk.exchange import CommissionSchedule
from ibdesk.gateway.account.accounts import Accounts
from ibdesk.gateway.account.prospect import Prospect
from ibdesk.gateway.contracts.book import ContractData
from ibdesk.gateway.venue import combos
from ibdesk.gateway.venue.records import Hold, OrderRecord
from ibdesk.model import Fill, Quote, Side


class Clearing:
    """Books executions, and says what orders would cost and whether their account can bear them."""

    def __init__(
        self, accounts: Accounts, commissions: CommissionSchedule, quote_of: Callable[[str], Quote | None]
    ) -> None:
        self._accounts = accounts
        self._commissions = commissions
        self._quote_of = quote_of

    def book(self, account: str, contract: ContractData, fill: Fill, commission: float) -> float | None:
        """Book an execution; return the profit it realized, or nothing if it closed nothing."""
        return self._accounts.named(account).book(contract, fill, commission)

    def take_back(self, account: str, contract: ContractData, fill: Fill, commission: float) -> None:
        """Undo an execution: cash and size are as before; the average price is, unless others came in between."""
        other = Side.SELL if fill.side is Side.BUY else Side.BUY
        self.book(account, contract, msgspec.structs.replace(fill, side=other), -commission)

    def objection(self, record: OrderRecord, others: Iterable[OrderRecord]) -> str:
        """Return why the account cannot bear an order beside `others`, in the words of TWS; empty when it can."""
        beside = [
            prospect
            for other in others
            if other is not record and other.account == record.account and not _is_idle(other)
            for prospect in self.prospects(other)
        ]
        reason = self._accounts.named(record.account).objection(self.prospects(record), beside)
        return f"Order rejected - reason:{reason}" if reason else ""

    def prospects(self, record: OrderRecord) -> list[Prospect]:
        """Return what is left of an order as if it were filled now; a combination as its legs."""
        contract, side, left = record.contract, record.order.side, record.remaining
        if not contract.legs:
            return [self._prospect(contract, side, left, self._price(record), record.oca_group)]
        prices = combos.leg_prices(contract, side, self._quote_of) or [0.0] * len(contract.legs)
        return [
            self._prospect(leg, its_side, ratio * left, price, record.oca_group)
            for (leg, its_side, ratio), price in zip(combos.leg_trades(contract, side), prices, strict=True)
        ]

    def commission(self, contract: ContractData, side: Side, quantity: float, price: float) -> float:
        """Return what an execution would cost."""
        value = abs(quantity * price * contract.instrument.multiplier)
        return self._commissions.charge(contract.instrument, side=side, quantity=quantity, value=value)

    def _prospect(self, contract: ContractData, side: Side, quantity: float, price: float, group: str) -> Prospect:
        return Prospect(
            contract=contract,
            quantity=side.sign * quantity,
            price=price,
            commission=self.commission(contract, side, quantity, price),
            group=group,
        )

    def _price(self, record: OrderRecord) -> float:
        """Return an order's own price, or the one the market has for it."""
        order = record.order
        price = order.limit_price or order.stop_price
        quote = self._quote_of(record.contract.id)
        if price is None and quote is not None:
            price = quote.ask if order.side is Side.BUY else quote.bid
        # NaN is a side of the quote without a price.
        return 0.0 if price is None or price != price else price  # noqa: PLR0124


def _is_idle(record: OrderRecord) -> bool:
    """Return whether an order binds no margin yet: TWS does not have it, or its parent must be filled first."""
    return not record.holds.isdisjoint((Hold.TRANSMIT, Hold.PARENT))
