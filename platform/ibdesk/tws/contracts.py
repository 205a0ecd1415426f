"""Conversion between our instruments and IB's contracts."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from ib_async.contract import Contract, ContractDetails
from ib_async.objects import PriceIncrement

from ibdesk.errors import InstrumentError
from ibdesk.model import (
    AnyInstrument,
    Forex,
    Future,
    Index,
    Option,
    PriceIncrements,
    Right,
    Session,
    Stock,
    TradingHours,
)
from ibdesk.model.future_roots import roots_called
from ibdesk.model.price_grid import wrong_increments
from ibdesk.tws.figures import NAN, figure_or_nan, known
from ibdesk.tws.trading_hours import hours_from

_SECURITY_TYPE: dict[type, str] = {Stock: "STK", Forex: "CASH", Future: "FUT", Option: "OPT", Index: "IND"}
# API clients may not order fractions of these, although `sizeIncrement` is 0.0001 for US shares and 0.01 for
# currencies (captured): TWS answers 10243 and 10318.
_WHOLE_ONLY = (Stock, Forex)
# Positions and executions carry no tick size; this one holds until the instrument is qualified.
_UNTOLD_TICK = 0.01
_HOURS = re.compile(r"(\d{8}):(\d\d)(\d\d)-(\d{8}):(\d\d)(\d\d)")


def contract_of(instrument: AnyInstrument) -> Contract:
    """Return the contract that describes the instrument to TWS, without IB's number (`conId`)."""
    contract = Contract(
        secType=_SECURITY_TYPE[type(instrument)],
        symbol=instrument.symbol,
        exchange=instrument.exchange,
        currency=instrument.currency,
    )
    if isinstance(instrument, Future | Option):
        contract.lastTradeDateOrContractMonth = instrument.expiry
        contract.multiplier = f"{instrument.multiplier * _magnifier_of(instrument):.10g}"
        contract.tradingClass = instrument.trading_class
    if isinstance(instrument, Option):
        contract.strike = instrument.strike
        contract.right = instrument.right.value
    return contract


def cash_currency(contract: Contract) -> str:
    """Return the currency of the cash that an execution moves.

    For a currency pair both, such as ``EUR.USD``; empty for a future, which is settled daily.
    """
    match contract.secType:
        case "FUT":
            return ""
        case "CASH":
            return f"{contract.symbol}.{contract.currency}"
    return contract.currency


def unlisted_future(symbol: str, expiry: str) -> Contract:
    """Return the contract with which TWS finds a future by symbol and expiry alone."""
    return Contract(secType="FUT", symbol=symbol, lastTradeDateOrContractMonth=expiry)


def instrument_from(contract: Contract, price_magnifier: int = 1) -> AnyInstrument:
    """Return the instrument that a contract describes, with defaults for missing fields.

    `price_magnifier` comes from the contract details; listed futures take it from the table.

    Raises:
        InstrumentError: If ibdesk does not trade instruments of its kind (a bond, a combination, ...).
    """
    common: dict[str, Any] = {"symbol": contract.symbol, "currency": contract.currency}
    if contract.exchange:
        common["exchange"] = contract.exchange
    multiplier = _multiplier_in(contract)
    if not multiplier > 0:
        raise InstrumentError(f"{contract.symbol}: the multiplier {contract.multiplier!r} is not a positive number")
    match contract.secType:
        case "STK":
            return Stock(**common | {"exchange": _routed(contract)})
        case "CASH":
            return Forex(**common)
        case "IND":
            return Index(**common)
        case "FUT":
            return _future_from(contract, multiplier, price_magnifier)
        case "OPT":
            return Option(
                **common | {"exchange": _routed(contract)},
                expiry=contract.lastTradeDateOrContractMonth,
                strike=known(contract.strike),
                right=_right(contract),
                multiplier=multiplier,
                trading_class="" if contract.tradingClass == contract.symbol else contract.tradingClass,
            )
    raise InstrumentError(f"{contract.symbol}: ibdesk does not trade instruments of IB's type {contract.secType}")


def _routed(contract: Contract) -> str:
    """Return the exchange to which orders go: TWS reports where a share is listed or where it was executed."""
    if contract.currency == "USD":
        return "SMART"
    if contract.exchange in ("", "SMART"):
        return contract.primaryExchange or "SMART"
    return contract.exchange


def _future_from(contract: Contract, multiplier: float, price_magnifier: int) -> Future:
    expiry = contract.lastTradeDateOrContractMonth.partition(" ")[0]
    for root in roots_called(contract.symbol):
        named = contract.tradingClass in ("", root.trading_class) and contract.exchange in ("", root.exchange)
        if named and multiplier == root.multiplier * root.price_magnifier:
            return Future(root.root, expiry=expiry)
    return Future(
        contract.symbol,
        exchange=contract.exchange or contract.primaryExchange or "UNKNOWN",
        currency=contract.currency,
        multiplier=multiplier / price_magnifier,
        tick_size=_UNTOLD_TICK,
        expiry=expiry,
        trading_class=contract.tradingClass,
    )


def instrument_with(
    instrument: AnyInstrument, details: ContractDetails, increments: PriceIncrements = ()
) -> AnyInstrument:
    """Return the instrument with price increments, size increment and regular hours from TWS.

    `increments` are those of its market rule. The id does not change.

    Raises:
        InstrumentError: If TWS reports another multiplier.
    """
    multiplier = _told_multiplier(details)
    if multiplier > 0 and not math.isclose(multiplier, instrument.multiplier, rel_tol=1e-9):
        raise InstrumentError(
            f"{instrument.id}: TWS says that its multiplier is {multiplier:g}, not {instrument.multiplier:g}: "
            f"pass the instrument with that multiplier"
        )
    tick = details.minTick if known(details.minTick) > 0 else instrument.tick_size
    size = known(float(details.sizeIncrement))
    return msgspec.structs.replace(
        instrument,
        tick_size=tick,
        price_increments=increments or ((0.0, tick),),
        size_increment=max(size, 1.0 if isinstance(instrument, _WHOLE_ONLY) else 0.0) if size > 0 else 1.0,
        session=_session(details.liquidHours, details.timeZoneId) or instrument.session,
    )


def market_rule_of(details: ContractDetails, exchange: str) -> int | None:
    """Return the number of the market rule for prices at an exchange, None if TWS names none."""
    rules = dict(zip(details.validExchanges.split(","), details.marketRuleIds.split(","), strict=False))
    number = rules.get(exchange, "")
    return int(number) if number.isdecimal() else None


def increments_of(rule: list[PriceIncrement]) -> PriceIncrements:
    """Return the price increments of a market rule of TWS, empty if the rule is invalid.

    Some rules begin below zero, where prices have the same steps.
    """
    steps = {0.0 if each.lowEdge < 0 else each.lowEdge: each.increment for each in rule}
    increments = tuple(sorted(steps.items()))
    return () if wrong_increments(increments) else increments


def _told_multiplier(details: ContractDetails) -> float:
    """Return TWS's money per unit of price of a contract, NaN if it reports none."""
    if details.contract is None or not details.contract.multiplier:
        return NAN
    return _multiplier_in(details.contract) / (details.priceMagnifier or 1)


def _magnifier_of(instrument: Future | Option) -> int:
    if isinstance(instrument, Future):
        for root in roots_called(instrument.symbol):
            if root.trading_class == instrument.trading_class and root.multiplier == instrument.multiplier:
                return root.price_magnifier
    return 1


def _right(contract: Contract) -> Right:
    try:
        return Right(contract.right[:1])
    except ValueError:
        raise InstrumentError(f"{contract.symbol}: {contract.right!r} is not the right of an option") from None


class Contracts:
    """The contracts qualified so far, by our instrument id and by IB's number."""

    def __init__(self) -> None:
        self._by_id: dict[str, tuple[AnyInstrument, Contract]] = {}
        self._by_number: dict[int, AnyInstrument] = {}
        # The newest details of each instrument, by its id.
        self._details: dict[str, ContractDetails] = {}
        # IB's number of each instrument, including those that were only reported, by name.
        self._numbers: dict[str, int] = {}

    def add(
        self, instrument: AnyInstrument, details: ContractDetails, increments: PriceIncrements = ()
    ) -> AnyInstrument:
        """Store the contract that TWS found for the instrument, and return the completed instrument.

        Raises:
            InstrumentError: If TWS reports another multiplier.
        """
        contract = details.contract or Contract()
        completed = instrument_with(instrument, details, increments)
        self._by_id[completed.id] = (completed, contract)
        self._by_number[contract.conId] = completed
        self._details[completed.id] = details
        self._numbers[completed.id] = contract.conId
        return completed

    def hours_of(self, instrument_id: str, at_ns: int) -> TradingHours | None:
        """Return the sessions of a qualified instrument that TWS reported last, None if it reported none."""
        details = self._details.get(instrument_id)
        return None if details is None else hours_from(self._by_id[instrument_id][0], details, at_ns)

    def __contains__(self, instrument_id: str) -> bool:
        return instrument_id in self._by_id

    def of(self, instrument_id: str) -> tuple[AnyInstrument, Contract]:
        """Return the qualified instrument and its contract.

        Raises:
            InstrumentError: If it is not qualified.
        """
        try:
            return self._by_id[instrument_id]
        except KeyError:
            raise InstrumentError(f"{instrument_id} is not qualified: call qualify first") from None

    def named(self, instrument_id: str) -> AnyInstrument:
        """Return an instrument that was qualified, or that TWS has reported, by its id.

        Raises:
            InstrumentError: If there is none.
        """
        if instrument_id in self._by_id:
            return self._by_id[instrument_id][0]
        told = next((each for each in self._by_number.values() if each.id == instrument_id), None)
        if told is None:
            raise InstrumentError(f"{instrument_id} is not an instrument that TWS has reported")
        return told

    def name_of(self, contract: Contract) -> tuple[str, float]:
        """Return instrument id and multiplier of a contract that TWS reports, including contracts never requested.

        A contract of a kind that ibdesk does not trade is named by IB's type and local symbol, e.g.
        ``BOND:US-T 4.25``. The multiplier is NaN if TWS sent an invalid multiplier or an invalid contract.
        """
        instrument = self._by_number.get(contract.conId)
        if instrument is None:
            try:
                instrument = instrument_from(contract)
            except InstrumentError:
                name = f"{contract.secType}:{contract.localSymbol or contract.symbol or contract.conId}"
                self._numbers[name] = contract.conId
                is_odd = contract.secType in ("", *_SECURITY_TYPE.values())
                return name, NAN if is_odd else _multiplier_in(contract)
            self._by_number[contract.conId] = instrument
            self._numbers[instrument.id] = contract.conId
        return instrument.id, instrument.multiplier

    def multiplier_of(self, instrument_id: str) -> float:
        """Return the multiplier of a qualified instrument, NaN for others."""
        return self._by_id[instrument_id][0].multiplier if instrument_id in self._by_id else NAN

    def number_of(self, instrument_id: str) -> int:
        """Return IB's number of an instrument's contract, 0 while it is not known."""
        return self._numbers.get(instrument_id, 0)

    def with_number(self, number: int) -> str:
        """Return the id of the instrument with IB's number, an empty string when it is not known."""
        known = self._by_number.get(number)
        return "" if known is None else known.id


def _multiplier_in(contract: Contract) -> float:
    """Return the multiplier of a contract, 1 if there is none, NaN if it is not a positive number."""
    multiplier = figure_or_nan(contract.multiplier) if contract.multiplier else 1.0
    return multiplier if multiplier > 0 else NAN


def the_one(instrument: AnyInstrument, found: list[ContractDetails]) -> ContractDetails:
    """Return the contract found that matches the instrument.

    Raises:
        InstrumentError: If TWS found none, or several that the multiplier does not distinguish.
    """
    found = [each for each in found if each.contract is not None]
    if not found:
        raise InstrumentError(f"TWS knows no instrument {instrument.id}")
    exact = [each for each in found if _told_multiplier(each) == instrument.multiplier]
    candidates = exact if len(found) > 1 and len(exact) == 1 else found
    if len(candidates) > 1:
        raise InstrumentError(ambiguous(instrument.id, found))
    return candidates[0]


def ambiguous(name: str, details: list[ContractDetails]) -> str:
    """Return the error message for a name that matches several contracts."""
    found = [d.contract for d in details if d.contract is not None]
    names = sorted({f"{c.localSymbol or c.symbol} on {c.primaryExchange or c.exchange}" for c in found})
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return (
        f"{name} is ambiguous, TWS knows {len(found)} of it ({shown}): "
        f"give the exchange, the currency, the full expiry, the trading class or the multiplier"
    )


def _session(hours: str, zone: str) -> Session | None:
    """Return the most common session of TWS's hours (``20261123:0930-20261123:1600;20261124:CLOSED;...``).

    None if there are no hours, several sessions a day, a market that never closes, or a zone unknown on this machine.
    """
    days = _HOURS.findall(hours)
    name = zone.partition(" ")[0]
    if not days or not name or len({day[3] for day in days}) < len(days):
        return None
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return None
    [((opens, closes), _)] = Counter(
        (int(h1) * 60 + int(m1), int(h2) * 60 + int(m2)) for _, h1, m1, _, h2, m2 in days
    ).most_common(1)
    return None if opens == closes else Session(name, opens, closes)
