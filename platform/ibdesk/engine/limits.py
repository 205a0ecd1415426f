"""The limits for orders that open or add to a position: those of the account and of the run.

Each compares sums that every change updates (`engine.exposures`), so the cost of an order does not depend on other
positions and orders. Limits that are off are not evaluated.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ibdesk.errors import OrderDeniedError
from ibdesk.model import Order, RunBudget, Side

if TYPE_CHECKING:
    from ibdesk.engine.holdings import MoneyTotal
    from ibdesk.engine.risk import Exposure
    from ibdesk.engine.risk_limits import RiskLimits


class Reach:
    """The worst positions of owner and account that an order can lead to, on the order's own side.

    `own` and `whole` are the worst positions with the order, `own_before` and `whole_before` those without it, each
    positive on the order's side; `worth` is the money of one unit.
    """

    __slots__ = ("own", "own_before", "whole", "whole_before", "worth")

    def __init__(self, order: Order, exposure: Exposure) -> None:
        holding, total = exposure.holding, exposure.holding.total
        if order.side is Side.BUY:
            self.own_before, self.whole_before = holding.high, total.high
        else:
            self.own_before, self.whole_before = -holding.low, -total.low
        self.own = exposure.others.reach_with(order, order.quantity - order.filled, exposure.held)
        self.whole = self.whole_before + self.own - self.own_before
        self.worth = exposure.worth

    def gross(self, money: MoneyTotal, before: float, after: float, worst: float) -> float:
        """Return the gross exposure if the worst position of an instrument changes from `before` to `after`."""
        return money.gross + (max(after, worst) - max(before, worst)) * self.worth

    def net(self, order: Order, money: MoneyTotal, change: float) -> float:
        """Return the net exposure on the order's side if the worst position there changes by `change`."""
        before = money.highest if order.side is Side.BUY else -money.lowest
        return before + change * self.worth


class OpeningRules:
    """The limits of the account, prepared for checks."""

    def __init__(self, limits: RiskLimits) -> None:
        kinds = ("shares", "contracts", "currency")
        self._size = {kind: getattr(limits, f"max_order_{kind}") for kind in kinds}
        self._position = {kind: getattr(limits, f"max_position_{kind}") for kind in kinds}
        self._limits = limits
        self._counts_money = limits.limits_exposure
        self._counts_margin = min(limits.max_margin_use, limits.max_buying_power_use) < math.inf

    def check(self, order: Order, exposure: Exposure, at_ns: int) -> None:
        """Deny an order that would lead the account, or its run, beyond a limit.

        Raises:
            OrderDeniedError: At the first limit it breaks.
        """
        kind, units = exposure.counted_in, order.quantity * exposure.unit_worth
        if not units <= self._size[kind]:
            raise OrderDeniedError(order.id, f"max_order_{kind}", self._size[kind], units)
        reach = Reach(order, exposure)
        position = reach.whole * exposure.unit_worth
        if not position <= self._position[kind]:
            raise OrderDeniedError(order.id, f"max_position_{kind}", self._position[kind], position)
        limits = self._limits
        if exposure.account.open_orders >= limits.max_open_orders and order.id not in exposure.holding.orders:
            at_most(order, "max_open_orders", limits.max_open_orders, exposure.account.open_orders + 1.0)
        if self._counts_money:
            self._check_money(order, exposure, reach)
        if self._counts_margin:
            self._check_margin(order, exposure)
        if exposure.budget is not None:
            check_budget(order, exposure, exposure.budget, reach, units)
            check_rates(order, exposure.holding.money, exposure.budget, at_ns)

    def _check_money(self, order: Order, exposure: Exposure, reach: Reach) -> None:
        limits, account, total = self._limits, exposure.account, exposure.holding.total
        if reach.whole <= reach.whole_before:
            return
        other = -total.low if order.side is Side.BUY else total.high
        gross = reach.gross(account, reach.whole_before, reach.whole, other)
        at_most(order, "max_gross_exposure", limits.max_gross_exposure, gross)
        change = reach.whole - reach.whole_before
        at_most(order, "max_net_exposure", limits.max_net_exposure, reach.net(order, account, change))
        value = max(reach.whole, other) * reach.worth
        at_most(order, "max_instrument_exposure", limits.max_instrument_exposure, value)

    def _check_margin(self, order: Order, exposure: Exposure) -> None:
        limits, balance = self._limits, exposure.balance
        if limits.max_margin_use < math.inf:
            used = balance.initial_margin / balance.net_liquidation if balance.net_liquidation > 0 else math.nan
            # A figure that the account has not reported is unknown, and counts as beyond any limit.
            at_most(order, "max_margin_use", limits.max_margin_use, math.inf if math.isnan(used) else used)
        if limits.max_buying_power_use < math.inf:
            power = balance.buying_power
            used = order.remaining * exposure.worth / power if power > 0 else math.inf
            at_most(order, "max_buying_power_use", limits.max_buying_power_use, used)


def check_budget(order: Order, exposure: Exposure, budget: RunBudget, reach: Reach, units: float) -> None:
    """Deny an order that would lead its run beyond one of the run's own limits.

    Raises:
        OrderDeniedError: At the first limit it breaks.
    """
    holding, money = exposure.holding, exposure.holding.money
    at_most(order, "budget.max_order", budget.max_order, units)
    at_most(order, "budget.max_position", budget.max_position, reach.own * exposure.unit_worth)
    if budget.max_notional < math.inf:
        at_most(order, "budget.max_notional", budget.max_notional, value_of(order, exposure))
    if order.id not in holding.orders:
        at_most(order, "budget.max_open_orders", budget.max_open_orders, money.open_orders + 1.0)
    if reach.own > reach.own_before and money.is_budgeted:
        other = -holding.low if order.side is Side.BUY else holding.high
        gross = reach.gross(money, reach.own_before, reach.own, other)
        at_most(order, "budget.max_gross_exposure", budget.max_gross_exposure, gross)
        net = reach.net(order, money, reach.own - reach.own_before)
        at_most(order, "budget.max_net_exposure", budget.max_net_exposure, net)


def value_of(order: Order, exposure: Exposure) -> float:
    """Return the value of an order in the account's currency, at the worst of its limit, its stop and the last price.

    Without any price the value is unknown, and counts as beyond any limit.
    """
    limit, stop, price = order.limit_price, order.stop_price, exposure.price
    if limit is None and stop is None and price is None:
        return math.inf
    if exposure.counted_in == "currency":
        return order.quantity * exposure.unit_worth
    # An unknown or unstated price counts as zero.
    worst = max(abs(limit or 0.0), abs(stop or 0.0), abs(price or 0.0))
    return worst * order.quantity * exposure.multiplier * exposure.rate


def check_rates(order: Order, money: MoneyTotal, budget: RunBudget, at_ns: int) -> None:
    """Deny an order or change of a run with too many orders, changes or cancels in the last minute.

    Raises:
        OrderDeniedError: If the run exceeds one of its rates.
    """
    if budget.max_orders_per_minute < math.inf:
        at_most(order, "budget.max_orders_per_minute", budget.max_orders_per_minute, money.sent.since(at_ns) + 1.0)
    if budget.max_cancels_per_minute < math.inf:
        at_most(order, "budget.max_cancels_per_minute", budget.max_cancels_per_minute, money.cancels.since(at_ns))


def at_most(order: Order, rule: str, limit: float, asked: float) -> None:
    """Deny an order if it asks for more than a rule allows.

    Raises:
        OrderDeniedError: If `asked` exceeds `limit`.
    """
    if not asked <= limit:
        raise OrderDeniedError(order.id, rule, limit, asked)
