"""The currencies that make pairs, and the metals that do not, by their ISO 4217 codes."""

from __future__ import annotations

from ibdesk.errors import InstrumentError

# The currencies that IB trades against others (its page "Currencies at IDEALPRO").
CURRENCIES = frozenset(
    [
        "AED",
        "AUD",
        "BRL",
        "CAD",
        "CHF",
        "CLP",
        "CNH",
        "CNY",
        "CZK",
        "DKK",
        "EUR",
        "GBP",
        "HKD",
        "HUF",
        "IDR",
        "ILS",
        "INR",
        "JPY",
        "KRW",
        "MXN",
        "MYR",
        "NOK",
        "NZD",
        "PHP",
        "PLN",
        "RON",
        "RUB",
        "SAR",
        "SEK",
        "SGD",
        "THB",
        "TRY",
        "TWD",
        "USD",
        "ZAR",
    ]
)
# Metals are quoted like currencies elsewhere; IB lists XAUUSD with security type CMDTY. With each a future and a fund.
METALS = {"XAU": ("GC", "GLD"), "XAG": ("SI", "SLV"), "XPT": ("PL", "PPLT"), "XPD": ("PA", "PALL")}


def refuse_metals(text: str, *codes: str) -> None:
    """Refuse a pair that contains a metal.

    Raises:
        InstrumentError: If one of the codes is that of a metal.
    """
    for code in codes:
        if code in METALS:
            future, fund = METALS[code]
            raise InstrumentError(
                f"{text}: {code} is a metal, which IB lists as a commodity (CMDTY) and not as a currency; ibdesk does "
                f"not trade commodities: take a future, as {future}-202612, or a fund, as {fund}"
            )
