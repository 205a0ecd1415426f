"""Shares and exchange-traded funds: the shipped ones, and a US share for any other symbol."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ibdesk.gateway.contracts.contract import ContractData, made_up_id
from ibdesk.model import Stock

# Symbol, IB's contract id (0 if not known for certain: then one is made up), primary exchange, industry, type, name.
_SHARES = """
AAPL 265598 NASDAQ Technology COMMON APPLE INC
ADBE 265768 NASDAQ Technology COMMON ADOBE INC
AMD 4391 NASDAQ Technology COMMON ADVANCED MICRO DEVICES
AMZN 3691937 NASDAQ Communications COMMON AMAZON.COM INC
BA 0 NYSE Industrial COMMON BOEING CO/THE
BAC 10098 NYSE Financial COMMON BANK OF AMERICA CORP
CAT 0 NYSE Industrial COMMON CATERPILLAR INC
CSCO 268084 NASDAQ Communications COMMON CISCO SYSTEMS INC
CVX 0 NYSE Energy COMMON CHEVRON CORP
DIS 6459 NYSE Communications COMMON WALT DISNEY CO/THE
F 0 NYSE Consumer COMMON FORD MOTOR CO
GE 0 NYSE Industrial COMMON GENERAL ELECTRIC
GOOG 208813720 NASDAQ Communications COMMON ALPHABET INC-CL C
GOOGL 208813719 NASDAQ Communications COMMON ALPHABET INC-CL A
GS 0 NYSE Financial COMMON GOLDMAN SACHS GROUP INC
IBM 8314 NYSE Technology COMMON INTL BUSINESS MACHINES CORP
INTC 270639 NASDAQ Technology COMMON INTEL CORP
JNJ 0 NYSE Consumer COMMON JOHNSON & JOHNSON
JPM 1520593 NYSE Financial COMMON JPMORGAN CHASE & CO
KO 8894 NYSE Consumer COMMON COCA-COLA CO/THE
META 107113386 NASDAQ Communications COMMON META PLATFORMS INC-CLASS A
MSFT 272093 NASDAQ Technology COMMON MICROSOFT CORP
NFLX 15124833 NASDAQ Communications COMMON NETFLIX INC
NVDA 4815747 NASDAQ Technology COMMON NVIDIA CORP
ORCL 272800 NYSE Technology COMMON ORACLE CORP
PFE 0 NYSE Consumer COMMON PFIZER INC
PG 0 NYSE Consumer COMMON PROCTER & GAMBLE CO/THE
QCOM 273544 NASDAQ Technology COMMON QUALCOMM INC
SAP 0 NYSE Technology ADR SAP SE-SPONSORED ADR
TSLA 76792991 NASDAQ Consumer COMMON TESLA INC
V 0 NYSE Financial COMMON VISA INC-CLASS A SHARES
WMT 13824 NASDAQ Consumer COMMON WALMART INC
XOM 13977 NYSE Energy COMMON EXXON MOBIL CORP
DIA 0 ARCA Funds ETF SPDR DJIA TRUST
EEM 0 ARCA Funds ETF ISHARES MSCI EMERGING MARKET
GLD 51529211 ARCA Funds ETF SPDR GOLD SHARES
IWM 9579970 ARCA Funds ETF ISHARES RUSSELL 2000 ETF
QQQ 320227571 NASDAQ Funds ETF INVESCO QQQ TRUST SERIES 1
SPY 756733 ARCA Funds ETF SS SPDR S&P 500 ETF TRUST-US
TLT 15547841 NASDAQ Funds ETF ISHARES 20+ YEAR TREASURY BD
XLF 0 ARCA Funds ETF FINANCIAL SELECT SECTOR SPDR
"""
_ISINS = {
    "AAPL": "US0378331005",
    "AMZN": "US0231351067",
    "GOOG": "US02079K1079",
    "GOOGL": "US02079K3059",
    "IBM": "US4592001014",
    "JPM": "US46625H1005",
    "KO": "US1912161007",
    "META": "US30303M1027",
    "MSFT": "US5949181045",
    "NVDA": "US67066G1040",
    "SPY": "US78462F1030",
    "TSLA": "US88160R1014",
}
# By SEC Rule 612 a share's tick is 0.0001 below a dollar. `minTick` is a cent nevertheless (captured for AAPL), so that
# a client without market rules stays on the grid. TWS lists shares in steps of 0.0001 (captured).
_RULE, _SIZE_INCREMENT = 557, 0.0001
US_VENUES = ("SMART", "NASDAQ", "ISLAND", "NYSE", "ARCA", "AMEX", "BATS", "IEX")
# The format of US share symbols: up to five letters, and the letter of a share class or IB's mark of a preferred, a
# warrant, a unit or a right.
_PLAUSIBLE = re.compile(r"[A-Z]{1,5}( ([A-Z]|PR[A-Z]?|WS|RT))?")


def is_plausible(symbol: str) -> bool:
    """Return whether a US share could have this symbol."""
    return _PLAUSIBLE.fullmatch(symbol) is not None


def shipped_stocks() -> Iterator[ContractData]:
    """Yield the shipped shares and funds."""
    for line in _SHARES.strip().splitlines():
        symbol, con_id, exchange, industry, kind, name = line.split(maxsplit=5)
        yield us_share(
            symbol,
            name,
            con_id=int(con_id),
            primary_exchange=exchange,
            industry=industry,
            stock_type=kind,
            has_options=True,
        )
    yield _sap_in_frankfurt()


def us_share(
    symbol: str,
    long_name: str,
    *,
    con_id: int = 0,
    primary_exchange: str = "NASDAQ",
    industry: str = "",
    stock_type: str = "COMMON",
    has_options: bool = False,
) -> ContractData:
    """Return the contract of a US share, routed by SMART; `con_id` 0 gets a made-up one."""
    return ContractData(
        instrument=Stock(symbol),
        con_id=con_id or made_up_id(symbol),
        sec_type="STK",
        symbol=symbol,
        local_symbol=symbol,
        trading_class="NMS" if primary_exchange == "NASDAQ" else symbol,
        exchange="SMART",
        primary_exchange=primary_exchange,
        long_name=long_name,
        valid_exchanges=",".join(dict.fromkeys(("SMART", primary_exchange, *US_VENUES[1:]))),
        industry=industry,
        stock_type=stock_type,
        market_rule=_RULE,
        size_increment=_SIZE_INCREMENT,
        isin=_ISINS.get(symbol, ""),
        has_options=has_options,
    )


def _sap_in_frankfurt() -> ContractData:
    """Return a second listing of SAP, which makes the symbol alone ambiguous.

    Its instrument is ``SAP@IBIS``; a market source that plays this name plays it.
    """
    return ContractData(
        instrument=Stock("SAP", exchange="IBIS", currency="EUR", tick_size=0.02),
        con_id=made_up_id("SAP@IBIS"),
        sec_type="STK",
        symbol="SAP",
        local_symbol="SAP",
        trading_class="XETRA",
        exchange="SMART",
        primary_exchange="IBIS",
        long_name="SAP SE",
        trades_as="xetra",
        valid_exchanges="SMART,IBIS",
        industry="Technology",
        stock_type="COMMON",
        market_rule=2022,
    )
