"""The prices that are waited for after a restart, of what was held before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ibdesk.engine.portfolio import EXTERNAL

if TYPE_CHECKING:
    from ibdesk.engine.exposures import Exposures

PATIENCE_SECONDS = 120
"""So long after a restart prices of what is held may take to come."""

_SECOND = 1_000_000_000


class AwaitedPrices:
    """The instruments that were held when this life began, and neither had a price nor traded since.

    Old prices beside new ones may show a loss, or a peak, that never was: the limits of losses wait, for a while.
    """

    def __init__(self, exposures: Exposures) -> None:
        self._exposures = exposures
        self._instruments = set[str]()
        # until_ns: how long they are waited for; 0 where no life came before.
        self.until_ns = 0

    def begin(self, at_ns: int) -> None:
        """Wait for prices of what is held now."""
        self._instruments = {
            name
            for name, total in self._exposures.totals.items()
            if any(holding.position.quantity for holding in total.holdings if holding.owner != EXTERNAL)
        }
        self.until_ns = at_ns + PATIENCE_SECONDS * _SECOND

    def traded(self, instrument: str) -> None:
        """Take that an instrument has traded: the price of that execution is new."""
        self._instruments.discard(instrument)

    def of(self, owner: str | None) -> list[str]:
        """Return what an owner, or every owner but `EXTERNAL`, holds whose price has not come yet."""
        return [name for name in sorted(self._instruments) if self._is_missing(name, owner)]

    def _is_missing(self, name: str, owner: str | None) -> bool:
        total = self._exposures.totals[name]
        if total.market is not None and total.market.price is not None:
            return False
        return any(
            holding.position.quantity and holding.owner != EXTERNAL and owner in (None, holding.owner)
            for holding in total.holdings
        )
