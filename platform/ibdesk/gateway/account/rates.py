"""Exchange rates between an account's currency and others, as the market's currency pairs show them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ibdesk.model import Forex

HUBS = ("EUR", "GBP", "JPY", "CHF")
"""Through which of them a rate is found when no pair joins two currencies directly."""


class Rates:
    """Rates into `base`; `price_of` tells the price of a pair such as ``EUR.USD``, or nothing.

    A rate that was found once stays known when the market falls silent: what is held must be valued at something.
    """

    def __init__(self, price_of: Callable[[str], float | None], base: str = "USD") -> None:
        self.base = base
        self._price_of = price_of
        self._known: dict[str, float] = {}

    def to_base(self, currency: str) -> float | None:
        """Return what one unit of `currency` is worth in the base currency; nothing when no pair ever told."""
        if currency == self.base:
            return 1.0
        rate = self._found(currency)
        if rate is None:
            return self._known.get(currency)
        self._known[currency] = rate
        return rate

    def rate(self, currency: str) -> float:
        """Return the rate of a currency that is known, as that of everything an account holds is.

        Raises:
            KeyError: If no pair ever told it.
        """
        rate = self.to_base(currency)
        if rate is None:
            raise KeyError(currency)
        return rate

    def learn(self, pair: Forex, price: float) -> None:
        """Take the price of an order or execution in a pair, while the market shows no quote that would tell."""
        symbol, quoted = self.to_base(pair.symbol), self.to_base(pair.currency)
        if symbol is None and quoted is not None:
            self._known[pair.symbol] = price * quoted
        elif quoted is None and symbol is not None:
            self._known[pair.currency] = symbol / price

    @property
    def known(self) -> Mapping[str, float]:
        """Return every rate that was asked for and found, by currency."""
        return self._known

    def restore(self, known: Mapping[str, float]) -> None:
        """Take rates that were known before."""
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
