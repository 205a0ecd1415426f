"""The promises about the positions that runs and people lead an account to."""

from __future__ import annotations

import math
from collections.abc import Callable

from ibdesk.simulation.pair_checks import PairChecks
from ibdesk.simulation.plan import Plan, Reparameterize
from ibdesk.simulation.strategies import ALL
from ibdesk.simulation.truth import Executed, Truth, owner_of

_DUST = 1e-9
# The multiples of its size between which a strategy's position stays, whatever happens to its orders.
_BOUNDS = {"Swing": (0, 1), "Trend": (-1, 1), "Flicker": (0, 1)}


class TargetChecks:
    """Compares executions with the targets of runs and the largest position."""

    def __init__(self, truth: Truth, plan: Plan, pairs: PairChecks, report: Callable[[str, str], None]) -> None:
        self._truth, self._plan, self._pairs, self._report = truth, plan, pairs, report

    def executed(self, executed: Executed) -> None:
        """Check that an execution has not overshot a target or a limit."""
        owner = owner_of(executed.order)
        strategy = owner.partition("-")[0]
        most = self._plan.risk.get("max_position_shares", math.inf)
        held = self._truth.held(executed.symbol)
        moved = self._truth.moved_by(owner, executed.symbol)
        before = moved - executed.quantity
        # Closing is always allowed: reducing the owner's book may leave the account with another owner's position.
        reduces = before * executed.quantity < 0 and abs(executed.quantity) <= abs(before) + _DUST
        explained = self._pairs.excess(executed.symbol)
        if min(abs(held), abs(held - explained)) > most + _DUST and not reduces:
            facts = f"{owner} has led {executed.symbol} to {held:g}, {most:g} may be held"
            self._report("limits: no position is larger than its limit", facts)
        if strategy not in _BOUNDS:
            return
        size = self._largest(strategy)
        low, high = (bound * size for bound in _BOUNDS[strategy])
        if not low - _DUST <= moved <= high + _DUST:
            facts = f"{owner} has moved {executed.symbol} by {moved:g}, its target is within {low:g} and {high:g}"
            self._report("1: a target is never overshot", facts)

    def _largest(self, strategy: str) -> int:
        fields = ALL[strategy].model_fields
        own = fields["size"].default if "size" in fields else 1
        steps = [step for step in self._plan.steps if isinstance(step, Reparameterize) and step.strategy == strategy]
        changed = [step.size for step in steps]
        return max([own, *changed])
