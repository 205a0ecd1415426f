"""The figures of the account, as the venue reports them."""

from __future__ import annotations

import msgspec

from ibdesk.display import HtmlRepr


class Account(HtmlRepr, msgspec.Struct, frozen=True):
    """Figures of the account in its base currency, as last reported; NaN where not reported yet.

    `cash_by_currency` is the cash in each currency, in that currency.
    """

    id: str = ""
    currency: str = "USD"
    net_liquidation: float = float("nan")
    cash: float = float("nan")
    buying_power: float = float("nan")
    available_funds: float = float("nan")
    initial_margin: float = float("nan")
    realized_pnl: float = float("nan")
    unrealized_pnl: float = float("nan")
    updated_ns: int = 0
    cash_by_currency: dict[str, float] = {}

    @property
    def is_paper(self) -> bool:
        """Return whether this is a paper account: its id starts with ``D``, as IB names them."""
        return self.id.startswith("D")
