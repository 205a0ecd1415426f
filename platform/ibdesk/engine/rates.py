"""Exchange rates, as far as the currency pairs that are watched tell them."""

from __future__ import annotations

from collections.abc import Callable

from ibdesk.model import AnyInstrument, Forex


def rate_between(base: str, wanted: str, price_of: Callable[[str], float | None]) -> float | None:
    """Return how much of the currency `wanted` one unit of `base` is worth, None if no watched pair tells it.

    `price_of` gives the last price of an instrument by its id; a pair is looked for both ways round.
    """
    if base == wanted:
        return 1.0
    if price := price_of(f"{base}.{wanted}"):
        return price
    inverse = price_of(f"{wanted}.{base}")
    return 1.0 / inverse if inverse else None


def unit_worth(instrument: AnyInstrument, currency: str, price_of: Callable[[str], float | None]) -> float:
    """Return what one unit counts against its limits: 1, or a pair's base currency in the account's money.

    A base currency whose rate is not known counts as it is.
    """
    if not isinstance(instrument, Forex):
        return 1.0
    return rate_between(instrument.symbol, currency, price_of) or 1.0
