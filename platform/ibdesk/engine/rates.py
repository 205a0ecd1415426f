"""Exchange rates from the watched currency pairs."""

from __future__ import annotations

from collections.abc import Callable

from ibdesk.model import AnyInstrument, Forex


def rate_between(base: str, wanted: str, price_of: Callable[[str], float | None]) -> float | None:
    """Return the worth of one unit of `base` in the currency `wanted`, None if no watched pair gives it.

    `price_of` returns the last price of an instrument by its id; a pair is looked up in both directions.
    """
    if base == wanted:
        return 1.0
    if price := price_of(f"{base}.{wanted}"):
        return price
    inverse = price_of(f"{wanted}.{base}")
    return 1.0 / inverse if inverse else None


def unit_worth(instrument: AnyInstrument, currency: str, price_of: Callable[[str], float | None]) -> float:
    """Return the count of one unit against its limits: 1, or a pair's base currency in the account's money.

    A base currency without a known rate counts as 1.
    """
    if not isinstance(instrument, Forex):
        return 1.0
    return rate_between(instrument.symbol, currency, price_of) or 1.0
