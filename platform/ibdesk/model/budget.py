"""The limits of one run."""

from __future__ import annotations

import math

import msgspec

from ibdesk.errors import ConfigError


class RunBudget(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one run, beside those of the account; infinity switches one off.

    `max_order` and `max_position` count shares, contracts, or a pair's base currency in the account's; the position is
    per instrument and counts open orders in the worst case. Exposures, the value of an order and losses are
    money in the account's currency. The drawdown is measured from the highest profit of the run.
    """

    max_order: float = math.inf
    max_position: float = math.inf
    max_notional: float = math.inf
    max_gross_exposure: float = math.inf
    max_net_exposure: float = math.inf
    max_open_orders: float = math.inf
    max_orders_per_minute: float = math.inf
    max_cancels_per_minute: float = math.inf
    max_daily_loss: float = math.inf
    max_drawdown: float = math.inf

    @property
    def follows_prices(self) -> bool:
        """Return whether any limit depends on sums that move with prices."""
        figures = self.max_gross_exposure, self.max_net_exposure, self.max_daily_loss, self.max_drawdown
        return min(figures) < math.inf

    @property
    def by_name(self) -> dict[str, float]:
        """Return the active limits by name."""
        figures = msgspec.structs.asdict(self)
        return {name: figure for name, figure in figures.items() if figure < math.inf}

    def checked(self) -> RunBudget:
        """Return the budget itself if each limit is a positive number.

        Raises:
            ConfigError: If a limit is not.
        """
        for name, figure in msgspec.structs.asdict(self).items():
            if not isinstance(figure, int | float) or isinstance(figure, bool) or not figure > 0:
                raise ConfigError(f"a budget's {name} must be a positive number, got {figure!r}")
        return self


NO_BUDGET = RunBudget()
"""The budget of a run without limits of its own."""
