"""Exchange rates between an account's currency and others, taken from the market's currency pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ibdesk.model import Forex

HUBS = ("EUR", "GBP", "JPY", "CHF")
"""Currencies through which a rate is found if no pair joins two currencies directly."""


class Rates:
    """Rates into `base`; `price_of` returns the price of a pair such as ``EUR.USD``, or None.

    A rate that was found once is kept when the market is silent, because holdings must always have a value.
    """

    def __init__(self, price_of: Callable[[str], float | None], base: str = "USD") -> None:
        self.base = base
        self._price_of = price_of
        self._known: dict[str, float] = {}

    def to_base(self, currency: str) -> float | None:
        """Return the value of one unit of `currency` in the base currency; None if no pair ever gave it."""
        if currency == self.base:
            return 1.0
        rate = self._found(currency)
        if rate is None:
            return self._known.get(currency)
        self._known[currency] = rate
        return rate

    def rate(self, currency: str) -> float:
        """Return the rate of a known currency; the currencies of all holdings are known.

        Raises:
            KeyError: If no pair ever gave it.
        """
        rate = self.to_base(currency)
        if rate is None:
            raise KeyError(currency)
        return rate

    def learn(self, pair: Forex, price: float) -> None:
        """Learn a rate from the price of an order or execution in a pair, if the market has no quote that gives it."""
        symbol, quoted = self.to_base(pair.symbol), self.to_base(pair.currency)
        if symbol is None and quoted is not None:
            self._known[pair.symbol] = price * quoted
        elif quoted is None and symbol is not None:
            self._known[pair.currency] = symbol / price

    @property
    def known(self) -> Mapping[str, float]:
        """Return every rate found so far, by currency."""
        return self._known

    def restore(self, known: Mapping[str, float]) -> None:
        """Add rates that were known before."""
        self._known.update(known)

    def _found(self, currency: str) -> float | None:
        direct = self._pair(currency, self.base)
        if direct is not None:
            return direct
        for hub in HUBS:
            first, second = self._pair(currency, hub), self._pair(hub, self.base)
            if first is not None and second is not None:
                return first * second
        return None

    def _pair(self, one: str, other: str) -> float | None:
        price = self._price_of(f"{one}.{other}")
        if price is not None:
            return price
        inverse = self._price_of(f"{other}.{one}")
        return 1.0 / inverse if inverse else None
