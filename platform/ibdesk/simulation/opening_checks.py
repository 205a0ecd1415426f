"""The promises about a new or changed order that opens or enlarges a position, as it leaves."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec

from ibdesk.clock import SECOND
from ibdesk.model import DESK_SCOPE, instrument_scope, run_scope
from ibdesk.simulation.comparison_checks import ComparisonChecks
from ibdesk.simulation.engine_process import CLIENT, EngineProcess
from ibdesk.simulation.excuses import Excuses
from ibdesk.simulation.generation import EngineGeneration
from ibdesk.simulation.plan import Plan
from ibdesk.simulation.price_checks import PriceChecks
from ibdesk.simulation.truth import Truth, owner_of

_DUST = 1e-9
# A little less than the limit's second: events are stamped on arrival, and orders leave a little later.
_WINDOW_NS = 9 * SECOND // 10
# The time after a link came up, or a halt was lifted, in which a loss may not have been checked yet.
_SETTLED_NS = 5 * SECOND
# The factor by which the desk's price may have moved.
_MOVED = 0.05


class LeavingOrder(msgspec.Struct, frozen=True):
    """An order as its bytes leave; `quantity` is signed and is the remaining one."""

    reference: str
    symbol: str
    quantity: float
    limit: float | None


class OpeningChecks:
    """Compares orders that open a position with halts, limits, prices and losses."""

    def __init__(
        self,
        truth: Truth,
        plan: Plan,
        excuses: Excuses,
        comparisons: ComparisonChecks,
        report: Callable[[str, str], None],
    ) -> None:
        self._truth, self._plan, self._excuses, self._report = truth, plan, excuses, report
        self._comparisons = comparisons
        self.prices = PriceChecks(plan.latency_ns)
        # lifted_ns: when a halt was last lifted.
        self.lifted_ns = 0

    @property
    def may_be_barred(self) -> bool:
        """Return whether the loss of the day may exceed its limit."""
        lost = self.prices.most_loss(CLIENT, self._truth.executions.values())
        return lost > self._plan.risk.get("max_daily_loss", math.inf) - _DUST

    def leaves(self, engine: EngineProcess, generation: EngineGeneration, fields: dict[str, Any], now_ns: int) -> None:
        """Check an order that is new, or grows."""
        reference = str(fields["orderRef"])
        whole = float(fields["totalQuantity"])
        before, generation.quantities[reference] = generation.quantities.get(reference, 0.0), whole
        if whole <= before:
            return
        done = sum(abs(each.quantity) for each in self._truth.executions.values() if each.order == reference)
        limit = float(fields["lmtPrice"] or "nan") if fields["orderType"] == "LMT" else math.nan
        order = LeavingOrder(
            reference,
            str(fields["symbol"]),
            (whole - done) * (1 if fields["action"] == "BUY" else -1),
            None if math.isnan(limit) else limit,
        )
        if self._opens(engine, order, now_ns):
            self._halted(engine, order)
            self._sized(generation, order, whole, now_ns)
            self._priced(engine, generation, order, now_ns)
            self._lost(engine, generation, order, now_ns)

    def _opens(self, engine: EngineProcess, order: LeavingOrder, now_ns: int) -> bool:
        """Return whether it opens a position of its owner, by all that the desk may know.

        Executions may be on their way to the desk. Accepted outside trades, and those that an earlier generation lost,
        are only in the books.
        """
        owner, symbol, truth = owner_of(order.reference), order.symbol, self._truth
        known = {each.name for each in truth.executions.values() if self._is_known(engine.client_id, each.name, now_ns)}
        held = [truth.moved_by(owner, symbol), truth.moved_by(owner, symbol, known)]
        if not self._excuses.is_alone or self._excuses.has_lost_power or self._excuses.is_lossy:
            assert engine.runtime is not None  # noqa: S101 - for the type checker
            held.append(engine.runtime.engine.portfolio.open_book(owner).position(symbol).quantity)
        return not any(each * order.quantity < 0 and abs(order.quantity) <= abs(each) + _DUST for each in held)

    def _is_known(self, client_id: int, name: str, now_ns: int) -> bool:
        told_ns = self._comparisons.told_ns(client_id, name)
        return told_ns > 0 and self.prices.is_known(told_ns, now_ns)

    def _halted(self, engine: EngineProcess, order: LeavingOrder) -> None:
        assert engine.runtime is not None  # noqa: S101 - for the type checker
        scopes = {DESK_SCOPE, run_scope(owner_of(order.reference)), instrument_scope(order.symbol)}
        halts = [halt.id for halt in engine.runtime.engine.gate.halts.values() if halt.scope in scopes]
        if halts:
            facts = f"{order.reference} {order.quantity:g} opens, halted by {halts}"
            self._report("7: while a halt stands nothing that opens leaves", facts)

    def _sized(self, generation: EngineGeneration, order: LeavingOrder, whole: float, now_ns: int) -> None:
        risk = self._plan.risk
        if whole > risk.get("max_order_shares", math.inf):
            self._report("limits: no order is larger than its limit", f"{order.reference} {whole:g}")
        most = risk.get("max_orders_per_second", math.inf)
        generation.opened_ns = [at for at in generation.opened_ns if at > now_ns - _WINDOW_NS] + [now_ns]
        if len(generation.opened_ns) > most:
            facts = f"{order.reference} is number {len(generation.opened_ns)}"
            self._report("limits: no more orders in a second than the limit", facts)

    def _priced(self, engine: EngineProcess, generation: EngineGeneration, order: LeavingOrder, now_ns: int) -> None:
        risk, symbol, client = self._plan.risk, order.symbol, engine.client_id
        patience = risk.get("max_price_age_shares", math.inf)
        # If a generation was sent no price at all, a limit order may leave.
        goes_by_its_own = order.limit is not None and not self.prices.was_told_since(
            generation.began_ns, client, symbol
        )
        if not goes_by_its_own and self.prices.is_older_than(patience, client, symbol, now_ns):
            facts = f"{order.reference} {order.quantity:g}: nothing was told of {symbol} for {patience:g} s"
            self._report("9: no order leaves on a price older than its limit", facts)
        most, price = risk.get("max_notional", math.inf), order.limit
        if price is None:
            # The possible price of the desk at which the order is worth least, and a little less.
            price = self.prices.best(client, symbol, -abs(order.quantity), now_ns) * (1 - _MOVED)
        if abs(order.quantity) * price > most * (1 + _DUST):
            self._report("limits: no order is worth more than its limit", f"{order} at {price:g}, {most:g} is allowed")

    def _lost(self, engine: EngineProcess, generation: EngineGeneration, order: LeavingOrder, now_ns: int) -> None:
        most, excuses = self._plan.risk.get("max_daily_loss", math.inf), self._excuses
        is_settled = generation.was_up and now_ns - max(generation.up_ns, self.lifted_ns) > _SETTLED_NS
        if most == math.inf or engine.client_id != CLIENT or not (is_settled and excuses.is_alone):
            return
        if excuses.has_lost_power or excuses.is_lossy:
            return
        every = list(self._truth.executions.values())
        known = [each for each in every if self._is_known(CLIENT, each.name, now_ns)]
        lost = min(self.prices.least_loss(CLIENT, each, now_ns) for each in (every, known))
        if lost > most:
            facts = f"{order.reference} {order.quantity:g} leaves after a loss of {lost:.2f}, {most:g} is allowed"
            self._report("10: a loss beyond its limit stops what opens", facts)
