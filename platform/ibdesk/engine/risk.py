"""The risk gate, which every order passes before it may leave."""

from __future__ import annotations

import collections
import math
from typing import TYPE_CHECKING

import msgspec

from ibdesk.engine.halts import Halts
from ibdesk.engine.holdings import Holding, MoneyTotal
from ibdesk.engine.limits import OpeningRules, at_most, value_of
from ibdesk.engine.open_orders import OpenOrders, Sort, sort_of
from ibdesk.engine.portfolio import MANUAL
from ibdesk.engine.rates import unit_worth
from ibdesk.engine.risk_limits import RiskLimits
from ibdesk.errors import OrderDeniedError
from ibdesk.model import Account, Order, OrderType, Quote, RunBudget, Side, TradingState

if TYPE_CHECKING:
    from ibdesk.engine.order_flow import OrderFlow

_SECOND = 1_000_000_000
_NO_LIMIT = math.inf
_NEVER_NS = 2**63
# The rounding error of binary fractions, as a part of a position.
_DUST = 1e-9


class Exposure(msgspec.Struct, frozen=True):
    """The facts that the gate needs at the time of an order.

    `held` is the run's position, `others` the sums of its other open orders in the instrument; `price` and `quote` are
    the market's last; `link_up` says whether orders can leave at all.
    `counted_in` is the unit of quantities (`Instrument.counted_in`), and `unit_worth` the count of one unit against its
    limits: 1, or the worth of a pair's base currency in the account's. `rate` is that of the instrument's currency in
    the account's, and `worth` the money of one unit there, infinite without a price. `holding` has the sums of the run
    and the instrument, `account` those of all, `balance` the account's report; `budget` is the run's. `flattens` says
    that the order closes a position for a person or a limit. `reduces_account` says whether it takes the account's
    position towards zero; that matters while the guardian cancels orders or closes positions, and is otherwise true.
    """

    held: float
    others: OpenOrders
    price: float | None
    quote: Quote | None
    multiplier: float
    link_up: bool
    counted_in: str
    unit_worth: float
    rate: float
    worth: float
    holding: Holding
    account: MoneyTotal
    balance: Account
    budget: RunBudget | None = None
    flattens: bool = False
    reduces_account: bool = True


def exposure_of(flow: OrderFlow, order: Order, others: OpenOrders) -> Exposure:
    """Return the facts that the gate needs about an order, given the `others` that are open."""
    market, holding = flow.markets[order.instrument], flow.exposures.holding(order.owner, order.instrument)
    instrument, exposures, halts = market.instrument, flow.exposures, flow.gate.halts
    counted_in = instrument.counted_in
    rate, worth = exposures.rate_and_worth(holding.total)
    return Exposure(
        held=holding.position.quantity,
        others=others,
        price=market.price,
        quote=market.quote,
        multiplier=instrument.multiplier,
        link_up=flow.link_up,
        counted_in=counted_in,
        unit_worth=unit_worth(instrument, exposures.currency, flow.price_of) if counted_in == "currency" else 1.0,
        rate=rate,
        worth=worth,
        holding=holding,
        account=exposures.account,
        balance=flow.account,
        budget=flow.budgets.get(order.owner) if flow.budgets else None,
        flattens=not halts.is_empty and flow.aims.is_exit(order.id, holding),
        reduces_account=not halts.is_exclusive or _reduces_account(flow, order, holding),
    )


def _reduces_account(flow: OrderFlow, order: Order, holding: Holding) -> bool:
    """Return whether an order only reduces the account's position, if all open orders on its side fill first."""
    held, others = flow.portfolio.held(order.instrument), 0.0
    for each in holding.total.holdings:
        others += sum(
            other.remaining for other in each.orders.values() if other.side is order.side and other.id != order.id
        )
    return held * order.side.sign < 0 and others + order.remaining <= abs(held) * (1 + _DUST)


class RiskGate:
    """Applies the limits to orders; keeps recent orders and the halts in force.

    `decides` is False for a gate that repeats a journal: then no other part of the engine decides either.
    """

    decides = True

    def __init__(self, limits: RiskLimits) -> None:
        # The limits at the start; `limits` are the present ones.
        self.settings = limits
        self.change(limits)
        self.halts = Halts()
        self._sent_ns: collections.deque[int] = collections.deque()

    def change(self, limits: RiskLimits) -> None:
        """Apply other limits from now on."""
        self.limits, self._opening = limits, OpeningRules(limits)

    def check(self, order: Order, exposure: Exposure, at_ns: int) -> bool:
        """Pass an order; return whether it only reduces or protects the position.

        Raises:
            OrderDeniedError: At the first rule it breaks.
        """
        is_exit = reduces(order, exposure.held, exposure.others)
        if not exposure.link_up:
            raise OrderDeniedError(order.id, "link", 0.0, 1.0)
        if not self.halts.is_empty:
            self._check_halt(order, exposure, is_exit=is_exit)
        if not is_exit:
            self._opening.check(order, exposure, at_ns)
            most = self.limits.max_notional
            if most < _NO_LIMIT and not (value := value_of(order, exposure)) <= most:
                raise OrderDeniedError(order.id, "max_notional", most, value)
            if self.limits.max_cancels_per_minute < _NO_LIMIT:
                cancels = exposure.account.cancels.since(at_ns)
                at_most(order, "max_cancels_per_minute", self.limits.max_cancels_per_minute, cancels)
        if order.limit_price is not None:
            self._check_collar(order, exposure)
        return is_exit

    def bars_protection(self, state: TradingState, owner: str) -> bool:
        """Return whether an owner may not even reduce or protect its position; a person always may.

        While the guardian cancels orders or closes positions no strategy may: the desk learns of the guardian's trades
        late, so an order that reduces a position by the desk's books could open one in the account.
        """
        if owner == MANUAL:
            return False
        return self.halts.is_exclusive or (state is TradingState.HALTED and not self.limits.halt_keeps_protection)

    def _check_halt(self, order: Order, exposure: Exposure, *, is_exit: bool) -> None:
        state = self.halts.state_for(order.owner, order.instrument)
        if self.halts.is_exclusive:
            # The desk's own closing orders do not pass either: they wait in their aims.
            is_exit = is_exit and exposure.reduces_account
        elif state is TradingState.NORMAL or (is_exit and exposure.flattens):
            return
        if not is_exit or self.bars_protection(state, order.owner):
            raise OrderDeniedError(order.id, "halt", 0.0, order.quantity)

    def room_at(self, at_ns: int) -> int:
        """Return the earliest time for one more order, not before `at_ns`; at 0.5 a second, one leaves every two."""
        limit = self.limits.max_orders_per_second
        if limit == _NO_LIMIT:
            return at_ns
        sent_ns = self._sent_ns
        # The last one is kept, because a limit below 1 looks back more than a second.
        while len(sent_ns) > 1 and sent_ns[0] <= at_ns - _SECOND:
            sent_ns.popleft()
        most = max(1, int(limit))
        if len(sent_ns) < most:
            return at_ns
        window_ns = _SECOND if limit >= 1 else int(min(_SECOND / limit, _NEVER_NS))
        return max(at_ns, sent_ns[-most] + window_ns)

    def count(self, at_ns: int) -> None:
        """Count an order or modification that leaves at `at_ns`."""
        if self.limits.max_orders_per_second < _NO_LIMIT:
            self._sent_ns.append(at_ns)

    def sent_since(self, at_ns: int) -> int:
        """Return the number of orders and modifications since `at_ns`, at most a second back."""
        return sum(sent_ns > at_ns for sent_ns in self._sent_ns)

    def forget_sent(self, count: int, at_ns: int) -> None:
        """Subtract orders and modifications that passed at `at_ns` and never left."""
        while count and self._sent_ns and self._sent_ns[-1] == at_ns:
            self._sent_ns.pop()
            count -= 1

    def _check_collar(self, order: Order, exposure: Exposure) -> None:
        """Deny a limit price too far through the market; one behind the market is harmless."""
        if order.limit_price is None:
            return
        side = None
        if exposure.quote is not None:
            side = exposure.quote.ask if order.side is Side.BUY else exposure.quote.bid
        market = exposure.price if side is None or math.isnan(side) else side
        if order.type is OrderType.STOP_LIMIT:
            market = order.stop_price
        if market is None or market == 0:
            return
        # A price below zero, such as oil in April 2020 or a spread, is measured by its absolute value.
        reach = order.side.sign * (order.limit_price - market) / abs(market)
        if not reach <= self.limits.price_collar:
            raise OrderDeniedError(order.id, "price_collar", self.limits.price_collar, reach)


def reduces(order: Order, held: float, others: OpenOrders) -> bool:
    """Return whether the order only closes or protects the position.

    Market orders on its side count as filled before it, and so do orders that wait for the same sort of price: a stop
    and a profit target, each of the whole position, are a pair, and either is allowed beside an exit at the market. A
    second order of the same sort for the same shares opens a position.
    """
    sign = order.side.sign
    if held * sign >= 0:
        return False
    same_side = others.buys if sign > 0 else others.sells
    sort = sort_of(order)
    before = same_side[Sort.MARKET] + (same_side[sort] if sort is not Sort.MARKET else 0.0)
    return before + order.remaining <= abs(held) * (1 + _DUST)
