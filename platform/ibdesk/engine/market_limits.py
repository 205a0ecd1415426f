"""The limits of what an order may be decided on: the age of prices and bars, the state of the market, repetition."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass


def _positive(figure: float) -> float:
    if not figure > 0:
        raise ValueError("it must be positive (inf switches the rule off)")
    return figure


Limit = Annotated[float, AfterValidator(_positive)]
"""A positive figure; infinity switches its rule off."""

SelfCrossing = Literal["deny", "cancel_resting", "allow"]


@dataclass(frozen=True, kw_only=True, slots=True, config=ConfigDict(extra="forbid"))
class MarketLimits:
    """What the market and a run's own orders must be like for an order that opens a position; infinity is no limit.

    Seconds are those of the wall. `max_spread`, `max_price_jump` and `collar_market_orders` are fractions.
    """

    max_price_age_shares: Annotated[
        Limit, Field(description="age of a share's last price beyond which no order opens a position, seconds")
    ] = 60.0
    max_price_age_futures: Annotated[Limit, Field(description="the same of a future, seconds")] = 60.0
    max_price_age_currency: Annotated[Limit, Field(description="the same of a currency pair, seconds")] = 60.0
    max_price_age_options: Annotated[Limit, Field(description="the same of an option or combination, seconds")] = 300.0
    max_bar_lateness_seconds: Annotated[
        Limit, Field(description="how long after its close a bar may arrive on a desk and still decide anything")
    ] = 10.0
    max_spread: Annotated[
        Limit,
        Field(description="widest spread, as a fraction of the middle, over which an order may take the other side"),
    ] = 0.1
    max_price_jump: Annotated[
        Limit,
        Field(description="how far a single print may be from the last price before a second one must confirm it"),
    ] = 0.2
    price_jump_seconds: Annotated[
        Limit, Field(description="how long a print that jumped waits for a second one; then it counts, seconds")
    ] = 5.0
    max_repeated_orders: Annotated[
        Limit,
        Field(description="how often a run may ask for the same in an instrument without effect before it is halted"),
    ] = 100.0
    repeat_window_seconds: Annotated[Limit, Field(description="within how long that is counted, seconds")] = 60.0
    max_consecutive_rejections: Annotated[
        Limit, Field(description="orders of a run that the venue may reject in a row before it is halted")
    ] = 10.0
    self_crossing: Annotated[
        SelfCrossing,
        Field(description="what is done about an order that could trade with another run's of this desk"),
    ] = "deny"
    collar_market_orders: Annotated[
        Limit,
        Field(
            description="how far from the market a market order that opens a position may fill; inf sends it as it is"
        ),
    ] = float("inf")
