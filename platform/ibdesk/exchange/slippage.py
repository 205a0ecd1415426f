"""Slippage: how much worse than the quoted price a market order trades."""

from __future__ import annotations

from typing import Protocol

import msgspec

from ibdesk.model import AnyInstrument


class Slippage(Protocol):
    """The slippage of orders that accept any price: market orders, and triggered stops."""

    def per_unit(self, instrument: AnyInstrument, price: float) -> float:
        """Return the distance of the execution from `price`, against the trader; in currency, never negative."""
        ...


class NoSlippage(msgspec.Struct, frozen=True):
    """Orders trade at the quoted price."""

    def per_unit(self, instrument: AnyInstrument, price: float) -> float:  # noqa: ARG002 - not needed
        """Return zero."""
        return 0.0


class TickSlippage(msgspec.Struct, frozen=True):
    """A fixed number of the instrument's ticks."""

    ticks: float = 1.0

    def __post_init__(self) -> None:
        _check("ticks", self.ticks)

    def per_unit(self, instrument: AnyInstrument, price: float) -> float:
        """Return that many ticks, at the tick size of the price."""
        return self.ticks * instrument.tick_at(price)


class FractionSlippage(msgspec.Struct, frozen=True):
    """A fraction of the price, given in basis points (1 is 0.01 %)."""

    basis_points: float

    def __post_init__(self) -> None:
        _check("basis_points", self.basis_points)

    def per_unit(self, instrument: AnyInstrument, price: float) -> float:  # noqa: ARG002 - not needed
        """Return that fraction of `price`."""
        return abs(price) * self.basis_points / 10_000


def _check(name: str, figure: float) -> None:
    if not 0 <= figure < float("inf"):
        raise ValueError(f"{name} of slippage must be zero or more, got {figure!r}")
