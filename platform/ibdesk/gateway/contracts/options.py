"""Options on a share, fund or index: the listed expiries and strikes, and the contract of each option."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator

from ibdesk.gateway.contracts.contract import ContractData, made_up_id
from ibdesk.gateway.contracts.futures import third_friday
from ibdesk.gateway.contracts.hours import hours_of
from ibdesk.model import Option, Right

MULTIPLIER = 100
EXCHANGES = ("SMART", "AMEX", "CBOE", "ISE", "PHLX")
INDEX_EXCHANGES = ("SMART", "CBOE")
# The listed range (a choice): Fridays and third Fridays ahead, and strikes on each side of the spot.
_WEEKS, _MONTHS, _STRIKES_EACH_SIDE = 4, 6, 15
# Below each spot price, the distance of strikes; similar to the exchanges' rules.
_STEPS = ((10.0, 0.5), (50.0, 1.0), (200.0, 2.5), (500.0, 5.0), (2000.0, 10.0))
_WIDEST_STEP = 25.0
_RIGHTS = (Right.CALL, Right.PUT)
_SHARE_TICK, _INDEX_TICK = 0.01, 0.05
_SHARE_RULE, _INDEX_RULE = 32, 110


class OptionChain:
    """All options on one underlying. The strikes do not change after listing, even if the spot moves away.

    The options of an expiry are created at their first request and passed to `add`, which numbers them.
    """

    def __init__(
        self,
        underlying: ContractData,
        expiries: tuple[dt.date, ...],
        strikes: tuple[float, ...],
        add: Callable[[ContractData], ContractData],
    ) -> None:
        self.underlying = underlying
        self.expiries = expiries
        self.strikes = strikes
        self._add = add
        self._series: dict[dt.date, tuple[ContractData, ...]] = {}

    @property
    def options(self) -> tuple[ContractData, ...]:
        """Return all options."""
        return tuple(self.expiring(""))

    def expiring(self, text: str) -> Iterator[ContractData]:
        """Yield the options whose expiry, as ``20261218``, begins with `text`: a day, a month or empty."""
        for expiry in self.expiries:
            if f"{expiry:%Y%m%d}".startswith(text):
                yield from self._listed(expiry)

    @property
    def classes(self) -> dict[str, tuple[dt.date, ...]]:
        """Return the expiries of each trading class."""
        found: dict[str, list[dt.date]] = {}
        for expiry in self.expiries:
            found.setdefault(trading_class(self.underlying, expiry), []).append(expiry)
        return {name: tuple(days) for name, days in found.items()}

    @property
    def exchanges(self) -> tuple[str, ...]:
        """Return the exchanges of the options."""
        return exchanges_of(self.underlying)

    def _listed(self, expiry: dt.date) -> tuple[ContractData, ...]:
        if expiry not in self._series:
            self._series[expiry] = tuple(
                self._add(option(self.underlying, expiry, strike, right))
                for strike in self.strikes
                for right in _RIGHTS
            )
        return self._series[expiry]


def expiries(today: dt.date) -> tuple[dt.date, ...]:
    """Return the next weekly and monthly expiries: Fridays, or the Thursday before a Friday holiday."""
    friday = today + dt.timedelta(days=(4 - today.weekday()) % 7)
    fridays = {friday + dt.timedelta(weeks=ahead) for ahead in range(_WEEKS)}
    fridays.update(_third_fridays(today))
    hours = hours_of("us_regular")
    days = {day if hours.session(day) is not None else day - dt.timedelta(days=1) for day in fridays}
    return tuple(sorted(day for day in days if day >= today))


def strikes_around(spot: float) -> tuple[float, ...]:
    """Return the listed strikes around a spot price, evenly spaced; all are positive."""
    step = next((step for limit, step in _STEPS if spot < limit), _WIDEST_STEP)
    nearest = round(spot / step)
    first = max(1, nearest - _STRIKES_EACH_SIDE)
    return tuple(number * step for number in range(first, nearest + _STRIKES_EACH_SIDE + 1))


def option(underlying: ContractData, expiry: dt.date, strike: float, right: Right) -> ContractData:
    """Return the contract of one option."""
    day, is_index, root = f"{expiry:%Y%m%d}", underlying.sec_type == "IND", trading_class(underlying, expiry)
    instrument = Option(
        underlying.symbol,
        tick_size=_INDEX_TICK if is_index else _SHARE_TICK,
        multiplier=float(MULTIPLIER),
        expiry=day,
        strike=strike,
        right=right,
        trading_class="" if root == underlying.symbol else root,
    )
    return ContractData(
        instrument=instrument,
        con_id=made_up_id(instrument.id),
        sec_type="OPT",
        symbol=underlying.symbol,
        local_symbol=occ_symbol(root, expiry, strike, right),
        trading_class=root,
        exchange="SMART",
        primary_exchange="",
        long_name=underlying.long_name,
        trades_as="us_regular",
        expiry=day,
        contract_month=day[:6],
        strike=strike,
        right=right.value,
        multiplier=str(MULTIPLIER),
        valid_exchanges=",".join(exchanges_of(underlying)),
        market_rule=_INDEX_RULE if is_index else _SHARE_RULE,
        under_con_id=underlying.con_id,
        under_symbol=underlying.symbol,
        under_id=underlying.id,
        under_sec_type=underlying.sec_type,
    )


def occ_symbol(root: str, expiry: dt.date, strike: float, right: Right) -> str:
    """Return the symbol in the Options Clearing Corporation's notation: ``AAPL  261218C00230000`` (captured)."""
    return f"{root:<6}{expiry:%y%m%d}{right.value}{round(strike * 1000):08d}"


def trading_class(underlying: ContractData, expiry: dt.date) -> str:
    """Return the trading class of an expiry: the symbol, but SPX's weeklies have a class of their own (documented)."""
    friday = expiry + dt.timedelta(days=4 - expiry.weekday())
    if underlying.symbol == "SPX" and friday != third_friday(friday.year, friday.month):
        return "SPXW"
    return underlying.symbol


def exchanges_of(underlying: ContractData) -> tuple[str, ...]:
    """Return the exchanges of the options on an underlying."""
    return INDEX_EXCHANGES if underlying.sec_type == "IND" else EXCHANGES


def _third_fridays(today: dt.date) -> Iterator[dt.date]:
    for ahead in range(_MONTHS + 1):
        years, month = divmod(today.month - 1 + ahead, 12)
        yield third_friday(today.year + years, month + 1)
