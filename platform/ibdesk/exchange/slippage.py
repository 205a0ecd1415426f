"""How much worse than the price on the screen a market order really trades."""

from __future__ import annotations

from typing import Protocol

import msgspec

from ibdesk.model import AnyInstrument


class Slippage(Protocol):
    """States the slippage of orders that take any price: market orders, and stops once triggered."""

    def per_unit(self, instrument: AnyInstrument, price: float) -> float:
        """Return how far the execution is from `price`, against us; in currency, never negative."""
        ...


class NoSlippage(msgspec.Struct, frozen=True):
    """Orders trade at the price on the screen."""

    def per_unit(self, instrument: AnyInstrument, price: float) -> float:  # noqa: ARG002 - plays no part
        """Return zero."""
        return 0.0


class TickSlippage(msgspec.Struct, frozen=True):
    """A fixed number of the instrument's ticks."""

    ticks: float = 1.0

    def __post_init__(self) -> None:
        _check("ticks", self.ticks)

    def per_unit(self, instrument: AnyInstrument, price: float) -> float:
        """Return that many ticks, as wide as they are at the price."""
        return self.ticks * instrument.tick_at(price)


class FractionSlippage(msgspec.Struct, frozen=True):
    """A fraction of the price, given in basis points (1 is 0.01 %)."""

    basis_points: float

    def __post_init__(self) -> None:
        _check("basis_points", self.basis_points)

    def per_unit(self, instrument: AnyInstrument, price: float) -> float:  # noqa: ARG002 - plays no part
        """Return that fraction of `price`."""
        return abs(price) * self.basis_points / 10_000


def _check(name: str, figure: float) -> None:
    if not 0 <= figure < float("inf"):
        raise ValueError(f"{name} of slippage must be zero or more, got {figure!r}")
