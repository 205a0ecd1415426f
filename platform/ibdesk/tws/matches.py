"""What TWS finds when it searches by a word."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ibdesk.model import Index, Stock
from ibdesk.model.listings import BY_EXCHANGE
from ibdesk.model.spelling import INDICES

if TYPE_CHECKING:
    from ib_async.contract import ContractDescription

# IB's words for kinds, and ours; only these kinds can be named by what a search tells.
_KINDS = {"STK": "stock", "CASH": "forex", "IND": "index", "FUT": "future", "OPT": "option"}


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """An instrument whose symbol or name is like the word that was searched for.

    `name` is what orders, runs and history take; it is empty where the search tells too little (a future's expiry, an
    exchange that ibdesk does not know). `derivatives` are IB's words for what is
    derived from it (``OPT``, ``FUT``, ...).
    """

    name: str
    kind: str
    symbol: str
    exchange: str
    currency: str
    description: str
    derivatives: list[str]


def match_from(sample: ContractDescription) -> Match:
    """Return what one sample of TWS says."""
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
    """Return the id of a share; one that is listed outside the United States is called by its exchange."""
    if currency == "USD" and listing not in BY_EXCHANGE:
        return Stock(symbol).id
    if listing in BY_EXCHANGE and BY_EXCHANGE[listing].currency == currency:
        return Stock(symbol, exchange=listing, currency=currency).id
    return ""
