"""The risk rules of a backtest, which are those of a desk, and the orders that they denied."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path
from typing import ClassVar

import msgspec
from pydantic import Field

from ibdesk.config import SettingsTree
from ibdesk.engine import RiskLimits
from ibdesk.errors import NEARER, OrderDeniedError
from ibdesk.model import OrderDenied, TradingHalted, moment

_WITHOUT = "test without limits (limits=RiskLimits.none(), --no-limits)"


_SETTINGS = frozenset(field.name for field in dataclasses.fields(RiskLimits))


class _RiskSettings(SettingsTree):
    """The desk settings that a backtest uses too."""

    is_part: ClassVar[bool] = True

    risk: RiskLimits = Field(default_factory=RiskLimits, description="what the risk gate allows")


def limits_in_effect(config: Path | None = None) -> RiskLimits:
    """Return the limits of a desk opened here, from the environment, ``ibdesk.toml`` or the defaults.

    Raises:
        ConfigError: If a limit is invalid; the message names it and its origin.
    """
    return _RiskSettings.load(config=config).risk


class Denials(msgspec.Struct, frozen=True, kw_only=True):
    """The orders that one risk rule denied: their number, and the first of them."""

    rule: str
    count: int
    limit: float
    first_at: dt.datetime
    first_order: str
    first_asked: float

    def and_another(self) -> Denials:
        """Return the denials after one more denied order."""
        return msgspec.structs.replace(self, count=self.count + 1)

    @classmethod
    def first(cls, denied: OrderDenied) -> Denials:
        """Return the denials of a rule after its first denied order."""
        return cls(
            rule=denied.rule,
            count=1,
            limit=denied.limit,
            first_at=moment(denied.at_ns),
            first_order=denied.order_id,
            first_asked=denied.asked,
        )

    def __str__(self) -> str:
        first = f"the first at {_shown(self.first_at)} ({self.first_order}"
        many = "1 order was" if self.count == 1 else f"{self.count:,} orders were"
        if self.rule == "halt":
            return f"{many} denied because trading was halted, {first}): see the halt"
        them = "it" if self.count == 1 else "them"
        if self.rule not in _SETTINGS:
            why = OrderDeniedError(self.first_order, self.rule, self.limit, self.first_asked).reason
            remedy = {
                "size_increment": f": order a multiple of {_figure(self.limit)}",
                "lowest_price": f": state a price of {_figure(self.limit)} or more",
                "highest_price": f": state a price no farther from 0 than {_figure(self.limit)}",
            }.get(self.rule, "")
            return f"{many} denied, {first}: {why}), as a desk would deny {them}{remedy}"
        nearer = f"{NEARER}, " if self.rule == "price_collar" else ""
        asked, allowed = _figure(self.first_asked), _figure(self.limit)
        return (
            f"{many} denied by risk.{self.rule}, {first}: asked {asked}, allowed {allowed}), as a desk would deny "
            f"{them}: {nearer}change risk.{self.rule}, or {_WITHOUT}"
        )


def halt_words(halt: TradingHalted) -> str:
    """Return a sentence about a halt and its remedy."""
    return (
        f"trading was halted at {_shown(moment(halt.at_ns))}: {halt.reason}. From then to the end only orders that "
        f"reduce a position passed, as nobody lifts a halt in a backtest: raise the limit, or {_WITHOUT}"
    )


def _figure(figure: float) -> str:
    """Return a figure without exponent or rounding noise: 1,000,001 and not 1e+06, 0.3 and not 0.30000000000000004."""
    return f"{round(figure, 6):,.15g}" if abs(figure) >= 0.001 else f"{figure:.6g}"


def _shown(when: dt.datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M:%S} UTC"
