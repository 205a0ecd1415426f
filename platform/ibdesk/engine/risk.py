"""The gate that every order passes before it may leave."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import math
from collections.abc import Mapping
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec
from pydantic import ConfigDict, Field, field_validator
from pydantic.dataclasses import dataclass

from ibdesk.engine.halts import Halts
from ibdesk.engine.market_limits import Limit as _Limit
from ibdesk.engine.market_limits import MarketLimits
from ibdesk.engine.open_orders import OpenOrders, Sort, sort_of
from ibdesk.errors import OrderDeniedError
from ibdesk.model import Order, OrderType, Quote, Side, TradingState

_SECOND = 1_000_000_000
_NO_LIMIT = math.inf
_NEVER_NS = 2**63
# What adding binary fractions may leave, as a part of a position.
_DUST = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True, config=ConfigDict(extra="forbid"))
class RiskLimits(MarketLimits):
    """What the gate allows; infinity switches a rule off. An order that only reduces a position, or protects it, is
    not held up by its size, its value, the day's loss or a halt: getting out is always allowed.

    Sizes are limited by what they count: shares, contracts, or the base currency of a pair, converted into the
    account's currency where a rate is known, else as it is. Money is in the account's currency, `price_collar` is a
    fraction (0.05 is 5 %). The day of the daily loss begins at midnight in `day_zone`.
    """

    max_order_shares: Annotated[_Limit, Field(description="largest single order of a share or fund")] = 10_000.0
    max_order_contracts: Annotated[
        _Limit, Field(description="largest single order of futures, options or combinations, contracts")
    ] = 1_000.0
    max_order_currency: Annotated[
        _Limit, Field(description="largest single order of a currency pair, its base currency in the account's money")
    ] = 1_000_000.0
    max_position_shares: Annotated[
        _Limit, Field(description="largest position of one run in one share, its open orders counted as filled")
    ] = 50_000.0
    max_position_contracts: Annotated[
        _Limit, Field(description="the same in one future, option or combination, contracts")
    ] = 5_000.0
    max_position_currency: Annotated[
        _Limit, Field(description="the same in one currency pair, its base currency in the account's money")
    ] = 5_000_000.0
    max_notional: Annotated[_Limit, Field(description="largest value of a single order at the last price")] = (
        1_000_000.0
    )
    price_collar: Annotated[
        _Limit, Field(description="how far through the market a limit price may reach, as a fraction")
    ] = 0.05
    max_orders_per_second: Annotated[
        _Limit,
        Field(description="orders and modifications in any one second; those above it wait (0.5: one in two seconds)"),
    ] = 40.0
    max_order_wait_seconds: Annotated[
        _Limit, Field(description="how long an order that opens a position may wait for its turn before it is denied")
    ] = 10.0
    max_daily_loss: Annotated[_Limit, Field(description="loss of all runs since the day began that halts trading")] = (
        25_000.0
    )
    day_zone: Annotated[str, Field(description="zone in which the day of the daily loss begins")] = "America/New_York"

    @field_validator("day_zone")
    @classmethod
    def _is_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{zone!r} is no time zone, try America/New_York") from None
        return zone

    @property
    def by_name(self) -> dict[str, float | str]:
        """The limits by name, as a journal keeps them."""
        return dataclasses.asdict(self)

    def but(self, changes: Mapping[str, Any]) -> RiskLimits:
        """Return these limits with some of them changed by name.

        Raises:
            pydantic.ValidationError: If one is out of its range.
        """
        return dataclasses.replace(self, **changes)

    @classmethod
    def none(cls) -> RiskLimits:
        """Return limits that allow everything."""
        limits = (field.name for field in dataclasses.fields(cls) if isinstance(getattr(_DEFAULTS, field.name), float))
        rules: dict[str, Any] = dict.fromkeys(limits, _NO_LIMIT)
        return cls(**rules, self_crossing="allow")


_DEFAULTS = RiskLimits()


class Exposure(msgspec.Struct, frozen=True):
    """What the gate must know about the moment in which an order is made.

    `held` is the run's position, `others` what its other open orders in the instrument add up to; `price` and `quote`
    are the market's last; `pnl` is the profit of all runs together; `link_up` says whether orders can leave at all.
    `counted_in` says what quantities are a number of (`Instrument.counted_in`), `unit_worth` what one of these units
    counts against its limits: 1, or the worth of a pair's base currency in the account's.
    """

    held: float
    others: OpenOrders
    price: float | None
    quote: Quote | None
    multiplier: float
    pnl: float
    link_up: bool
    counted_in: str = "shares"
    unit_worth: float = 1.0


class RiskGate:
    """Applies the limits to orders; remembers recent orders, the day's start and the halts that hold.

    `decides` is False for one that repeats what is on a record: then nothing else is decided either.
    """

    decides = True

    def __init__(self, limits: RiskLimits) -> None:
        # settings: the limits it began with; limits: those that hold now.
        self.settings = self.limits = limits
        self.halts = Halts()
        self._sent_ns: collections.deque[int] = collections.deque()
        self._zone = ZoneInfo(limits.day_zone)
        # day_ends_ns: when the day of the daily loss is over; never, when there is no such limit.
        self.day_ends_ns = 0 if limits.max_daily_loss < _NO_LIMIT else _NEVER_NS
        self._pnl_at_day_start = 0.0

    def change(self, limits: RiskLimits) -> None:
        """Apply other limits from now on; what the day has lost so far goes on to count."""
        counted, counts = (each.max_daily_loss < _NO_LIMIT for each in (self.limits, limits))
        self.limits, self._zone = limits, ZoneInfo(limits.day_zone)
        if counted != counts:
            self.day_ends_ns = 0 if counts else _NEVER_NS

    def check(self, order: Order, exposure: Exposure, at_ns: int) -> bool:
        """Let the order pass; return whether it only reduces the position, or protects it.

        Raises:
            OrderDeniedError: At the first rule it breaks.
        """
        is_exit = reduces(order, exposure.held, exposure.others)
        if not exposure.link_up:
            raise OrderDeniedError(order.id, "link", 0.0, 1.0)
        if not is_exit:
            if self.halts and self.halts.state_for(order.owner, order.instrument) is not TradingState.NORMAL:
                raise OrderDeniedError(order.id, "halt", 0.0, order.quantity)
            kind, worth = exposure.counted_in, exposure.unit_worth
            self._at_most(order, f"max_order_{kind}", order.quantity * worth)
            self._at_most(order, f"max_position_{kind}", _worst(order, exposure) * worth)
            self._check_value(order, exposure)
            if self.limits.max_daily_loss < _NO_LIMIT:
                self._at_most(order, "max_daily_loss", self.loss(exposure.pnl, at_ns))
        self._check_collar(order, exposure)
        return is_exit

    def room_at(self, at_ns: int) -> int:
        """Return from when on one more order may leave, not before now; at 0.5 a second one leaves in two."""
        limit = self.limits.max_orders_per_second
        if limit == _NO_LIMIT:
            return at_ns
        sent_ns = self._sent_ns
        # The last one is kept: a limit below 1 looks farther back than a second.
        while len(sent_ns) > 1 and sent_ns[0] <= at_ns - _SECOND:
            sent_ns.popleft()
        most = max(1, int(limit))
        if len(sent_ns) < most:
            return at_ns
        window_ns = _SECOND if limit >= 1 else int(min(_SECOND / limit, _NEVER_NS))
        return max(at_ns, sent_ns[-most] + window_ns)

    def count(self, at_ns: int) -> None:
        """Count an order or a modification that leaves at this time."""
        if self.limits.max_orders_per_second < _NO_LIMIT:
            self._sent_ns.append(at_ns)

    def loss(self, pnl: float, at_ns: int) -> float:
        """Return the loss since the day began, positive when money was lost."""
        if at_ns >= self.day_ends_ns:
            self.begin_day(pnl, at_ns)
        return self._pnl_at_day_start - pnl

    def lost(self, pnl: float) -> float | None:
        """Return what `loss` would, without beginning a day; None while no day is counted."""
        return self._pnl_at_day_start - pnl if 0 < self.day_ends_ns < _NEVER_NS else None

    def sent_since(self, at_ns: int) -> int:
        """Return how many orders and modifications passed after `at_ns`, at most a second back."""
        return sum(sent_ns > at_ns for sent_ns in self._sent_ns)

    def forget_sent(self, count: int, at_ns: int) -> None:
        """Take so many orders and modifications off the count that passed at `at_ns` and never left."""
        while count and self._sent_ns and self._sent_ns[-1] == at_ns:
            self._sent_ns.pop()
            count -= 1

    def begin_day(self, pnl: float, at_ns: int) -> None:
        """Measure the loss of the day in which `at_ns` lies from this profit."""
        today = dt.datetime.fromtimestamp(at_ns // _SECOND, self._zone).date()
        tomorrow = dt.datetime.combine(today + dt.timedelta(days=1), dt.time(), self._zone)
        self.day_ends_ns = int(tomorrow.timestamp()) * _SECOND
        self._pnl_at_day_start = pnl

    @property
    def day(self) -> tuple[float, int]:
        """Return from which profit the day's loss is measured and when the day ends; zeros without such a limit."""
        return (self._pnl_at_day_start, self.day_ends_ns) if self.day_ends_ns < _NEVER_NS else (0.0, 0)

    def continue_day(self, pnl: float, ends_ns: int) -> None:
        """Go on with a day that has begun already: a restart forgives no loss."""
        if self.limits.max_daily_loss < _NO_LIMIT:
            self._pnl_at_day_start, self.day_ends_ns = pnl, ends_ns

    def _at_most(self, order: Order, rule: str, asked: float) -> None:
        limit: float = getattr(self.limits, rule)
        if not asked <= limit:
            raise OrderDeniedError(order.id, rule, limit, asked)

    def _check_value(self, order: Order, exposure: Exposure) -> None:
        if self.limits.max_notional == _NO_LIMIT:
            return
        if exposure.counted_in == "currency":
            self._at_most(order, "max_notional", order.quantity * exposure.unit_worth)
            return
        prices = [p for p in (order.limit_price, order.stop_price, exposure.price) if p is not None]
        # Without any price the value is unknown, and an unknown value is more than any limit.
        worst = max(map(abs, prices)) * order.quantity * exposure.multiplier if prices else _NO_LIMIT
        self._at_most(order, "max_notional", worst)

    def _check_collar(self, order: Order, exposure: Exposure) -> None:
        """Refuse a limit price that reaches too far through the market; one that waits behind it harms nobody."""
        if order.type not in (OrderType.LIMIT, OrderType.STOP_LIMIT) or order.limit_price is None:
            return
        side = None
        if exposure.quote is not None:
            side = exposure.quote.ask if order.side is Side.BUY else exposure.quote.bid
        market = exposure.price if side is None or math.isnan(side) else side
        if order.type is OrderType.STOP_LIMIT:
            market = order.stop_price
        if market is None or market == 0:
            return
        # A price below zero, as of oil in April 2020 or of a spread, is measured by its size.
        reach = order.side.sign * (order.limit_price - market) / abs(market)
        self._at_most(order, "price_collar", reach)


def reduces(order: Order, held: float, others: OpenOrders) -> bool:
    """Return whether the order only closes or protects what is held.

    Market orders on its side are taken as filled before it, and so are the others that wait for the same sort of
    price: a stop and a profit target, each of the whole position, are a pair, and either stands beside an exit at the
    market. A second order of the same sort for the same shares opens a position.
    """
    sign = order.side.sign
    if held * sign >= 0:
        return False
    same_side = others.buys if sign > 0 else others.sells
    sort = sort_of(order)
    before = same_side[Sort.MARKET] + (same_side[sort] if sort is not Sort.MARKET else 0.0)
    return before + order.remaining <= abs(held) * (1 + _DUST)


def _worst(order: Order, exposure: Exposure) -> float:
    """Return the largest position on the order's side that it and all others together may lead to."""
    together = exposure.others.copy()
    together.add(order, order.remaining)
    return together.highest(exposure.held) if order.side is Side.BUY else -together.lowest(exposure.held)
