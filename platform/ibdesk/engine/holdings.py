"""What one owner holds in one instrument, and the sums over owners and over instruments (see `engine.exposures`)."""

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
    """How often something has happened in the last minute."""

    __slots__ = ("_times_ns",)

    def __init__(self) -> None:
        self._times_ns: collections.deque[int] = collections.deque()

    def __len__(self) -> int:
        return len(self._times_ns)

    def count(self, at_ns: int) -> None:
        """Count one more, and forget those of more than a minute ago."""
        self.since(at_ns)
        self._times_ns.append(at_ns)

    def since(self, at_ns: int) -> int:
        """Return how many there were in the minute before `at_ns`."""
        times = self._times_ns
        while times and times[0] <= at_ns - _MINUTE_NS:
            times.popleft()
        return len(times)


class MoneyTotal:
    """The profit and the exposures of one owner, or of the account, in the account's currency.

    `gross` is the sum of the worst-case positions by size, `highest` and `lowest` that of the highest and lowest
    positions by sign. `floor` and `ceiling` are the profits between which nothing is to be done (`LossWatch`).
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
        # day_pnl: the profit when the day began; peak: the highest that a drawdown is measured from.
        self.day_pnl = self.peak = 0.0
        self.open_orders = 0
        # holdings: what it holds; empty for the account.
        self.holdings: list[Holding] = []
        # Orders and changes sent, and cancels: counted where a limit asks for it.
        self.sent, self.cancels = PerMinute(), PerMinute()
        # is_budgeted: whether limits of its own follow the prices.
        self.is_budgeted = False

    def clear(self) -> None:
        """Begin all sums of money anew."""
        self.pnl = self.gross = self.highest = self.lowest = 0.0


class InstrumentTotal:
    """What all owners together hold and may come to hold of one instrument.

    `quantity` is what is held in our own books, times the multiplier: what one point of the price earns. `high` and
    `low` are the highest and lowest positions that all open orders may lead to, `EXTERNAL`'s counted; `worst` is the
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
        # budgeted: those of owners whose own limits follow the prices; is_live: whether any sum depends on the price.
        self.budgeted: tuple[Holding, ...] = ()
        self.is_live = False


class Holding:
    """What one owner holds and has on the way in one instrument, and the worst that may come of it."""

    __slots__ = ("high", "low", "money", "orders", "owner", "position", "sums", "total", "worst")

    def __init__(self, owner: str, total: InstrumentTotal, money: MoneyTotal) -> None:
        self.owner, self.total, self.money = owner, total, money
        self.position = Position(total.instrument)
        # The open orders, and what they add up to.
        self.orders: dict[str, Order] = {}
        self.sums = OpenOrders()
        self.high = self.low = self.worst = 0.0

    @property
    def has_money(self) -> bool:
        """Return whether anything is held, or was earned or paid."""
        position = self.position
        return bool(position.quantity or position.realized_pnl or position.commission or position.charges)

    def pnl(self, price: float | None) -> float:
        """Return the profit in the instrument's currency; without a price the position counts at its cost."""
        position = self.position
        return position.pnl(position.average_price if price is None else price)
