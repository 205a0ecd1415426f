"""Futures of CME Group: what is shipped, and when each contract expires."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import msgspec

from ibdesk.data.calendars.sessions import session_of
from ibdesk.gateway.contracts.contract import ContractData, made_up_id
from ibdesk.model import Future

_MONTH_CODES = "FGHJKMNQUVXZ"
_QUARTERS, _EVEN_MONTHS, _ALL_MONTHS = (3, 6, 9, 12), (2, 4, 6, 8, 10, 12), tuple(range(1, 13))
# The calendars whose days are business days, by their names in exchange_calendars.
_SHARES, _FUTURES = "XNYS", "CMES"
# _EXPIRED: how many past contracts stay known, for requests that include expired ones.
_EXPIRED = 2
_FUTURE_IDS = {("ES", "202612"): 515416632}
_INDEX_UNDER_ES = 11004968


class FutureTerms(msgspec.Struct, frozen=True):
    """The terms of one kind of future; `expires` names the rule for its last trading day, `count` how many trade."""

    name: str
    exchange: str
    multiplier: int
    tick: float
    months: tuple[int, ...]
    expires: str
    last_time: str
    market_rule: int
    count: int = 4
    under: str = "IND"


# Terms as CME Group publishes them. The last trading time of ES is captured, those of the others believed.
TERMS = {
    "ES": FutureTerms("E-mini S&P 500", "CME", 50, 0.25, _QUARTERS, "third friday", "08:30:00", 67),
    "MES": FutureTerms(
        "Micro E-Mini S&P 500 Stock Price Index", "CME", 5, 0.25, _QUARTERS, "third friday", "08:30:00", 67
    ),
    "NQ": FutureTerms("E-mini NASDAQ 100", "CME", 20, 0.25, _QUARTERS, "third friday", "08:30:00", 67),
    "MNQ": FutureTerms("Micro E-Mini Nasdaq-100 Index", "CME", 2, 0.25, _QUARTERS, "third friday", "08:30:00", 67),
    "YM": FutureTerms("Mini Dow Jones Industrial Average", "CBOT", 5, 1.0, _QUARTERS, "third friday", "08:30:00", 68),
    "CL": FutureTerms("Light Sweet Crude Oil", "NYMEX", 1000, 0.01, _ALL_MONTHS, "energy", "13:30:00", 32, 8, "CMDTY"),
    "GC": FutureTerms("Gold", "COMEX", 100, 0.1, _EVEN_MONTHS, "metal", "12:30:00", 69, 6, "CMDTY"),
    "ZN": FutureTerms("10 Year US Treasury Note", "CBOT", 1000, 1 / 64, _QUARTERS, "note", "12:01:00", 70, 3, "BOND"),
}


def shipped_futures(today: dt.date) -> Iterator[ContractData]:
    """Yield the contracts that trade on this day, and the last that have expired."""
    for symbol, terms in TERMS.items():
        past: list[ContractData] = []
        coming = 0
        for year, month in _months_from(today.year - 1, terms.months):
            expiry = last_trading_day(terms.expires, year, month)
            contract = future(symbol, year, month, is_expired=expiry < today)
            if contract.is_expired:
                past.append(contract)
                continue
            yield contract
            coming += 1
            if coming == terms.count:
                break
        yield from past[-_EXPIRED:]


def future(symbol: str, year: int, month: int, *, is_expired: bool = False) -> ContractData:
    """Return the contract of this kind and contract month."""
    terms, called = TERMS[symbol], f"{year}{month:02d}"
    return ContractData(
        instrument=Future(
            symbol,
            exchange=terms.exchange,
            tick_size=terms.tick,
            multiplier=float(terms.multiplier),
            expiry=called,
        ),
        con_id=_FUTURE_IDS.get((symbol, called)) or made_up_id(f"{symbol}-{called}"),
        sec_type="FUT",
        symbol=symbol,
        local_symbol=f"{symbol}{_MONTH_CODES[month - 1]}{year % 10}",
        trading_class=symbol,
        exchange=terms.exchange,
        primary_exchange="",
        long_name=terms.name,
        trades_as="future",
        expiry=f"{last_trading_day(terms.expires, year, month):%Y%m%d}",
        contract_month=called,
        last_trade_time=terms.last_time,
        multiplier=str(terms.multiplier),
        valid_exchanges=f"{terms.exchange},QBALGO",
        market_rule=terms.market_rule,
        under_con_id=_INDEX_UNDER_ES if symbol == "ES" else made_up_id(f"{symbol} underlying"),
        under_symbol=symbol,
        under_sec_type=terms.under,
        is_expired=is_expired,
    )


def last_trading_day(rule: str, year: int, month: int) -> dt.date:
    """Return the last trading day of a contract month.

    The rules are those of CME Group: ``third friday`` of the month, or the day before when New York's exchange is
    closed on it (captured: MESM6 ends on 2026-06-18); ``energy``, three business days before the 25th of the month
    before, or before the business day before it; ``metal``, the third last business day of the month; ``note``, seven
    business days before the last one.
    """
    if rule == "third friday":
        return _business_day_on_or_before(third_friday(year, month), _SHARES)
    if rule == "energy":
        before = dt.date(year, month, 1) - dt.timedelta(days=1)
        return _business_days_back(_business_day_on_or_before(before.replace(day=25), _FUTURES), 3)
    last = _business_day_on_or_before(_first_of_next(year, month) - dt.timedelta(days=1), _FUTURES)
    return _business_days_back(last, 2 if rule == "metal" else 7)


def third_friday(year: int, month: int) -> dt.date:
    """Return the third Friday of a month."""
    first = dt.date(year, month, 1)
    return first + dt.timedelta(days=(4 - first.weekday()) % 7 + 14)


def _months_from(year: int, months: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    return ((later, month) for later in range(year, year + 5) for month in months)


def _first_of_next(year: int, month: int) -> dt.date:
    return dt.date(year + month // 12, month % 12 + 1, 1)


def _business_day_on_or_before(day: dt.date, calendar: str) -> dt.date:
    while session_of(calendar, day) is None:
        day -= dt.timedelta(days=1)
    return day


def _business_days_back(day: dt.date, count: int) -> dt.date:
    for _ in range(count):
        day = _business_day_on_or_before(day - dt.timedelta(days=1), _FUTURES)
    return day
