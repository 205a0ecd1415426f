"""Exchanges of shares: the suffix by which data vendors name them, IB's name, currency and hours.

Suffixes are those of Yahoo Finance (its help page "Exchanges and data providers on Yahoo Finance", SLN2310), most of
which Reuters instrument codes share. Names of exchanges are IB's (its page "Exchange listings"), hours are the
exchanges' own. Steps of prices are named in `_STEPS` where an exchange has one table for all of its shares.
"""

from __future__ import annotations

import msgspec

from ibdesk.model.price_grid import PriceIncrements


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """An exchange of shares; `opens` and `closes` are minutes after local midnight in `zone`."""

    exchange: str
    currency: str
    zone: str
    opens: int
    closes: int
    increments: PriceIncrements = ()
    size_increment: float = 1.0


# Suffix, IB's exchange, currency, zone, hours.
_TABLE = """
DE   IBIS      EUR Europe/Berlin     09:00-17:30
F    FWB       EUR Europe/Berlin     08:00-22:00
SG   SWB       EUR Europe/Berlin     08:00-22:00
L    LSE       GBP Europe/London     08:00-16:30
IL   LSEIOB1   USD Europe/London     08:00-16:30
PA   SBF       EUR Europe/Paris      09:00-17:30
AS   AEB       EUR Europe/Amsterdam  09:00-17:30
BR   ENEXT.BE  EUR Europe/Brussels   09:00-17:30
LS   BVL       EUR Europe/Lisbon     08:00-16:30
MI   BVME      EUR Europe/Rome       09:00-17:30
MC   BM        EUR Europe/Madrid     09:00-17:30
SW   EBS       CHF Europe/Zurich     09:00-17:30
VI   VSE       EUR Europe/Vienna     09:00-17:30
ST   SFB       SEK Europe/Stockholm  09:00-17:30
CO   CPH       DKK Europe/Copenhagen 09:00-17:00
HE   HEX       EUR Europe/Helsinki   10:00-18:30
OL   OSE       NOK Europe/Oslo       09:00-16:25
WA   WSE       PLN Europe/Warsaw     09:00-17:00
PR   PRA       CZK Europe/Prague     09:00-16:25
BD   BUX       HUF Europe/Budapest   09:00-17:00
TA   TASE      ILS Asia/Jerusalem    09:59-17:15
T    TSEJ      JPY Asia/Tokyo        09:00-15:30
HK   SEHK      HKD Asia/Hong_Kong    09:30-16:00
SS   SEHKNTL   CNH Asia/Shanghai     09:30-15:00
SZ   SEHKSZSE  CNH Asia/Shanghai     09:30-15:00
KS   KSE       KRW Asia/Seoul        09:00-15:30
TW   TWSE      TWD Asia/Taipei       09:00-13:30
SI   SGX       SGD Asia/Singapore    09:00-17:00
NS   NSE       INR Asia/Kolkata      09:15-15:30
AX   ASX       AUD Australia/Sydney  10:00-16:00
TO   TSE       CAD America/Toronto   09:30-16:00
V    VENTURE   CAD America/Toronto   09:30-16:00
MX   MEXI      MXN America/Mexico_City 08:30-15:00
"""
# Price steps: Hong Kong's spread table part A, ASX's operating rules schedule, Toronto's (half a cent below 0.50).
_STEPS: dict[str, PriceIncrements] = {
    "SEHK": (
        (0.0, 0.001), (0.25, 0.005), (0.5, 0.01), (10.0, 0.02), (20.0, 0.05), (100.0, 0.1), (200.0, 0.2),
        (500.0, 0.5), (1000.0, 1.0), (2000.0, 2.0), (5000.0, 5.0),
    ),
    "ASX": ((0.0, 0.001), (0.1, 0.005), (2.0, 0.01)),
    "TSE": ((0.0, 0.005), (0.5, 0.01)),
    "VENTURE": ((0.0, 0.005), (0.5, 0.01)),
    "TSEJ": ((0.0, 1.0), (3000.0, 5.0), (5000.0, 10.0), (30000.0, 50.0), (50000.0, 100.0)),
}  # fmt: skip
# Tokyo trades all domestic shares in units of 100 (since October 2018).
_SIZES = {"TSEJ": 100.0}

# Where shares of the United States are routed, beside SMART.
US_EXCHANGES = frozenset(
    {"SMART", "NYSE", "NASDAQ", "ISLAND", "ARCA", "AMEX", "BATS", "IEX", "EDGX", "EDGEA", "BYX", "BEX", "PINK", "MEMX"}
)


def _read() -> dict[str, Listing]:
    found = {}
    for line in _TABLE.strip().splitlines():
        suffix, exchange, currency, zone, hours = line.split()
        opens, closes = (int(each[:2]) * 60 + int(each[3:]) for each in hours.split("-"))
        found[suffix] = Listing(
            exchange=exchange,
            currency=currency,
            zone=zone,
            opens=opens,
            closes=closes,
            increments=_STEPS.get(exchange, ()),
            size_increment=_SIZES.get(exchange, 1.0),
        )
    return found


BY_SUFFIX = _read()
BY_EXCHANGE = {listing.exchange: listing for listing in BY_SUFFIX.values()}


def usual_currency(exchange: str) -> str:
    """Return the currency that shares of an exchange are priced in, or an empty string."""
    if exchange in US_EXCHANGES:
        return "USD"
    listing = BY_EXCHANGE.get(exchange)
    return "" if listing is None else listing.currency
