"""Futures: the listed roots, and the expiry of each contract."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import msgspec

from ibdesk.data.calendars.sessions import session_of
from ibdesk.gateway.contracts.contract import ContractData, made_up_id
from ibdesk.gateway.contracts.rules import rule_of
from ibdesk.model import Future
from ibdesk.model.future_roots import MONTH_CODES, ROOTS, FutureRoot

# The calendars whose days are business days, by their names in exchange_calendars.
_SHARES, _FUTURES = "XNYS", "CMES"
# The number of past contracts that stay known, for requests that include expired ones.
_EXPIRED = 2
_FUTURE_IDS = {("ES", "202612"): 515416632}
_INDEX_UNDER_ES = 11004968


class FutureTerms(msgspec.Struct, frozen=True):
    """The terms of one kind of future, beside its root.

    `expires` names the rule of its last trading day; `count` is the number of listed contracts.
    """

    root: FutureRoot
    expires: str
    last_time: str
    count: int
    under: str


# Roots by the rule of their last trading day, with the time at which trading ends on it, the number of listed
# contracts, and the type of the underlying. The time of ES is captured, all others are believed.
_RULES = """
third friday | 08:30:00 | 4 | IND   | ES MES NQ MNQ RTY M2K EMD YM MYM
energy       | 13:30:00 | 8 | CMDTY | CL MCL
gas          | 13:30:00 | 8 | CMDTY | NG
product      | 13:30:00 | 8 | CMDTY | RB HO
metal        | 12:30:00 | 6 | CMDTY | GC MGC SI SIL HG MHG PL PA
note         | 12:01:00 | 3 | BOND  | ZN TN ZB UB
last         | 12:01:00 | 3 | BOND  | ZF ZT
grain        | 12:00:00 | 5 | CMDTY | ZC ZS ZW KE ZM ZL ZO
currency     | 09:16:00 | 4 | CASH  | 6E 6B 6J 6A 6C 6S 6N 6M M6E M6A M6B
last         | 12:00:00 | 5 | CMDTY | LE
volatility   | 08:00:00 | 6 | IND   | VX VXM
"""


def _terms() -> dict[str, FutureTerms]:
    found = {}
    for line in _RULES.strip().splitlines():
        expires, last_time, count, under, roots = (cell.strip() for cell in line.split("|"))
        for root in roots.split():
            found[root] = FutureTerms(ROOTS[root], expires, last_time, int(count), under)
    return found


TERMS = _terms()


def shipped_futures(today: dt.date) -> Iterator[ContractData]:
    """Yield the contracts that trade on this day, and the last expired ones."""
    for root, terms in TERMS.items():
        past: list[ContractData] = []
        coming = 0
        for year, month in _months_from(today.year - 1, terms.root.month_numbers):
            expiry = last_trading_day(terms.expires, year, month)
            contract = future(root, year, month, is_expired=expiry < today)
            if contract.is_expired:
                past.append(contract)
                continue
            yield contract
            coming += 1
            if coming == terms.count:
                break
        yield from past[-_EXPIRED:]


def future(name: str, year: int, month: int, *, is_expired: bool = False) -> ContractData:
    """Return the contract of a root of `TERMS` and a contract month."""
    terms, called = TERMS[name], f"{year}{month:02d}"
    root = terms.root
    return ContractData(
        instrument=Future(name, expiry=called),
        con_id=_FUTURE_IDS.get((name, called)) or made_up_id(f"{name}-{called}"),
        sec_type="FUT",
        symbol=root.symbol,
        local_symbol=f"{name}{MONTH_CODES[month - 1]}{year % 10}",
        trading_class=name,
        exchange=root.exchange,
        primary_exchange="",
        long_name=root.name,
        trades_as="future",
        expiry=f"{last_trading_day(terms.expires, year, month):%Y%m%d}",
        contract_month=called,
        last_trade_time=terms.last_time,
        multiplier=f"{root.multiplier * root.price_magnifier:.10g}",
        price_magnifier=root.price_magnifier,
        valid_exchanges=f"{root.exchange},QBALGO",
        market_rule=rule_of(root.tick_size),
        under_con_id=_INDEX_UNDER_ES if name == "ES" else made_up_id(f"{name} underlying"),
        under_symbol=root.symbol,
        under_sec_type=terms.under,
        is_expired=is_expired,
    )


def last_trading_day(rule: str, year: int, month: int) -> dt.date:
    """Return the last trading day of a contract month.

    The rules are those of CME Group and Cboe: ``third friday`` of the month, or the day before if New York's exchange
    is closed on it (captured: MESM6 ends on 2026-06-18); ``energy``, three business days before the 25th of the month
    before, or before the business day preceding it; ``gas``, three business days before the month; ``product``, the
    last business day before the month; ``metal``, the third last business day of the month; ``note``, seven business
    days before the last one; ``last``, the last one; ``grain``, the business day before the 15th; ``currency``, two
    business days before the third Wednesday; ``volatility``, thirty days before the third Friday of the next month.
    """
    first = dt.date(year, month, 1)
    match rule:
        case "third friday":
            return _business_day_on_or_before(third_friday(year, month), _SHARES)
        case "energy":
            before = first - dt.timedelta(days=1)
            return _business_days_back(_business_day_on_or_before(before.replace(day=25), _FUTURES), 3)
        case "gas" | "product":
            return _business_days_back(first, 3 if rule == "gas" else 1)
        case "grain":
            return _business_days_back(first.replace(day=15), 1)
        case "currency":
            wednesday = first + dt.timedelta(days=(2 - first.weekday()) % 7 + 14)
            return _business_days_back(wednesday, 2)
        case "volatility":
            following = _first_of_next(year, month)
            return third_friday(following.year, following.month) - dt.timedelta(days=30)
    last = _business_day_on_or_before(_first_of_next(year, month) - dt.timedelta(days=1), _FUTURES)
    return _business_days_back(last, {"metal": 2, "note": 7}.get(rule, 0))


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
