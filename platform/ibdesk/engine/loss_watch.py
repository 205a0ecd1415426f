"""The loss watch: the loss and drawdown of the account and of each run, checked at each price.

A price of a held instrument changes the profit by one multiplication, and the profit is compared with a floor and a
ceiling: below the floor a limit is broken, above the ceiling there is a new peak. A peak costs the same whatever is
held; before a broken limit acts, the profit is summed again from the books. Then, in the same event, trading is halted,
opening orders are cancelled, and positions are closed if the rule says so. After a restart a limit waits for a while
for the prices of held instruments: old prices beside new ones can show a loss, or a peak, that never was.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from ibdesk.engine.awaited_prices import PATIENCE_SECONDS, AwaitedPrices
from ibdesk.engine.holdings import MoneyTotal
from ibdesk.model import (
    DESK_SCOPE,
    NO_BUDGET,
    DayBegan,
    RunBudget,
    RunMarks,
    Severity,
    TradingState,
    Valuation,
    run_scope,
)

if TYPE_CHECKING:
    from ibdesk.engine.market import Market
    from ibdesk.engine.order_flow import OrderFlow
    from ibdesk.engine.risk_limits import OnLoss

GATE = "risk"
"""The value of `Halt.by` for a broken limit."""

LOSS_TIMER = "/losses"
"""The id of the timer that sums all watched losses again; timers of runs begin with the run's id."""

_SECOND = 1_000_000_000
_NEVER_NS = 2**63
# A peak is recorded when it has risen by this part of the allowed drawdown: a restart forgives at most that.
_PEAK_STEP = 0.01
# The rounding error of binary fractions, as a part of a limit.
_DUST = 1e-9
_DAILY, _DRAWDOWN = "max_daily_loss", "max_drawdown"


class LossWatch:
    """The day's loss and the drawdown, against the limits of the account and the budgets of runs."""

    def __init__(self, flow: OrderFlow) -> None:
        self._flow, self._gate, self._exposures = flow, flow.gate, flow.exposures
        # The end of the day of the daily loss; never, if no limit is by the day.
        self.day_ends_ns = _NEVER_NS
        self.awaited = AwaitedPrices(flow.exposures)
        # The owners for whom an alert said that their limits wait for prices.
        self._told = set[str]()
        self.take_limits()

    # --- events

    def priced(self, market: Market) -> None:
        """Count a price of an instrument that is held, ordered or used as a rate, and act on the result."""
        exposures, total, price = self._exposures, market.total, market.price
        if market.is_rate:
            exposures.rated(market)
        if total is not None and price is not None and price != total.price:
            exposures.priced(total, price)
            for holding in total.budgeted:
                money = holding.money
                if not money.floor <= money.pnl <= money.ceiling:
                    self._leave(money)
        money = exposures.account
        if not money.floor <= money.pnl <= money.ceiling:
            self._leave(money)

    def booked(self, owner: str) -> None:
        """Check the losses after an execution or a commission of an owner."""
        for money in (self._exposures.money(owner), self._exposures.account):
            if not money.floor <= money.pnl <= money.ceiling:
                self._leave(money)

    @property
    def is_watching(self) -> bool:
        """Return whether any loss is watched while something is held."""
        return bool(self._watched()) and self.is_holding

    @property
    def is_holding(self) -> bool:
        """Return whether anything is held."""
        return any(total.quantity for total in self._exposures.totals.values())

    def look(self) -> None:
        """Sum all watched profits again and act on the result, as prices may have stopped coming."""
        for money in self._watched():
            self._look(money)

    # --- limits and halts

    def take_budget(self, run_id: str, budget: RunBudget) -> None:
        """Set the budget of a run; one without limits removes the former."""
        budgets = self._flow.budgets
        if budget == budgets.get(run_id, NO_BUDGET):
            return
        budgets[run_id] = budget
        if budget == NO_BUDGET:
            del budgets[run_id]
        self.take_limits()

    def take_limits(self) -> None:
        """Apply the present limits and budgets; losses so far still count."""
        limits, flow = self._gate.limits, self._flow
        budgets = {name: budget for name, budget in flow.budgets.items() if budget.follows_prices}
        for name in budgets:
            money = self._exposures.money(name)
            if not money.is_budgeted:
                money.day_pnl = money.peak = self._exposures.exact_pnl(name)
        for money in self._exposures.owners.values():
            money.is_budgeted = money.name in budgets
        by_day = limits.max_daily_loss < math.inf or limits.max_drawdown < math.inf
        by_day = by_day or any(
            min(budget.max_daily_loss, budget.max_drawdown) < math.inf for budget in flow.budgets.values()
        )
        begins = by_day and self.day_ends_ns == _NEVER_NS
        if not by_day:
            self.day_ends_ns = _NEVER_NS
        follows_prices = limits.follows_prices or any(budget.follows_prices for budget in flow.budgets.values())
        self._exposures.keep(is_kept=self._gate.decides and follows_prices)
        if begins and flow.now_ns:
            self.begin_day(flow.now_ns)
        elif begins:
            # No event yet: the day begins with the first price.
            self.day_ends_ns = 0
        self.arm()

    def count_in(self, currency: str) -> None:
        """Change the currency, keeping the profits that losses are measured from."""
        exposures = self._exposures
        if currency == exposures.currency:
            return
        worth = exposures.count_in(currency)
        for money in (exposures.account, *exposures.owners.values()):
            money.day_pnl *= worth
            money.peak *= worth
        self.arm()

    def arm(self) -> None:
        """Watch all limits that have not caused a halt in force."""
        for money in (self._exposures.account, *self._exposures.owners.values()):
            self._arm(money)

    # --- the day

    def begin_day(self, at_ns: int) -> None:
        """Begin the day that contains `at_ns`: its loss is measured from the profits at the last prices before it."""
        exposures, zone = self._exposures, ZoneInfo(self._gate.limits.day_zone)
        today = dt.datetime.fromtimestamp(at_ns // _SECOND, zone).date()
        tomorrow = dt.datetime.combine(today + dt.timedelta(days=1), dt.time(), zone)
        self.day_ends_ns = int(tomorrow.timestamp()) * _SECOND
        for money in exposures.owners.values():
            if money.is_budgeted:
                money.pnl = money.day_pnl = exposures.exact_pnl(money.name)
                money.peak = max(money.peak, money.pnl)
        account = exposures.account
        account.pnl = account.day_pnl = account.peak = exposures.exact_pnl()
        self.arm()

    def marks(self, at_ns: int, *, is_valued: bool = True) -> DayBegan | None:
        """Return the profits that losses are measured from, None if no day is counted.

        Without `is_valued` the prices and rates are left out, which avoids a scan of the holdings.
        """
        if not 0 < self.day_ends_ns < _NEVER_NS:
            return None
        exposures = self._exposures
        runs = {
            money.name: RunMarks(money.day_pnl, money.peak) for money in exposures.owners.values() if money.is_budgeted
        }
        # A replay sees few of the prices: the recorded ones are newer.
        valuation = exposures.valuation(as_noted=not self._gate.decides) if is_valued else Valuation()
        return DayBegan(exposures.account.day_pnl, self.day_ends_ns, at_ns, exposures.account.peak, runs, valuation)

    @property
    def day_end(self) -> int:
        """Return the end of the day of the daily loss, 0 if none is counted."""
        return self.day_ends_ns if self.day_ends_ns < _NEVER_NS else 0

    def is_news(self, day: DayBegan, noted: DayBegan | None) -> bool:
        """Return whether marks differ enough from the recorded ones to be recorded."""
        if noted is None or day.ends_ns != noted.ends_ns or day.runs.keys() != noted.runs.keys():
            return True
        peaks = [(day.peak, noted.peak, self._gate.limits.max_drawdown)]
        peaks += [
            (marks.peak, noted.runs[name].peak, self._flow.budgets[name].max_drawdown)
            for name, marks in day.runs.items()
            if name in self._flow.budgets
        ]
        return any(limit < math.inf and peak > before + limit * _PEAK_STEP for peak, before, limit in peaks)

    @property
    def loss(self) -> float | None:
        """Return the day's loss of the account, positive if money was lost; None if no day is counted."""
        if 0 < self.day_ends_ns < _NEVER_NS:
            return self._exposures.account.day_pnl - self._exposures.exact_pnl()
        return None

    def continue_day(self, day: DayBegan) -> None:
        """Continue a day that has already begun: a restart forgives no loss."""
        if self.day_ends_ns == _NEVER_NS:
            return
        self._exposures.take_valuation(day.valuation)
        account, is_same = self._exposures.account, day.ends_ns == self.day_ends_ns
        self.day_ends_ns = day.ends_ns
        account.day_pnl, account.peak = day.pnl, max(day.peak, day.pnl, account.peak if is_same else -math.inf)
        for name, marks in day.runs.items():
            money = self._exposures.money(name)
            money.day_pnl, money.peak = marks.day_pnl, max(marks.peak, money.peak if is_same else -math.inf)
        self.arm()

    # --- inside

    def _watched(self) -> list[MoneyTotal]:
        every = (self._exposures.account, *self._exposures.owners.values())
        return [money for money in every if money.floor > -math.inf]

    def _leave(self, money: MoneyTotal) -> None:
        """Handle a profit beyond its bounds: a new peak halts nothing, so it is not summed again."""
        if money.pnl > money.ceiling and self._flow.now_ns >= self.awaited.until_ns:
            money.peak = money.pnl
            self._arm(money)
        else:
            self._look(money)

    def _look(self, money: MoneyTotal) -> None:
        """Sum the profit again, and act on a broken limit or a new peak."""
        is_account = money is self._exposures.account
        money.pnl = self._exposures.exact_pnl(None if is_account else money.name)
        if money.floor <= money.pnl <= money.ceiling or self._waits(money):
            return
        if money.pnl > money.ceiling:
            money.peak = money.pnl
            self._arm(money)
        if not money.pnl < money.floor:
            return
        for rule, limit, lost in self._rules(money):
            if lost > limit * (1 + _DUST):
                self._act(money, rule, limit, lost)
        self._arm(money)

    def _waits(self, money: MoneyTotal) -> bool:
        """Return whether prices of an owner's or the account's holdings are still missing after a restart."""
        if self._flow.now_ns >= self.awaited.until_ns:
            return False
        awaited = self.awaited.of(None if money is self._exposures.account else money.name)
        if not awaited:
            return False
        if money.pnl < money.floor and money.name not in self._told:
            self._told.add(money.name)
            for rule, limit, lost in self._rules(money):
                if lost > limit * (1 + _DUST):
                    text = (
                        f"{', '.join(awaited)} has had no price since the restart, so {self._name(money, rule)} "
                        f"does not act yet on a loss of {lost:.2f}: it acts at the first price, or "
                        f"{PATIENCE_SECONDS} s after the restart by the last recorded price"
                    )
                    self._flow.alert(money.name or GATE, text, Severity.WARNING)
        return True

    def _rules(self, money: MoneyTotal) -> list[tuple[str, float, float]]:
        """Return the loss limits of an owner or the account, each with the present loss."""
        is_account = money is self._exposures.account
        rules = self._gate.limits if is_account else self._flow.budgets.get(money.name)
        if rules is None:
            return []
        return [
            (_DAILY, rules.max_daily_loss, money.day_pnl - money.pnl),
            (_DRAWDOWN, rules.max_drawdown, money.peak - money.pnl),
        ]

    def _arm(self, money: MoneyTotal) -> None:
        """Set the bounds of profit within which nothing needs to be done."""
        money.floor, money.ceiling = -math.inf, math.inf
        if not self._gate.decides:
            return
        for rule, limit, _ in self._rules(money):
            if limit == math.inf:
                continue
            if rule == _DRAWDOWN:
                money.ceiling = money.peak
            if not self._stands(money, rule):
                start = money.day_pnl if rule == _DAILY else money.peak
                money.floor = max(money.floor, start - limit * (1 + _DUST))

    def _act(self, money: MoneyTotal, rule: str, limit: float, lost: float) -> None:
        """Halt for a loss, once: the loss keeps changing while that halt is in force."""
        if self._stands(money, rule):
            return
        is_account = money is self._exposures.account
        what = "the day's loss" if rule == _DAILY else "the drawdown"
        reason = f"{what} of {lost:.2f} is beyond {self._name(money, rule)} of {limit:g}"
        limits = self._gate.limits
        wanted: OnLoss = limits.on_daily_loss if rule == _DAILY else limits.on_drawdown
        state = TradingState.REDUCING if wanted == "reduce" else TradingState.HALTED
        self._flow.halting.halt(reason, GATE, scope=self._scope(money), state=state, rule=rule)
        if wanted == "flatten":
            self._flow.halting.flatten(None if is_account else money.name)

    def _stands(self, money: MoneyTotal, rule: str) -> bool:
        """Return whether a halt for this rule is in force; a halt without a rule names it in its reason."""
        scope, words = self._scope(money), f" is beyond {self._name(money, rule)} of "
        return any(
            halt.by == GATE and halt.scope == scope and (halt.rule == rule if halt.rule else words in halt.reason)
            for halt in self._gate.halts.values()
        )

    def _name(self, money: MoneyTotal, rule: str) -> str:
        return f"risk.{rule}" if money is self._exposures.account else f"its budget's {rule}"

    def _scope(self, money: MoneyTotal) -> str:
        return DESK_SCOPE if money is self._exposures.account else run_scope(money.name)
