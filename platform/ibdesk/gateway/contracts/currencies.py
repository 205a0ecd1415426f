"""Currency pairs at IDEALPRO: the shipped ones, and any other pair of known currencies."""

from __future__ import annotations

from collections.abc import Iterator

from ibdesk.gateway.contracts.contract import ContractData, made_up_id
from ibdesk.model import Forex

# The currencies, in the order of the market's notation of pairs: the earlier one is the base.
_NAMES = {
    "EUR": "European Monetary Union Euro",
    "GBP": "British pound",
    "AUD": "Australian dollar",
    "NZD": "New Zealand dollar",
    "USD": "United States dollar",
    "CAD": "Canadian dollar",
    "CHF": "Swiss franc",
    "NOK": "Norwegian krone",
    "SEK": "Swedish krona",
    "DKK": "Danish krone",
    "PLN": "Polish zloty",
    "CZK": "Czech koruna",
    "HUF": "Hungarian forint",
    "SGD": "Singapore dollar",
    "HKD": "Hong Kong dollar",
    "CNH": "Chinese renminbi (offshore)",
    "ILS": "Israeli shekel",
    "MXN": "Mexican peso",
    "ZAR": "South African rand",
    "TRY": "Turkish lira",
    "JPY": "Japanese yen",
}
_ORDER = tuple(_NAMES)
# IB's ids; 0 if not known for certain.
_SHIPPED = {
    "EUR.USD": 12087792,
    "GBP.USD": 12087797,
    "AUD.USD": 14433401,
    "USD.JPY": 15016059,
    "USD.CHF": 12087820,
    "USD.CAD": 15016062,
    "EUR.GBP": 12087807,
    "EUR.JPY": 0,
    "NZD.USD": 0,
}
# Half a pip; a pip is the fourth decimal, or the second of a price in yen.
_TICK, _YEN_TICK = 0.00005, 0.005
_RULE, _YEN_RULE = 239, 59


def shipped_pairs() -> Iterator[ContractData]:
    """Yield the shipped pairs."""
    for pair, con_id in _SHIPPED.items():
        yield currency_pair(pair[:3], pair[4:], con_id)


def is_pair(base: str, quoted: str) -> bool:
    """Return whether both are known currencies, in the order of the market's notation."""
    return base in _NAMES and quoted in _NAMES and _ORDER.index(base) < _ORDER.index(quoted)


def currency_pair(base: str, quoted: str, con_id: int = 0) -> ContractData:
    """Return the contract of a currency pair; `con_id` 0 gets a made-up one."""
    in_yen = quoted == "JPY"
    pair = Forex(base, currency=quoted, tick_size=_YEN_TICK if in_yen else _TICK)
    return ContractData(
        instrument=pair,
        con_id=con_id or made_up_id(pair.id),
        sec_type="CASH",
        symbol=base,
        local_symbol=pair.id,
        trading_class=pair.id,
        exchange="IDEALPRO",
        primary_exchange="",
        long_name=_NAMES.get(base, f"{base} in {quoted}"),
        trades_as="forex",
        valid_exchanges="IDEALPRO",
        market_rule=_YEN_RULE if in_yen else _RULE,
        size_increment=0.01,
    )
