"""All limits of the risk gate: on the market, on orders, positions and losses."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, ConfigDict, Field, field_validator
from pydantic.dataclasses import dataclass

_NO_LIMIT = math.inf


def _positive(figure: float) -> float:
    if not figure > 0:
        raise ValueError("it must be positive (inf switches the rule off)")
    return figure


Limit = Annotated[float, AfterValidator(_positive)]
"""A positive number; infinity switches its rule off."""

SelfCrossing = Literal["deny", "cancel_resting", "allow"]


@dataclass(frozen=True, kw_only=True, slots=True, config=ConfigDict(extra="forbid"))
class MarketLimits:
    """The conditions on the market and a run's own orders for an order that opens a position; infinity is no limit.

    Seconds are wall time. `max_spread`, `max_price_jump` and `collar_market_orders` are fractions.
    """

    max_price_age_shares: Annotated[
        Limit, Field(description="maximum age of a share's last price for an order that opens a position, seconds")
    ] = 60.0
    max_price_age_futures: Annotated[Limit, Field(description="the same of a future, seconds")] = 60.0
    max_price_age_currency: Annotated[Limit, Field(description="the same of a currency pair, seconds")] = 60.0
    max_price_age_options: Annotated[Limit, Field(description="the same of an option or combination, seconds")] = 300.0
    max_bar_lateness_seconds: Annotated[
        Limit, Field(description="maximum delay of a bar after its close, beyond which it decides nothing")
    ] = 10.0
    max_spread: Annotated[
        Limit,
        Field(description="widest spread, as a fraction of the middle, at which an order may take the other side"),
    ] = 0.1
    max_price_jump: Annotated[
        Limit,
        Field(description="largest jump of a single print from the last price without a second print to confirm it"),
    ] = 0.2
    price_jump_seconds: Annotated[
        Limit, Field(description="seconds that a print which jumped waits for a second one; then it counts")
    ] = 5.0
    max_repeated_orders: Annotated[
        Limit,
        Field(description="number of equal orders of a run in an instrument without effect at which it is halted"),
    ] = 100.0
    repeat_window_seconds: Annotated[Limit, Field(description="seconds within which they are counted")] = 60.0
    max_consecutive_rejections: Annotated[
        Limit, Field(description="rejections of a run's orders in a row by the venue at which it is halted")
    ] = 10.0
    self_crossing: Annotated[
        SelfCrossing,
        Field(description="treatment of an order that could trade with an order of another run of this desk"),
    ] = "deny"
    collar_market_orders: Annotated[
        Limit,
        Field(description="largest distance from the market for fills of an opening market order; inf: no collar"),
    ] = float("inf")


OnLoss = Literal["reduce", "halt", "flatten"]
"""The effect of a broken loss limit: state REDUCING; state HALTED; HALTED, and positions are closed."""


@dataclass(frozen=True, kw_only=True, slots=True, config=ConfigDict(extra="forbid"))
class RiskLimits(MarketLimits):
    """The limits of the gate; infinity switches one off.

    An order that only reduces or protects a position is not denied for its size, its value, the day's loss or a halt
    that keeps protection (`RiskGate.bars_protection`).

    Sizes have limits by their unit: shares, contracts, or the base currency of a pair, converted into the account's
    currency if a rate is known. Money is in the account's currency, `price_collar` is a
    fraction (0.05 is 5 %). The day of the daily loss begins at midnight in `day_zone`.
    """

    max_order_shares: Annotated[Limit, Field(description="largest single order of a share or fund")] = 10_000.0
    max_order_contracts: Annotated[
        Limit, Field(description="largest single order of futures, options or combinations, contracts")
    ] = 1_000.0
    max_order_currency: Annotated[
        Limit, Field(description="largest single order of a currency pair, its base currency in the account's money")
    ] = 1_000_000.0
    max_position_shares: Annotated[
        Limit,
        Field(description="largest position of the account in one share, open orders counted"),
    ] = 50_000.0
    max_position_contracts: Annotated[
        Limit, Field(description="the same in one future, option or combination, contracts")
    ] = 5_000.0
    max_position_currency: Annotated[
        Limit, Field(description="the same in one currency pair, its base currency in the account's money")
    ] = 5_000_000.0
    max_notional: Annotated[
        Limit,
        Field(description="largest value of a single order at the worst of its limit, its stop and the last price"),
    ] = 1_000_000.0
    price_collar: Annotated[
        Limit, Field(description="largest distance of a limit price through the market, as a fraction")
    ] = 0.05
    max_orders_per_second: Annotated[
        Limit,
        Field(description="maximum orders and modifications a second; further ones wait (0.5: one in two seconds)"),
    ] = 40.0
    max_order_wait_seconds: Annotated[
        Limit, Field(description="maximum wait of an opening order for its turn, after which it is denied, seconds")
    ] = 10.0
    max_open_orders: Annotated[Limit, Field(description="maximum open orders of the desk in all instruments")] = (
        _NO_LIMIT
    )
    max_cancels_per_minute: Annotated[
        Limit,
        Field(description="cancellations in any minute above which no opening order passes"),
    ] = _NO_LIMIT
    max_instrument_exposure: Annotated[
        Limit, Field(description="largest value of the account's position in one instrument, open orders counted")
    ] = _NO_LIMIT
    max_gross_exposure: Annotated[
        Limit, Field(description="largest sum of the values of all positions by size, open orders counted")
    ] = _NO_LIMIT
    max_net_exposure: Annotated[
        Limit, Field(description="largest sum of the values of all positions by sign, open orders counted")
    ] = _NO_LIMIT
    max_margin_use: Annotated[
        Limit, Field(description="largest initial margin as a part of the net liquidation value (0.5: half)")
    ] = _NO_LIMIT
    max_buying_power_use: Annotated[
        Limit, Field(description="largest order as a part of the reported buying power (0.5: half)")
    ] = _NO_LIMIT
    max_daily_loss: Annotated[Limit, Field(description="loss of all runs since the day began that halts trading")] = (
        25_000.0
    )
    on_daily_loss: Annotated[
        OnLoss, Field(description="the effect: reduce, halt, or flatten (halt, and close all positions)")
    ] = "halt"
    max_drawdown: Annotated[
        Limit, Field(description="loss of all runs from the day's highest profit that halts trading")
    ] = _NO_LIMIT
    on_drawdown: Annotated[OnLoss, Field(description="the effect: reduce, halt, or flatten")] = "halt"
    halt_keeps_protection: Annotated[
        bool, Field(description="whether strategies may reduce and protect positions while trading is halted")
    ] = True
    day_zone: Annotated[str, Field(description="zone in which the day of the daily loss begins")] = "America/New_York"

    @field_validator("day_zone")
    @classmethod
    def _is_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{zone!r} is not a time zone: try America/New_York") from None
        return zone

    @property
    def follows_prices(self) -> bool:
        """Return whether any limit depends on sums that move with prices."""
        return self.limits_exposure or min(self.max_daily_loss, self.max_drawdown) < _NO_LIMIT

    @property
    def limits_exposure(self) -> bool:
        """Return whether any limit is on the money in positions."""
        return min(self.max_instrument_exposure, self.max_gross_exposure, self.max_net_exposure) < _NO_LIMIT

    @property
    def by_name(self) -> dict[str, float | str | bool]:
        """The limits by name, as a journal keeps them."""
        return dataclasses.asdict(self)

    def but(self, changes: Mapping[str, Any]) -> RiskLimits:
        """Return these limits with some changed by name.

        Raises:
            pydantic.ValidationError: If a value is out of range.
        """
        return dataclasses.replace(self, **changes)

    @classmethod
    def none(cls) -> RiskLimits:
        """Return limits that allow everything."""
        limits = (field.name for field in dataclasses.fields(cls) if isinstance(getattr(_DEFAULTS, field.name), float))
        rules: dict[str, Any] = dict.fromkeys(limits, _NO_LIMIT)
        return cls(**rules, self_crossing="allow")


_DEFAULTS = RiskLimits()
