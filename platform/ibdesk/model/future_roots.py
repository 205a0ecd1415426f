"""The usual futures: exchange, multiplier, tick size, contract months and hours by the exchange's own code (root).

IB names some roots differently: the euro future 6E is its symbol EUR with trading class 6E, and several roots can
share a symbol (FDAX, FDXM and FDXS are DAX). Multipliers are money gained per unit of the price as it is quoted:
corn, in cents, moves 50 dollars a cent, which IB writes as multiplier 5000 and price magnifier 100.

Sources, by the last column: `cme`, contract specifications at cmegroup.com; `cfe`, VIX futures specifications at
cboe.com; `ice`, product guides at ice.com; `eurex`, `euronext`, `hkex` and `asx`, contract specifications at their
exchange's site. Symbols, exchanges and trading classes of IB: its contract search (pennies.interactivebrokers.com),
compared with the tables of the open-source projects pysystemtrade and Lean. Checked in November 2026.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

MONTH_CODES = "FGHJKMNQUVXZ"


class FutureRoot(msgspec.Struct, frozen=True, kw_only=True):
    """The terms that all contracts of a root share.

    `months` are the letters of its usual contract months. `hours` names its session in `HOURS`. IB's multiplier is
    `multiplier` times `price_magnifier`.
    """

    root: str
    symbol: str
    trading_class: str
    exchange: str
    currency: str
    multiplier: float
    price_magnifier: int
    tick_size: float
    months: str
    hours: str
    name: str
    source: str

    @property
    def month_numbers(self) -> tuple[int, ...]:
        """Return the contract months as numbers, January is 1."""
        return tuple(MONTH_CODES.index(code) + 1 for code in self.months)


# Zone, and the times at which the session opens and closes; one that opens later than it closes began the evening
# before. Breaks inside a session (grains rest from 07:45 to 08:30) are not known here.
HOURS: dict[str, tuple[str, str, str]] = {
    "globex": ("America/Chicago", "17:00", "16:00"),
    "grains": ("America/Chicago", "19:00", "13:20"),
    "meats": ("America/Chicago", "08:30", "13:05"),
    "lumber": ("America/Chicago", "09:00", "15:05"),
    "dollar": ("America/New_York", "20:00", "17:00"),
    "coffee": ("America/New_York", "04:15", "13:30"),
    "sugar": ("America/New_York", "03:30", "13:00"),
    "cocoa": ("America/New_York", "04:45", "13:30"),
    "cotton": ("America/New_York", "21:00", "14:20"),
    "juice": ("America/New_York", "08:00", "14:00"),
    "brent": ("Europe/London", "01:00", "23:00"),
    "ftse": ("Europe/London", "01:00", "21:00"),
    "gilt": ("Europe/London", "08:00", "18:00"),
    "eurex": ("Europe/Berlin", "01:10", "22:00"),
    "swiss": ("Europe/Berlin", "07:50", "22:00"),
    "paris": ("Europe/Paris", "08:00", "22:00"),
    "hong kong": ("Asia/Hong_Kong", "17:15", "16:30"),
    "sydney": ("Australia/Sydney", "17:10", "16:30"),
}


# Quoted in hundredths of the currency.
_IN_CENTS = frozenset(["ZC", "ZS", "ZW", "KE", "ZL", "ZO", "LE", "HE", "GF", "KC", "SB", "CT", "OJ", "Z"])
# Root | IB's symbol, exchange and currency | multiplier | tick | months | hours | name | source
_TABLE = """
ES   | ES CME USD         | 50         | 0.25       | HMUZ         | globex    | E-mini S&P 500             | cme
MES  | MES CME USD        | 5          | 0.25       | HMUZ         | globex    | Micro E-mini S&P 500       | cme
NQ   | NQ CME USD         | 20         | 0.25       | HMUZ         | globex    | E-mini Nasdaq-100          | cme
MNQ  | MNQ CME USD        | 2          | 0.25       | HMUZ         | globex    | Micro E-mini Nasdaq-100    | cme
RTY  | RTY CME USD        | 50         | 0.1        | HMUZ         | globex    | E-mini Russell 2000        | cme
M2K  | M2K CME USD        | 5          | 0.1        | HMUZ         | globex    | Micro E-mini Russell 2000  | cme
EMD  | EMD CME USD        | 100        | 0.1        | HMUZ         | globex    | E-mini S&P MidCap 400      | cme
NKD  | NKD CME USD        | 5          | 5          | HMUZ         | globex    | Nikkei 225 in dollars      | cme
NIY  | NIY CME JPY        | 500        | 5          | HMUZ         | globex    | Nikkei 225 in yen          | cme
YM   | YM CBOT USD        | 5          | 1          | HMUZ         | globex    | E-mini Dow                 | cme
MYM  | MYM CBOT USD       | 0.5        | 1          | HMUZ         | globex    | Micro E-mini Dow           | cme
6E   | EUR CME USD        | 125000     | 0.00005    | HMUZ         | globex    | Euro                       | cme
6B   | GBP CME USD        | 62500      | 0.0001     | HMUZ         | globex    | British pound              | cme
6J   | JPY CME USD        | 12500000   | 0.0000005  | HMUZ         | globex    | Japanese yen               | cme
6A   | AUD CME USD        | 100000     | 0.00005    | HMUZ         | globex    | Australian dollar          | cme
6C   | CAD CME USD        | 100000     | 0.00005    | HMUZ         | globex    | Canadian dollar            | cme
6S   | CHF CME USD        | 125000     | 0.00005    | HMUZ         | globex    | Swiss franc                | cme
6N   | NZD CME USD        | 100000     | 0.00005    | HMUZ         | globex    | New Zealand dollar         | cme
6M   | MXP CME USD        | 500000     | 0.00001    | HMUZ         | globex    | Mexican peso               | cme
6L   | BRE CME USD        | 100000     | 0.00005    | FGHJKMNQUVXZ | globex    | Brazilian real             | cme
6Z   | ZAR CME USD        | 500000     | 0.000025   | HMUZ         | globex    | South African rand         | cme
M6E  | M6E CME USD        | 12500      | 0.0001     | HMUZ         | globex    | Micro euro                 | cme
M6A  | M6A CME USD        | 10000      | 0.0001     | HMUZ         | globex    | Micro Australian dollar    | cme
M6B  | M6B CME USD        | 6250       | 0.0001     | HMUZ         | globex    | Micro British pound        | cme
E7   | E7 CME USD         | 62500      | 0.0001     | HMUZ         | globex    | E-mini euro                | cme
J7   | J7 CME USD         | 6250000    | 0.000001   | HMUZ         | globex    | E-mini yen                 | cme
BTC  | BRR CME USD        | 5          | 5          | FGHJKMNQUVXZ | globex    | Bitcoin                    | cme
MBT  | MBT CME USD        | 0.1        | 5          | FGHJKMNQUVXZ | globex    | Micro bitcoin              | cme
ETH  | ETHUSDRR CME USD   | 50         | 0.5        | FGHJKMNQUVXZ | globex    | Ether                      | cme
MET  | MET CME USD        | 0.1        | 0.5        | FGHJKMNQUVXZ | globex    | Micro ether                | cme
SR3  | SOFR3 CME USD      | 2500       | 0.0025     | HMUZ         | globex    | Three-month SOFR           | cme
SR1  | SOFR1 CME USD      | 4167       | 0.0025     | FGHJKMNQUVXZ | globex    | One-month SOFR             | cme
ZQ   | ZQ CBOT USD        | 4167       | 0.0025     | FGHJKMNQUVXZ | globex    | 30-day federal funds       | cme
ZB   | ZB CBOT USD        | 1000       | 0.03125    | HMUZ         | globex    | US Treasury bond           | cme
UB   | UB CBOT USD        | 1000       | 0.03125    | HMUZ         | globex    | Ultra US Treasury bond     | cme
TN   | TN CBOT USD        | 1000       | 0.015625   | HMUZ         | globex    | Ultra 10-year US note      | cme
ZN   | ZN CBOT USD        | 1000       | 0.015625   | HMUZ         | globex    | 10-year US Treasury note   | cme
ZF   | ZF CBOT USD        | 1000       | 0.0078125  | HMUZ         | globex    | 5-year US Treasury note    | cme
ZT   | ZT CBOT USD        | 2000       | 0.00390625 | HMUZ         | globex    | 2-year US Treasury note    | cme
ZC   | ZC CBOT USD        | 50         | 0.25       | HKNUZ        | grains    | Corn                       | cme
ZS   | ZS CBOT USD        | 50         | 0.25       | FHKNQUX      | grains    | Soybeans                   | cme
ZW   | ZW CBOT USD        | 50         | 0.25       | HKNUZ        | grains    | Chicago SRW wheat          | cme
KE   | KE CBOT USD        | 50         | 0.25       | HKNUZ        | grains    | KC HRW wheat               | cme
ZM   | ZM CBOT USD        | 100        | 0.1        | FHKNQUVZ     | grains    | Soybean meal               | cme
ZL   | ZL CBOT USD        | 600        | 0.01       | FHKNQUVZ     | grains    | Soybean oil                | cme
ZO   | ZO CBOT USD        | 50         | 0.25       | HKNUZ        | grains    | Oats                       | cme
ZR   | ZR CBOT USD        | 2000       | 0.005      | FHKNUX       | grains    | Rough rice                 | cme
LE   | LE CME USD         | 400        | 0.025      | GJMQVZ       | meats     | Live cattle                | cme
HE   | HE CME USD         | 400        | 0.025      | GJKMNQVZ     | meats     | Lean hogs                  | cme
GF   | GF CME USD         | 500        | 0.025      | FHJKQUVX     | meats     | Feeder cattle              | cme
LBR  | LBR CME USD        | 27.5       | 0.5        | FHKNUX       | lumber    | Lumber                     | cme
CL   | CL NYMEX USD       | 1000       | 0.01       | FGHJKMNQUVXZ | globex    | Light sweet crude oil      | cme
MCL  | MCL NYMEX USD      | 100        | 0.01       | FGHJKMNQUVXZ | globex    | Micro crude oil            | cme
QM   | QM NYMEX USD       | 500        | 0.025      | FGHJKMNQUVXZ | globex    | E-mini crude oil           | cme
BZ   | BZ NYMEX USD       | 1000       | 0.01       | FGHJKMNQUVXZ | globex    | Brent last day financial   | cme
NG   | NG NYMEX USD       | 10000      | 0.001      | FGHJKMNQUVXZ | globex    | Henry Hub natural gas      | cme
QG   | QG NYMEX USD       | 2500       | 0.005      | FGHJKMNQUVXZ | globex    | E-mini natural gas         | cme
RB   | RB NYMEX USD       | 42000      | 0.0001     | FGHJKMNQUVXZ | globex    | RBOB gasoline              | cme
HO   | HO NYMEX USD       | 42000      | 0.0001     | FGHJKMNQUVXZ | globex    | NY Harbor ULSD             | cme
PL   | PL NYMEX USD       | 50         | 0.1        | FJNV         | globex    | Platinum                   | cme
PA   | PA NYMEX USD       | 100        | 0.5        | HMUZ         | globex    | Palladium                  | cme
GC   | GC COMEX USD       | 100        | 0.1        | GJMQVZ       | globex    | Gold                       | cme
MGC  | MGC COMEX USD      | 10         | 0.1        | GJMQVZ       | globex    | Micro gold                 | cme
QO   | QO COMEX USD       | 50         | 0.25       | GJMQVZ       | globex    | E-mini gold                | cme
SI   | SI COMEX USD       | 5000       | 0.005      | HKNUZ        | globex    | Silver                     | cme
SIL  | SI COMEX USD       | 1000       | 0.005      | HKNUZ        | globex    | Micro silver               | cme
QI   | QI COMEX USD       | 2500       | 0.0125     | HKNUZ        | globex    | E-mini silver              | cme
HG   | HG COMEX USD       | 25000      | 0.0005     | HKNUZ        | globex    | Copper                     | cme
MHG  | MHG COMEX USD      | 2500       | 0.0005     | HKNUZ        | globex    | Micro copper               | cme
QC   | QC COMEX USD       | 12500      | 0.002      | HKNUZ        | globex    | E-mini copper              | cme
ALI  | ALI COMEX USD      | 25         | 0.25       | FGHJKMNQUVXZ | globex    | Aluminum                   | cme
VX   | VIX CFE USD        | 1000       | 0.05       | FGHJKMNQUVXZ | globex    | Cboe VIX                   | cfe
VXM  | VXM CFE USD        | 100        | 0.05       | FGHJKMNQUVXZ | globex    | Mini Cboe VIX              | cfe
DX   | DX NYBOT USD       | 1000       | 0.005      | HMUZ         | dollar    | US dollar index            | ice
KC   | KC NYBOT USD       | 375        | 0.05       | HKNUZ        | coffee    | Coffee C                   | ice
SB   | SB NYBOT USD       | 1120       | 0.01       | HKNV         | sugar     | Sugar No. 11               | ice
CC   | CC NYBOT USD       | 10         | 1          | HKNUZ        | cocoa     | Cocoa                      | ice
CT   | CT NYBOT USD       | 500        | 0.01       | HKNVZ        | cotton    | Cotton No. 2               | ice
OJ   | OJ NYBOT USD       | 150        | 0.05       | FHKNUX       | juice     | Orange juice               | ice
BRN  | COIL IPE USD       | 1000       | 0.01       | FGHJKMNQUVXZ | brent     | Brent crude oil            | ice
Z    | Z ICEEU GBP        | 10         | 0.5        | HMUZ         | ftse      | FTSE 100                   | ice
R    | R ICEEU GBP        | 1000       | 0.01       | HMUZ         | gilt      | Long gilt                  | ice
FESX | ESTX50 EUREX EUR   | 10         | 1          | HMUZ         | eurex     | Euro STOXX 50              | eurex
FSXE | ESTX50 EUREX EUR   | 1          | 0.5        | HMUZ         | eurex     | Micro Euro STOXX 50        | eurex
FDAX | DAX EUREX EUR      | 25         | 1          | HMUZ         | eurex     | DAX                        | eurex
FDXM | DAX EUREX EUR      | 5          | 1          | HMUZ         | eurex     | Mini-DAX                   | eurex
FDXS | DAX EUREX EUR      | 1          | 1          | HMUZ         | eurex     | Micro-DAX                  | eurex
FGBL | GBL EUREX EUR      | 1000       | 0.01       | HMUZ         | eurex     | Euro-Bund                  | eurex
FGBM | GBM EUREX EUR      | 1000       | 0.01       | HMUZ         | eurex     | Euro-Bobl                  | eurex
FGBS | GBS EUREX EUR      | 1000       | 0.005      | HMUZ         | eurex     | Euro-Schatz                | eurex
FGBX | GBX EUREX EUR      | 1000       | 0.02       | HMUZ         | eurex     | Euro-Buxl                  | eurex
FBTP | BTP EUREX EUR      | 1000       | 0.01       | HMUZ         | eurex     | Long-term Euro-BTP         | eurex
FOAT | OAT EUREX EUR      | 1000       | 0.01       | HMUZ         | eurex     | Euro-OAT                   | eurex
FSMI | SMI EUREX CHF      | 10         | 1          | HMUZ         | swiss     | SMI                        | eurex
FVS  | V2TX EUREX EUR     | 100        | 0.05       | FGHJKMNQUVXZ | eurex     | VSTOXX                     | eurex
FCE  | CAC40 MONEP EUR    | 10         | 0.5        | FGHJKMNQUVXZ | paris     | CAC 40                     | euronext
HSI  | HSI HKFE HKD       | 50         | 1          | FGHJKMNQUVXZ | hong kong | Hang Seng                  | hkex
MHI  | MHI HKFE HKD       | 10         | 1          | FGHJKMNQUVXZ | hong kong | Mini Hang Seng             | hkex
AP   | SPI SNFE AUD       | 25         | 1          | HMUZ         | sydney    | SPI 200                    | asx
"""


def _read() -> dict[str, FutureRoot]:
    found = {}
    for line in _TABLE.strip().splitlines():
        root, contract, multiplier, tick, months, hours, name, source = (cell.strip() for cell in line.split("|"))
        symbol, exchange, currency = contract.split()
        found[root] = FutureRoot(
            root=root,
            symbol=symbol,
            trading_class=root,
            exchange=exchange,
            currency=currency,
            multiplier=float(multiplier),
            price_magnifier=100 if root in _IN_CENTS else 1,
            tick_size=float(tick),
            months=months,
            hours=hours,
            name=name,
            source=source,
        )
    return found


ROOTS: dict[str, FutureRoot] = _read()


_CALLED: dict[str, tuple[FutureRoot, ...]] = {}
for _each in ROOTS.values():
    for _name in {_each.root, _each.symbol}:
        _CALLED[_name] = (*_CALLED.get(_name, ()), _each)


def roots_called(name: str) -> tuple[FutureRoot, ...]:
    """Return the roots that a name can mean: an exchange's code, or IB's symbol, which several roots can share."""
    return _CALLED.get(name, ())


def terms_apart(name: str, given: Mapping[str, str | float]) -> tuple[str, str]:
    """Return the terms of the roots called `name`, and the given terms that differ, in words; empty without a root."""
    roots = roots_called(name)
    if not roots:
        return "", ""
    exchange, currency, multiplier = (
        " or ".join(dict.fromkeys(_term(getattr(root, term)) for root in roots))
        for term in ("exchange", "currency", "multiplier")
    )
    wrong = {term: value for term, value in given.items() if all(getattr(root, term) != value for root in roots)}
    differing = " and ".join(f"{term} {_term(value)}" for term, value in (wrong or given).items())
    return f"at {exchange} in {currency} with multiplier {multiplier}", differing


def _term(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.10g}"
