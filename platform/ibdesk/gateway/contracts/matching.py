"""The match of contracts with a request's description; an empty field fits all."""

from __future__ import annotations

from ibdesk.gateway.contracts.contract import ContractData
from ibdesk.gateway.protocol.codec import Fields

# TWS accepts both names of Nasdaq.
_ALIASES = {"ISLAND": "NASDAQ"}
_RIGHTS = {"CALL": "C", "PUT": "P"}
# Texts of clients for a contract without a right.
_NO_RIGHT = frozenset({"", "0", "?"})


def answers(contract: ContractData, query: Fields) -> bool:
    """Return whether the contract fits every non-empty field of the request."""
    wanted = (
        (query.text("symbol"), contract.symbol),
        (query.text("secType"), contract.sec_type),
        (query.text("currency"), contract.instrument.currency),
        (query.text("localSymbol"), contract.local_symbol),
        (query.text("tradingClass"), contract.trading_class),
    )
    return (
        all(text in ("", own) for text, own in wanted)
        and (query.flag("includeExpired") or not contract.is_expired)
        and _expires(contract, query.text("lastTradeDateOrContractMonth"))
        and _pays(contract, query)
        and _is_listed_at(contract, query.text("primaryExchange"))
        and is_on(contract, query)
    )


def is_on(contract: ContractData, query: Fields) -> bool:
    """Return whether the contract trades at the requested exchange."""
    return query.text("exchange") in ("", *contract.exchanges)


def _expires(contract: ContractData, text: str) -> bool:
    """Compare six digits with the contract month, other lengths with the last trading day."""
    wanted = text.partition(" ")[0]
    if len(wanted) == 6:
        return contract.contract_month == wanted
    return contract.expiry.startswith(wanted)


def _pays(contract: ContractData, query: Fields) -> bool:
    right, strike, multiplier = query.text("right").upper(), query.number("strike"), query.text("multiplier")
    return (
        (right in _NO_RIGHT or _RIGHTS.get(right, right) == contract.right)
        and (not strike or strike == contract.strike)
        and (not multiplier or _is_number(multiplier, contract.multiplier))
    )


def _is_number(text: str, own: str) -> bool:
    try:
        return text == own or float(text) == float(own or 1)
    except ValueError:
        return False


def _is_listed_at(contract: ContractData, exchange: str) -> bool:
    return _ALIASES.get(exchange, exchange) in ("", contract.primary_exchange, contract.exchange)
