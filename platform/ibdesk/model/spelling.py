"""Readers that split instrument names, as people, vendors and IB write them, into parts.

Each reader returns None for a text of another kind, and raises InstrumentError, with the question to answer, for an
ambiguous one. `ibdesk.model.names` calls the readers in order.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ibdesk.errors import InstrumentError
from ibdesk.model.currencies import CURRENCIES, METALS, refuse_metals
from ibdesk.model.future_roots import MONTH_CODES, roots_called
from ibdesk.model.listings import BY_SUFFIX

# Trading classes whose name differs from the underlying's symbol (Cboe, Nasdaq).
OPTION_CLASSES = {"SPXW": "SPX", "NDXP": "NDX", "RUTW": "RUT", "VIXW": "VIX"}
# Exchange and currency of the usual indices by IB's symbol; others default to CBOE.
INDICES = {
    "SPX": ("CBOE", "USD"),
    "VIX": ("CBOE", "USD"),
    "NDX": ("NASDAQ", "USD"),
    "RUT": ("RUSSELL", "USD"),
    "DAX": ("EUREX", "EUR"),
    "ESTX50": ("EUREX", "EUR"),
}
# Yahoo's names of the usual indices.
_YAHOO_INDICES = {"GSPC": "SPX", "GDAXI": "DAX", "STOXX50E": "ESTX50"}
# Indices that people write by their bare symbol, by IB's symbol. No share or fund in the United States is listed by
# these names (November 2026); DAX and COMP are left out, because a fund and a share have these symbols.
_BARE_INDICES = _YAHOO_INDICES | {
    name: name
    for name in ("SPX", "XSP", "OEX", "XEO", "NDX", "VIX", "VVIX", "VXN", "RUT", "MRUT", "RVX", "DJX", "ESTX50")
}

_PAIR = re.compile(r"([A-Z]{3})([./\- ]?)([A-Z]{3})(=X)?")
_DOLLAR_PAIR = re.compile(r"([A-Z]{3})=X")
_OCC = re.compile(r"(?:O:)?([A-Z]{1,5}[A-Z0-9]?) ?(\d\d)(\d\d)(\d\d)([CP])(\d{8})")
_OPTION = re.compile(r"([A-Z0-9.]+)[- ](\d{8})[- ]([CP])[- ](\d+(?:\.\d+)?|\.\d+)")
_FUTURE = re.compile(r"([A-Z0-9]+)[- ](\d{6}|\d{8})")
_LOCAL = re.compile(rf"([A-Z0-9]+?)([{MONTH_CODES}])(\d|\d\d|\d{{4}})")
_CONTINUOUS = re.compile(r"([A-Z0-9]+)=F")
_INDEX = re.compile(r"\^([A-Z0-9]+)|([A-Z0-9]+)-IND")
_LISTED = re.compile(r"([A-Z0-9][A-Z0-9.&\-]*)\.([A-Z]{1,2})")
_SHARE = re.compile(r"([A-Z0-9]+)(?:[ .\-/^]([A-Z0-9 .\-]+))?")
# The second part of a US share's name: its class, or a preferred, a warrant, a unit or a right, as the
# Consolidated Tape, Nasdaq, NYSE and Yahoo write it, and as IB does: `BAC PRL`.
_PREFERRED = re.compile(r"PR?[ .\-]?([A-Z])|PR")
_KINDS = {"WS": "WS", "WT": "WS", "W": "WS", "WSA": "WS A", "WSB": "WS B", "U": "U", "UN": "U", "RT": "RT", "RI": "RT"}
# Reuters' letter after the point for a US exchange.
_REUTERS = {"N": "NYSE", "O": "NASDAQ", "P": "ARCA", "Q": "NASDAQ"}


class FutureText(NamedTuple):
    """A future as it is written: its name and its expiry."""

    name: str
    expiry: str


class OptionText(NamedTuple):
    """An option as it is written."""

    root: str
    expiry: str
    right: str
    strike: float


def read_pair(text: str) -> tuple[str, str] | None:
    """Return base and quote of a currency pair: ``EUR.USD EURUSD EUR/USD EUR-USD EURUSD=X JPY=X``."""
    against_dollar = _DOLLAR_PAIR.fullmatch(text)
    if against_dollar:
        refuse_metals(text, against_dollar[1])
    if against_dollar and against_dollar[1] in CURRENCIES:
        return ("USD", against_dollar[1])
    found = _PAIR.fullmatch(text)
    if found is None or found[1] == found[3]:
        return None
    if not {found[1], found[3]} <= CURRENCIES | METALS.keys():
        return None
    refuse_metals(text, found[1], found[3])
    return found[1], found[3]


def read_option(text: str) -> OptionText | None:
    """Return the parts of an option: ``AAPL-20261218-C-250``, or the OCC's ``AAPL  261218C00250000``."""
    if found := _OPTION.fullmatch(text):
        return OptionText(found[1], found[2], found[3], float(found[4]))
    found = _OCC.fullmatch(text)
    if found is None:
        return None
    root = found[1]
    if root[-1].isdigit():
        raise InstrumentError(
            f"{text}: {root} is an adjusted class, whose contracts deliver something else than 100 shares: "
            f"pass an Option with its symbol, multiplier and trading_class"
        )
    return OptionText(root, f"20{found[2]}{found[3]}{found[4]}", found[5], int(found[6]) / 1000)


def read_future(text: str, near_year: int | None) -> FutureText | None:
    """Return name and expiry of a future: ``ES-202403``, ``ESH24``, ``ESH2024``, or ``ESH4`` nearest to a year."""
    if found := _FUTURE.fullmatch(text):
        return FutureText(found[1], found[2])
    if (found := _CONTINUOUS.fullmatch(text)) and roots_called(found[1]):
        raise InstrumentError(
            f"{text} is a series of contracts put together: name one of them, as {found[1]}-{near_year or 2025}03"
        )
    found = _LOCAL.fullmatch(text)
    if found is None or not roots_called(found[1]):
        return None
    month = MONTH_CODES.index(found[2]) + 1
    root, digits = found[1], found[3]
    if len(digits) > 1:
        return FutureText(root, f"{int(digits) if len(digits) == 4 else 2000 + int(digits)}{month:02d}")
    if near_year is None:
        choice = " or ".join(f"{root}-{decade}{digits}{month:02d}" for decade in (201, 202, 203))
        raise InstrumentError(f"{text} can be {choice}: write one of them, or give near_year")
    first = near_year - 4
    return FutureText(root, f"{first + (int(digits) - first) % 10}{month:02d}")


def read_index(text: str) -> str | None:
    """Return IB's symbol of an index: ``SPX-IND``, ``^GSPC``. A bare ``SPX`` raises."""
    if text in _BARE_INDICES:
        raise InstrumentError(
            f"{text} is an index: write {_BARE_INDICES[text]}-IND, or {text}@SMART if you mean a share"
        )
    found = _INDEX.fullmatch(text)
    if found is None:
        return None
    if found[2]:
        return found[2]
    symbol = _YAHOO_INDICES.get(found[1], found[1])
    if symbol not in INDICES:
        raise InstrumentError(
            f"{text}: this index is not known here: write IB's symbol and exchange, as {found[1]}-IND@CBOE"
        )
    return symbol


def read_listed(text: str) -> tuple[str, str] | None:
    """Return IB's symbol of a share outside the United States and the suffix of its exchange: ``SAP.DE``."""
    found = _LISTED.fullmatch(text)
    if found is None or found[2] not in BY_SUFFIX:
        return None
    symbol, suffix = found[1], found[2]
    if suffix == "V" or (suffix == "T" and not symbol[0].isdigit()):
        exchange = BY_SUFFIX[suffix].exchange
        raise InstrumentError(
            f"{text} can be the US share class {symbol}-{suffix} or a listing at {exchange}: "
            f"write {symbol}-{suffix} or {symbol}@{exchange}"
        )
    # IB writes a class with a point (BT.A, RCI.B), Hong Kong's codes without leading zeros, and London's two-letter
    # codes with the point that the exchange gives them (BP.).
    symbol = symbol.replace("-", ".")
    if suffix == "HK":
        symbol = symbol.lstrip("0") or "0"
    if suffix == "L" and len(symbol) == 2:
        symbol += "."
    return symbol, suffix


def read_share(text: str) -> str | None:
    """Return IB's symbol of a US share: ``BRK.B BRK-B BRK/B`` are ``BRK B``, ``BAC-PL`` is ``BAC PRL``.

    The suffix ``.US``, as in ``GOOG.US``, names the country of the listing (Stooq, EOD Historical Data).
    """
    text = text.removesuffix(".US")
    found = _SHARE.fullmatch(text)
    if found is None:
        return None
    base, rest = found[1], found[2]
    if rest is None:
        return base
    if text[len(base)] == "^":
        return f"{base} PR{rest}" if len(rest) == 1 and rest.isalpha() else None
    if text[len(base)] == "." and rest in _REUTERS:
        raise InstrumentError(
            f"{text} can be the share class {base}-{rest} or Reuters' name of {base} at {_REUTERS[rest]}: "
            f"write {base}-{rest} or {base}"
        )
    if len(rest) == 1 and rest.isalpha() and rest not in _KINDS:
        return f"{base} {rest}"
    if rest in _KINDS:
        return f"{base} {_KINDS[rest]}"
    if preferred := _PREFERRED.fullmatch(rest):
        return f"{base} PR{preferred[1] or ''}"
    return None


def reads_as_share(text: str, symbol: str) -> bool:
    """Return whether a name without an exchange is read as the US share `symbol` and nothing else."""
    try:
        return (
            read_pair(text) is None
            and read_option(text) is None
            and read_future(text, None) is None
            and read_index(text) is None
            and read_listed(text) is None
            and read_share(text) == symbol
        )
    except InstrumentError:
        return False


def refuse_whole_name(symbol: str) -> None:
    """Refuse a symbol that is the name of a whole pair, future or option.

    Raises:
        InstrumentError: If it is one; the message names the function that reads it.
    """
    if pair := read_pair(symbol):
        raise InstrumentError(f"{symbol} is a whole pair: write instrument_of('{pair[0]}.{pair[1]}')")
    # The year does not matter: only the form is checked.
    if read_future(symbol, 2025) or read_option(symbol):
        raise InstrumentError(
            f"{symbol} is a whole name and not a symbol: write instrument_of({symbol!r}), or give expiry= and the rest "
            f"apart"
        )
