"""The holding of one owner in one instrument, and sums over owners and instruments (see `engine.exposures`)."""

from __future__ import annotations

import collections
import math
from typing import TYPE_CHECKING

from ibdesk.engine.open_orders import OpenOrders
from ibdesk.model import Order, Position

if TYPE_CHECKING:
    from ibdesk.engine.market import Market

_MINUTE_NS = 60_000_000_000


class PerMinute:
    """A count of the last minute."""

    __slots__ = ("_times_ns",)

    def __init__(self) -> None:
        self._times_ns: collections.deque[int] = collections.deque()

    def __len__(self) -> int:
        return len(self._times_ns)

    def count(self, at_ns: int) -> None:
        """Count one more, and drop those older than a minute."""
        self.since(at_ns)
        self._times_ns.append(at_ns)

    def since(self, at_ns: int) -> int:
        """Return the count in the minute before `at_ns`."""
        times = self._times_ns
        while times and times[0] <= at_ns - _MINUTE_NS:
            times.popleft()
        return len(times)


class MoneyTotal:
    """The profit and the exposures of one owner, or of the account, in the account's currency.

    `gross` is the sum of the worst-case positions by size, `highest` and `lowest` those of the highest and lowest
    positions by sign. While the profit is between `floor` and `ceiling`, `LossWatch` has nothing to do.
    """

    __slots__ = (
        "cancels",
        "ceiling",
        "day_pnl",
        "floor",
        "gross",
        "highest",
        "holdings",
        "is_budgeted",
        "lowest",
        "name",
        "open_orders",
        "peak",
        "pnl",
        "sent",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.pnl = self.gross = self.highest = self.lowest = 0.0
        self.floor, self.ceiling = -math.inf, math.inf
        # The profit at the start of the day, and the highest profit, from which a drawdown is measured.
        self.day_pnl = self.peak = 0.0
        self.open_orders = 0
        # Empty for the account.
        self.holdings: list[Holding] = []
        # Orders and changes sent, and cancels: counted only if a limit needs them.
        self.sent, self.cancels = PerMinute(), PerMinute()
        # Whether its own limits follow the prices.
        self.is_budgeted = False

    def clear(self) -> None:
        """Reset all sums of money."""
        self.pnl = self.gross = self.highest = self.lowest = 0.0


class InstrumentTotal:
    """The present and possible positions of all owners together in one instrument.

    `quantity` is the quantity in our own books times the multiplier: the money of one point of the price. `high` and
    `low` are the highest and lowest positions that all open orders can lead to, including `EXTERNAL`; `worst` is the
    larger of the two by size. `unit` is the money of one unit at a price of 1, `value` at the present price.
    """

    __slots__ = (
        "budgeted",
        "currency",
        "high",
        "holdings",
        "instrument",
        "is_live",
        "low",
        "market",
        "price",
        "quantity",
        "rate",
        "unit",
        "value",
        "worst",
    )

    def __init__(self, instrument: str, market: Market | None) -> None:
        self.instrument, self.market = instrument, market
        self.currency = ""
        self.price: float | None = None
        self.rate = self.unit = 1.0
        self.value = self.quantity = self.high = self.low = self.worst = 0.0
        self.holdings: list[Holding] = []
        # The holdings of owners whose own limits follow the prices, and whether any sum depends on the price.
        self.budgeted: tuple[Holding, ...] = ()
        self.is_live = False


class Holding:
    """The position and open orders of one owner in one instrument, and the worst case of them."""

    __slots__ = ("high", "low", "money", "orders", "owner", "position", "sums", "total", "worst")

    def __init__(self, owner: str, total: InstrumentTotal, money: MoneyTotal) -> None:
        self.owner, self.total, self.money = owner, total, money
        self.position = Position(total.instrument)
        # The open orders, and their sums.
        self.orders: dict[str, Order] = {}
        self.sums = OpenOrders()
        self.high = self.low = self.worst = 0.0

    @property
    def has_money(self) -> bool:
        """Return whether anything is held, earned or paid."""
        position = self.position
        return bool(position.quantity or position.realized_pnl or position.commission or position.charges)

    def pnl(self, price: float | None) -> float:
        """Return the profit in the instrument's currency; without a price the position counts at its cost."""
        position = self.position
        return position.pnl(position.average_price if price is None else price)
