"""The results of TWS's search for instruments by text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ibdesk.model import Index, Stock
from ibdesk.model.listings import BY_EXCHANGE
from ibdesk.model.spelling import INDICES

if TYPE_CHECKING:
    from ib_async.contract import ContractDescription

# IB's words for kinds, and ours. A search names only these.
_KINDS = {"STK": "stock", "CASH": "forex", "IND": "index", "FUT": "future", "OPT": "option"}


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """An instrument whose symbol or name resembles the searched text.

    `name` is the name for orders, runs and history; it is empty if the result is incomplete (no expiry of a future, an
    exchange that ibdesk does not know). `derivatives` are IB's words for its derivatives (``OPT``, ``FUT``, ...).
    """

    name: str
    kind: str
    symbol: str
    exchange: str
    currency: str
    description: str
    derivatives: list[str]


def match_from(sample: ContractDescription) -> Match:
    """Return one result of TWS's search."""
    contract = sample.contract
    if contract is None:
        return Match(name="", kind="", symbol="", exchange="", currency="", description="", derivatives=[])
    name = ""
    if contract.secType == "STK":
        name = _share(contract.symbol, contract.primaryExchange, contract.currency)
    elif contract.secType == "CASH":
        name = f"{contract.symbol}.{contract.currency}"
    elif contract.secType == "IND" and contract.symbol in INDICES:
        name = Index(contract.symbol).id
    return Match(
        name=name,
        kind=_KINDS.get(contract.secType, contract.secType),
        symbol=contract.symbol,
        exchange=contract.primaryExchange,
        currency=contract.currency,
        description=contract.description,
        derivatives=list(sample.derivativeSecTypes),
    )


def _share(symbol: str, listing: str, currency: str) -> str:
    """Return the id of a share; outside the United States it includes the exchange."""
    if currency == "USD" and listing not in BY_EXCHANGE:
        return Stock(symbol).id
    if listing in BY_EXCHANGE and BY_EXCHANGE[listing].currency == currency:
        return Stock(symbol, exchange=listing, currency=currency).id
    return ""
