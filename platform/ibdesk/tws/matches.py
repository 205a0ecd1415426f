"""What TWS finds when it searches by a word."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from ib_async.contract import ContractDescription

# IB's words for kinds, and ours; only these kinds can be named by what a search tells.
_KINDS = {"STK": "stock", "CASH": "forex", "IND": "index", "FUT": "future", "OPT": "option"}


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """An instrument whose symbol or name is like the word that was searched for.

    `name` is what orders, runs and history take; it is empty where the search tells too little (a future's expiry),
    or where an instrument of another country or kind would be meant by it. `derivatives` are IB's words for what is
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
    if contract.secType == "STK" and contract.currency == "USD":
        name = contract.symbol
    elif contract.secType == "CASH":
        name = f"{contract.symbol}.{contract.currency}"
    return Match(
        name=name,
        kind=_KINDS.get(contract.secType, contract.secType),
        symbol=contract.symbol,
        exchange=contract.primaryExchange,
        currency=contract.currency,
        description=contract.description,
        derivatives=list(sample.derivativeSecTypes),
    )
