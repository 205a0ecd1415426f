"""Our instruments and IB's contracts, in both directions."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from ib_async.contract import Contract, ContractDetails

from ibdesk.errors import InstrumentError
from ibdesk.model import AnyInstrument, Forex, Future, Index, Option, Right, Session, Stock
from ibdesk.tws.figures import NAN, figure_or_nan, known

_SECURITY_TYPE: dict[type, str] = {Stock: "STK", Forex: "CASH", Future: "FUT", Option: "OPT", Index: "IND"}
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
        contract.multiplier = f"{instrument.multiplier:.10g}"
    if isinstance(instrument, Option):
        contract.strike = instrument.strike
        contract.right = instrument.right.value
    return contract


def instrument_from(contract: Contract) -> AnyInstrument:
    """Return the instrument that a contract describes; what the contract leaves open takes its usual value.

    Raises:
        InstrumentError: If it is of a kind that ibdesk does not know (a bond, a combination, ...).
    """
    common: dict[str, Any] = {"symbol": contract.symbol, "currency": contract.currency}
    if contract.exchange:
        common["exchange"] = contract.exchange
    multiplier = _multiplier_in(contract)
    if not multiplier > 0:
        raise InstrumentError(f"{contract.symbol}: the multiplier {contract.multiplier!r} is not a positive number")
    match contract.secType:
        case "STK":
            return Stock(**common)
        case "CASH":
            return Forex(**common)
        case "IND":
            return Index(**common)
        case "FUT":
            expiry = contract.lastTradeDateOrContractMonth
            return Future(**common, expiry=expiry, multiplier=multiplier)
        case "OPT":
            return Option(
                **common,
                expiry=contract.lastTradeDateOrContractMonth,
                strike=known(contract.strike),
                right=_right(contract),
                multiplier=multiplier,
            )
    raise InstrumentError(f"{contract.symbol}: ibdesk does not trade instruments of IB's type {contract.secType}")


def instrument_with(instrument: AnyInstrument, details: ContractDetails) -> AnyInstrument:
    """Return the instrument with what TWS knows better: tick size, multiplier, exchange and regular hours.

    Its id stays what it was.
    """
    contract = details.contract or Contract()
    multiplier = _multiplier_in(contract)
    session = _session(details.liquidHours, details.timeZoneId)
    return msgspec.structs.replace(
        instrument,
        tick_size=details.minTick if known(details.minTick) > 0 else instrument.tick_size,
        multiplier=multiplier if contract.multiplier and multiplier > 0 else instrument.multiplier,
        exchange=contract.exchange or instrument.exchange,
        session=session or instrument.session,
    )


def _right(contract: Contract) -> Right:
    try:
        return Right(contract.right[:1])
    except ValueError:
        raise InstrumentError(f"{contract.symbol}: {contract.right!r} is not the right of an option") from None


class Contracts:
    """The contracts qualified so far: by our instrument's id and by IB's number."""

    def __init__(self) -> None:
        self._by_id: dict[str, tuple[AnyInstrument, Contract]] = {}
        self._by_number: dict[int, AnyInstrument] = {}

    def add(self, instrument: AnyInstrument, details: list[ContractDetails]) -> AnyInstrument:
        """Keep the one contract that TWS found for the instrument, and return the instrument completed.

        Raises:
            InstrumentError: If TWS found none, or several that the multiplier does not tell apart.
        """
        exact = [each for each in details if _multiplier(each.contract) == instrument.multiplier]
        candidates = exact if len(details) > 1 and len(exact) == 1 else details
        if len(candidates) > 1:
            raise InstrumentError(_ambiguous(instrument, details))
        if not candidates or candidates[0].contract is None:
            raise InstrumentError(f"TWS knows no instrument {instrument.id}")
        contract = candidates[0].contract
        completed = instrument_with(instrument, candidates[0])
        self._by_id[completed.id] = (completed, contract)
        self._by_number[contract.conId] = completed
        return completed

    def __contains__(self, instrument_id: str) -> bool:
        return instrument_id in self._by_id

    def of(self, instrument_id: str) -> tuple[AnyInstrument, Contract]:
        """Return the qualified instrument and its contract.

        Raises:
            InstrumentError: If it was not qualified.
        """
        try:
            return self._by_id[instrument_id]
        except KeyError:
            raise InstrumentError(f"{instrument_id} is not qualified: call qualify first") from None

    def named(self, instrument_id: str) -> AnyInstrument:
        """Return an instrument that was qualified, or that TWS has told of, by its id.

        Raises:
            InstrumentError: If there was none.
        """
        if instrument_id in self._by_id:
            return self._by_id[instrument_id][0]
        told = next((each for each in self._by_number.values() if each.id == instrument_id), None)
        if told is None:
            raise InstrumentError(f"{instrument_id} is none of an instrument that TWS has told of")
        return told

    def name_of(self, contract: Contract) -> tuple[str, float]:
        """Return instrument id and multiplier of a contract that TWS reports, also one that we never asked for.

        A contract of a kind that ibdesk does not trade is named by IB's type and local symbol, e.g.
        ``BOND:US-T 4.25``. The multiplier is NaN where TWS sent none that can be, or a contract that makes no sense.
        """
        instrument = self._by_number.get(contract.conId)
        if instrument is None:
            try:
                instrument = instrument_from(contract)
            except InstrumentError:
                name = contract.localSymbol or contract.symbol or contract.conId
                is_odd = contract.secType in ("", *_SECURITY_TYPE.values())
                return f"{contract.secType}:{name}", NAN if is_odd else _multiplier_in(contract)
            self._by_number[contract.conId] = instrument
        return instrument.id, instrument.multiplier

    def multiplier_of(self, instrument_id: str) -> float:
        """Return the multiplier of a qualified instrument, NaN of one that is not."""
        return self._by_id[instrument_id][0].multiplier if instrument_id in self._by_id else NAN

    def with_number(self, number: int) -> str:
        """Return the id of the instrument that IB's number means, an empty string when it is not known."""
        known = self._by_number.get(number)
        return "" if known is None else known.id


def _multiplier(contract: Contract | None) -> float:
    return _multiplier_in(contract) if contract is not None else 0.0


def _multiplier_in(contract: Contract) -> float:
    """Return the multiplier of a contract, 1 where there is none, NaN where it is not a positive number."""
    multiplier = figure_or_nan(contract.multiplier) if contract.multiplier else 1.0
    return multiplier if multiplier > 0 else NAN


def _ambiguous(instrument: AnyInstrument, details: list[ContractDetails]) -> str:
    found = [d.contract for d in details if d.contract is not None]
    names = sorted({f"{c.localSymbol or c.symbol} on {c.primaryExchange or c.exchange}" for c in found})
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return (
        f"{instrument.id} is ambiguous, TWS knows {len(found)} of it ({shown}): "
        f"give the exchange, the currency, the full expiry or the multiplier"
    )


def _session(hours: str, zone: str) -> Session | None:
    """Return the session of TWS's hours (``20261123:0930-20261123:1600;20261124:CLOSED;...``), the commonest one.

    None when they cannot be put so: no hours, several sessions a day, or a zone unknown here.
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
    return Session(name, opens, closes)
