"""The prices of held instruments that are awaited after a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ibdesk.engine.portfolio import EXTERNAL

if TYPE_CHECKING:
    from ibdesk.engine.exposures import Exposures

PATIENCE_SECONDS = 120
"""The longest wait after a restart for prices of held instruments."""

_SECOND = 1_000_000_000


class AwaitedPrices:
    """The instruments that were held at the restart and have had neither a price nor a trade since.

    Old prices beside new ones can show a loss, or a peak, that never was, so the loss limits wait for a while.
    """

    def __init__(self, exposures: Exposures) -> None:
        self._exposures = exposures
        self._instruments = set[str]()
        # The end of the wait; 0 if nothing was restored.
        self.until_ns = 0

    def begin(self, at_ns: int) -> None:
        """Wait for prices of the instruments that are held now."""
        self._instruments = {
            name
            for name, total in self._exposures.totals.items()
            if any(holding.position.quantity for holding in total.holdings if holding.owner != EXTERNAL)
        }
        self.until_ns = at_ns + PATIENCE_SECONDS * _SECOND

    def traded(self, instrument: str) -> None:
        """Note that an instrument has traded: the price of that execution is new."""
        self._instruments.discard(instrument)

    def of(self, owner: str | None) -> list[str]:
        """Return the held instruments of an owner, or of all but `EXTERNAL`, that have no price yet."""
        return [name for name in sorted(self._instruments) if self._is_missing(name, owner)]

    def _is_missing(self, name: str, owner: str | None) -> bool:
        total = self._exposures.totals[name]
        if total.market is not None and total.market.price is not None:
            return False
        return any(
            holding.position.quantity and holding.owner != EXTERNAL and owner in (None, holding.owner)
            for holding in total.holdings
        )
