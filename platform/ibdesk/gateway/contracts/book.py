"""The contracts the gateway knows: some well-known ones shipped, and one for every symbol of the market behind it."""

from __future__ import annotations

import datetime as dt
import zlib
from collections.abc import Iterable, Iterator
from zoneinfo import ZoneInfo

import msgspec

from ibdesk.errors import InstrumentError
from ibdesk.gateway.protocol.codec import Fields
from ibdesk.model import AnyInstrument, Forex, Future, Index, Session, Stock, instrument_of

STOCK_ORDER_TYPES = (
    "ACTIVETIM,AD,ADJUST,ALERT,ALLOC,AVGCOST,BASKET,COND,CONDORDER,DAY,GTC,IOC,LMT,MKT,STP,STPLMT,WHATIF"
)
FIRST_MADE_UP_ID = 900_000_000


class ContractData(msgspec.Struct, frozen=True, kw_only=True):
    """What TWS tells of one contract, beside the `instrument` it is to the rest of ibdesk."""

    instrument: AnyInstrument
    con_id: int
    sec_type: str
    symbol: str
    local_symbol: str
    trading_class: str
    exchange: str
    primary_exchange: str
    long_name: str
    expiry: str = ""
    multiplier: str = ""
    valid_exchanges: str = "SMART"
    industry: str = ""
    stock_type: str = ""
    market_rule: int = 26
    size_increment: float = 1.0
    under_con_id: int = 0

    @property
    def id(self) -> str:
        """Return the instrument's name, the key of market data and positions."""
        return self.instrument.id

    @property
    def has_trades(self) -> bool:
        """Return whether the market prints trades; currencies only have quotes."""
        return self.sec_type != "CASH"

    def wire(self, *, exchange: str | None = None) -> dict[str, str | int]:
        """Return the contract's fields as most messages carry them."""
        return {
            "conId": self.con_id,
            "symbol": self.symbol,
            "secType": self.sec_type,
            "lastTradeDateOrContractMonth": self.expiry,
            "right": "",
            "multiplier": self.multiplier,
            "exchange": self.exchange if exchange is None else exchange,
            "primaryExchange": self.primary_exchange,
            "currency": self.instrument.currency,
            "localSymbol": self.local_symbol,
            "tradingClass": self.trading_class,
        }

    def at_venue(self) -> str:
        """Return symbol and venue as TWS names them in its texts, e.g. ``AAPL@SMART``."""
        return f"{self.symbol}@{self.exchange}"


# Contract ids, venues and names as IB lists them; shares: symbol, id, primary exchange, name, industry, type.
_STOCKS = """
AAPL 265598 NASDAQ Technology COMMON APPLE INC
AMD 4391 NASDAQ Technology COMMON ADVANCED MICRO DEVICES
AMZN 3691937 NASDAQ Communications COMMON AMAZON.COM INC
BAC 10098 NYSE Financial COMMON BANK OF AMERICA CORP
DIS 6459 NYSE Communications COMMON WALT DISNEY CO/THE
GOOG 208813720 NASDAQ Communications COMMON ALPHABET INC-CL C
GOOGL 208813719 NASDAQ Communications COMMON ALPHABET INC-CL A
IBM 8314 NYSE Technology COMMON INTL BUSINESS MACHINES CORP
INTC 270639 NASDAQ Technology COMMON INTEL CORP
IWM 9579970 ARCA Funds ETF ISHARES RUSSELL 2000 ETF
JPM 1520593 NYSE Financial COMMON JPMORGAN CHASE & CO
KO 8894 NYSE Consumer COMMON COCA-COLA CO/THE
META 107113386 NASDAQ Communications COMMON META PLATFORMS INC-CLASS A
MSFT 272093 NASDAQ Technology COMMON MICROSOFT CORP
NFLX 15124833 NASDAQ Communications COMMON NETFLIX INC
NVDA 4815747 NASDAQ Technology COMMON NVIDIA CORP
QQQ 320227571 NASDAQ Funds ETF INVESCO QQQ TRUST SERIES 1
SPY 756733 ARCA Funds ETF SS SPDR S&P 500 ETF TRUST-US
TSLA 76792991 NASDAQ Consumer COMMON TESLA INC
WMT 13824 NASDAQ Consumer COMMON WALMART INC
XOM 13977 NYSE Energy COMMON EXXON MOBIL CORP
"""
_CURRENCIES = {"EUR.USD": (12087792, "European Monetary Union Euro"), "GBP.USD": (12087797, "British pound")}
# Futures: multiplier, tick, name, id of the index below; expiries are the next four quarters.
_FUTURES = {"ES": (50, 0.25, "E-mini S&P 500"), "MES": (5, 0.25, "Micro E-Mini S&P 500 Stock Price Index")}
_FUTURE_IDS = {("ES", "20261218"): 515416632}
_INDEX_UNDER_FUTURES = 11004968
_QUARTER_CODES = {3: "H", 6: "M", 9: "U", 12: "Z"}


def made_up_id(name: str) -> int:
    """Return a contract id for a contract that is not shipped: always the same for one name."""
    return FIRST_MADE_UP_ID + zlib.crc32(name.encode()) % 90_000_000


def stock(
    symbol: str,
    con_id: int,
    primary_exchange: str,
    long_name: str,
    industry: str = "",
    stock_type: str = "COMMON",
) -> ContractData:
    """Return the contract of a US share, routed by SMART."""
    return ContractData(
        instrument=Stock(symbol),
        con_id=con_id,
        sec_type="STK",
        symbol=symbol,
        local_symbol=symbol,
        trading_class="NMS" if primary_exchange == "NASDAQ" else symbol,
        exchange="SMART",
        primary_exchange=primary_exchange,
        long_name=long_name,
        valid_exchanges=f"SMART,{primary_exchange},IEX",
        industry=industry,
        stock_type=stock_type,
    )


def forex(pair: Forex, con_id: int, long_name: str) -> ContractData:
    """Return the contract of a currency pair at IDEALPRO."""
    return ContractData(
        instrument=pair,
        con_id=con_id,
        sec_type="CASH",
        symbol=pair.symbol,
        local_symbol=pair.id,
        trading_class=pair.id,
        exchange="IDEALPRO",
        primary_exchange="",
        long_name=long_name,
        valid_exchanges="IDEALPRO",
        market_rule=239,
        size_increment=0.01,
    )


def future(symbol: str, expiry: dt.date) -> ContractData:
    """Return the contract of a CME index future that expires on `expiry`."""
    multiplier, tick, name = _FUTURES[symbol]
    day, code = expiry.strftime("%Y%m%d"), f"{_QUARTER_CODES[expiry.month]}{expiry.year % 10}"
    return ContractData(
        instrument=Future(symbol, tick_size=tick, multiplier=float(multiplier), expiry=day[:6]),
        con_id=_FUTURE_IDS.get((symbol, day), made_up_id(f"{symbol}{day}")),
        sec_type="FUT",
        symbol=symbol,
        local_symbol=f"{symbol}{code}",
        trading_class=symbol,
        exchange="CME",
        primary_exchange="",
        long_name=name,
        expiry=day,
        multiplier=str(multiplier),
        valid_exchanges="CME,QBALGO",
        market_rule=67,
        under_con_id=_INDEX_UNDER_FUTURES,
    )


def quarterly_expiries(today: dt.date, count: int = 4) -> Iterator[dt.date]:
    """Yield the next third Fridays of March, June, September and December, today's included."""
    year, month = today.year, 3 * ((today.month - 1) // 3 + 1)
    while count:
        first = dt.date(year, month, 1)
        third_friday = first + dt.timedelta(days=(4 - first.weekday()) % 7 + 14)
        if third_friday >= today:
            count -= 1
            yield third_friday
        year, month = (year + 1, 3) if month == 12 else (year, month + 3)


def shipped(today: dt.date) -> Iterator[ContractData]:
    """Yield the contracts that the gateway knows without being told."""
    for line in _STOCKS.strip().splitlines():
        symbol, con_id, exchange, industry, kind, name = line.split(maxsplit=5)
        yield stock(symbol, int(con_id), exchange, name, industry, kind)
    for pair, (pair_id, name) in _CURRENCIES.items():
        yield forex(Forex(pair[:3], currency=pair[4:]), pair_id, name)
    for symbol in _FUTURES:
        for expiry in quarterly_expiries(today):
            yield future(symbol, expiry)
    yield ContractData(
        instrument=Index("SPX"),
        con_id=416904,
        sec_type="IND",
        symbol="SPX",
        local_symbol="SPX",
        trading_class="SPX",
        exchange="CBOE",
        primary_exchange="",
        long_name="S&P 500 Stock Index",
        valid_exchanges="CBOE",
    )


def _listed_by_rule(name: str) -> ContractData:
    """Return the contract for a symbol that only the market source knows: a US share or a currency pair."""
    try:
        instrument = instrument_of(name)
    except InstrumentError:
        instrument = Stock(name)
    if isinstance(instrument, Forex):
        return forex(instrument, made_up_id(name), f"{instrument.symbol} in {instrument.currency}")
    return stock(name, made_up_id(name), "NASDAQ", f"{name} INC")


class ContractBook:
    """All contracts of one gateway, found by id, by instrument or by a client's description.

    `market` are the instrument names the market source plays; with `strict` those that are not shipped stay unknown.
    """

    def __init__(self, today: dt.date, market: Iterable[str] = (), *, strict: bool = False) -> None:
        self._by_name = {contract.id: contract for contract in shipped(today)}
        if not strict:
            for name in market:
                self._by_name.setdefault(name, _listed_by_rule(name))
        self._by_id = {contract.con_id: contract for contract in self._by_name.values()}

    def __iter__(self) -> Iterator[ContractData]:
        return iter(self._by_name.values())

    def named(self, instrument: str) -> ContractData | None:
        """Return the contract of an instrument, or nothing."""
        return self._by_name.get(instrument)

    def find(self, query: Fields) -> list[ContractData]:
        """Return every contract that a request's contract fields describe; empty fields describe all."""
        con_id = query.whole("conId")
        if con_id:
            known = self._by_id.get(con_id)
            return [known] if known is not None and _on(known, query.text("exchange")) else []
        if not (query.text("symbol") or query.text("localSymbol")):
            return []
        return [contract for contract in self._by_id.values() if _answers(contract, query)]


def _on(contract: ContractData, exchange: str) -> bool:
    return exchange in ("", *contract.valid_exchanges.split(","))


def _answers(contract: ContractData, query: Fields) -> bool:
    wanted = (
        (query.text("symbol"), contract.symbol),
        (query.text("secType"), contract.sec_type),
        (query.text("currency"), contract.instrument.currency),
        (query.text("localSymbol"), contract.local_symbol),
        (query.text("tradingClass"), contract.trading_class),
    )
    return (
        all(text in ("", own) for text, own in wanted)
        and contract.expiry.startswith(query.text("lastTradeDateOrContractMonth"))
        and query.text("primaryExchange") in ("", contract.primary_exchange, contract.exchange)
        and _on(contract, query.text("exchange"))
    )


# ---- trading hours ------------------------------------------------------------------------------------------------

# TWS names zones by their old names.
ZONE_NAMES = {"America/New_York": "US/Eastern", "America/Chicago": "US/Central"}


def trading_hours(session: Session, now_ns: int, days: int = 6) -> str:
    """Return the sessions of the coming days as TWS writes them: ``20260406:0930-20260406:1600;...:CLOSED``."""
    today = dt.datetime.fromtimestamp(now_ns // 1_000_000_000, ZoneInfo(session.zone)).date()
    return ";".join(_hours(session, today + dt.timedelta(days=ahead)) for ahead in range(days))


def _hours(session: Session, day: dt.date) -> str:
    if day.weekday() not in session.weekdays:
        return f"{day:%Y%m%d}:CLOSED"
    opens = day if session.opens < session.closes else day - dt.timedelta(days=1)
    return f"{opens:%Y%m%d}:{_clock(session.opens)}-{day:%Y%m%d}:{_clock(session.closes)}"


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}{minutes % 60:02d}"
