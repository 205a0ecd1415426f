"""Reading and checking the terms of an order in a placeOrder request."""

from __future__ import annotations

import math
from collections.abc import Callable

from ibdesk.exchange.matching import on_grid
from ibdesk.gateway.contracts.contract import ContractData
from ibdesk.gateway.protocol.codec import Fields
from ibdesk.gateway.refusal import RefusedError, invalid
from ibdesk.gateway.times import read_time
from ibdesk.gateway.venue.algorithms import ALGORITHMS
from ibdesk.gateway.venue.kinds import KINDS
from ibdesk.gateway.venue.terms import Algorithm, Condition, ConditionKind, OrderTerms, TimeInForce
from ibdesk.model import Index, Order, Side

HIGHEST_PRICE = 1e12
"""Above this a float cannot hold the cents; no contract has such a price."""
_SIDES = {"BUY": Side.BUY, "SELL": Side.SELL, "SSHORT": Side.SELL}
# Valid in TWS and not supported here; refused in the way a venue refuses a type that it does not offer.
_KNOWN_TYPES = frozenset({"PEG MKT", "PEG MID", "PEG BEST", "PEG BENCH", "BOX TOP", "STP PRT"})
# The order types for combinations.
_COMBO_TYPES = frozenset({"MKT", "LMT"})
_OCA_TYPES = frozenset({1, 2, 3})
UNSUPPORTED = "Unsupported order type for this exchange and security type: {}."

ContractOf = Callable[[int], ContractData | None]


def read_order(request: Fields, contract: ContractData, owner: str, *, is_change: bool = False) -> Order:
    """Return side and size of the order in a request; its terms determine type and prices.

    Raises:
        RefusedError: If side or size is missing, or the contract cannot be traded, or not in this size.
    """
    side = _SIDES.get(request.text("action"))
    if side is None:
        raise invalid(f"Invalid side {request.text('action')!r}")
    if isinstance(contract.instrument, Index):
        raise invalid("An index cannot be traded")
    quantity = request.number("totalQuantity")
    if quantity is None or not (quantity > 0 and math.isfinite(quantity)):
        raise RefusedError(434, "The order size cannot be zero.")
    if not contract.instrument.fits_size(quantity):
        raise _off_increment(contract, is_change=is_change)
    kind = KINDS[_kind(request, contract)]
    return Order(
        id="", owner=owner, instrument=contract.id, side=side, quantity=quantity, type=kind.base,
        limit_price=_price(request, "lmtPrice", contract) if "lmtPrice" in kind.prices else None,
        stop_price=_price(request, "auxPrice", contract) if "auxPrice" in kind.prices and kind.waits else None,
    )  # fmt: skip


def _off_increment(contract: ContractData, *, is_change: bool) -> RefusedError:
    """Return the refusal of a size between two increments.

    TWS lists shares in steps of 0.0001 and currencies in steps of 0.01 (captured) and accepts only whole ones from the
    API (10242, 10243 documented and reported, 10318 reported); the text for other contracts is reported.
    """
    if contract.sec_type == "STK":
        code, verb = (10242, "modified") if is_change else (10243, "placed")
        doing = "revise" if is_change else "place"
        return RefusedError(
            code, f"Fractional-sized order cannot be {verb} via API. Please use desktop version to {doing} this order."
        )
    if contract.sec_type == "CASH":
        return RefusedError(10318, "This order doesn't support fractional quantity trading")
    return invalid("Order size does not conform to market rule.")


def read_terms(request: Fields, contract: ContractData, contract_of: ContractOf, now_ns: int) -> OrderTerms:
    """Return the terms of the order in a request.

    `contract_of` returns the contract of a condition's id; `now_ns` gives the day of an algorithm's times.

    Raises:
        RefusedError: If the venue cannot work such terms.
    """
    kind = _kind(request, contract)
    time_in_force = _time_in_force(request, kind)
    return OrderTerms(
        kind=kind,
        **_prices(request, kind, contract),
        time_in_force=time_in_force,
        until_ns=_good_till(request) if time_in_force is TimeInForce.GTD else 0,
        from_ns=_moment(request.text("goodAfterTime")),
        outside_rth=request.flag("outsideRth"),
        parent_id=request.whole("parentId") or 0,
        transmit=request.flag("transmit"),
        oca_group=request.text("ocaGroup"),
        oca_type=_oca_type(request),
        cancels_parent=request.flag("autoCancelParent"),
        conditions=tuple(_condition(Fields("condition", row), contract_of) for row in request.rows("conditions")),
        conditions_cancel=request.flag("conditionsCancelOrder"),
        conditions_ignore_rth=request.flag("conditionsIgnoreRth"),
        algorithm=_algorithm(request, kind, now_ns),
    )


# ---- type and prices ------------------------------------------------------------------------------------------


def _kind(request: Fields, contract: ContractData) -> str:
    name = request.text("orderType").upper()
    if name not in KINDS and name not in _KNOWN_TYPES:
        raise invalid("Invalid order type was entered")
    if name not in KINDS or (contract.legs and name not in _COMBO_TYPES):
        raise RefusedError(387, UNSUPPORTED.format(request.text("orderType")))
    if name == "REL" and contract.sec_type != "STK":
        raise RefusedError(114, "Relative orders are valid for stocks only.")
    return name


def _prices(request: Fields, kind: str, contract: ContractData) -> dict[str, float | None]:
    """Return the prices of the terms: required ones are checked, others may be missing."""
    needed = KINDS[kind].prices
    prices = {
        "limit": _price(request, "lmtPrice", contract) if "lmtPrice" in needed else None,
        "aux": _price(request, "auxPrice", contract) if "auxPrice" in needed else None,
    }
    if kind in ("REL", "MIDPRICE"):
        prices["limit"] = _price(request, "lmtPrice", contract) if _is_given(request, "lmtPrice") else None
        prices["aux"] = _offset(request, "auxPrice")
    if kind.startswith("TRAIL"):
        prices.update(_trail(request, kind, contract))
    return prices


def _trail(request: Fields, kind: str, contract: ContractData) -> dict[str, float | None]:
    amount, percent = _offset(request, "auxPrice"), _offset(request, "trailingPercent")
    # A client that sets the percentage may leave auxPrice at zero.
    amount = None if percent else amount
    if not (amount or percent):
        raise invalid("a trailing order needs a distance: auxPrice, an amount, or trailingPercent")
    stop = _price(request, "trailStopPrice", contract) if _is_given(request, "trailStopPrice") else None
    limit = offset = None
    if kind == "TRAIL LIMIT":
        limit = _price(request, "lmtPrice", contract) if _is_given(request, "lmtPrice") else None
        offset = _offset(request, "lmtPriceOffset")
        if offset is None and (limit is None or stop is None):
            raise invalid("a TRAIL LIMIT order needs lmtPriceOffset, or lmtPrice and trailStopPrice")
    return {"limit": limit, "aux": amount, "trail_percent": percent, "trail_stop": stop, "limit_offset": offset}


def _is_given(request: Fields, name: str) -> bool:
    """Return whether an optional price is set; some clients send zero instead of leaving it out."""
    return bool(request.number(name))


def _offset(request: Fields, name: str) -> float | None:
    offset = request.number(name)
    if offset is not None and not 0 <= offset < HIGHEST_PRICE:
        raise invalid(f"{name} must be a distance of zero or more, got {request.text(name)!r}")
    return offset


def _price(request: Fields, name: str, contract: ContractData) -> float:
    price = request.number(name)
    # The price of a combination or a future may be zero or negative.
    lowest = -HIGHEST_PRICE if contract.instrument.may_be_worthless else 0.0
    if price is None or not lowest < price < HIGHEST_PRICE:
        raise invalid(f"{name} of a {request.text('orderType')} order must be a price, got {request.text(name)!r}")
    if not on_grid(price, contract.instrument):
        raise RefusedError(110, "The price does not conform to the minimum price variation for this contract.")
    return price


# ---- times ----------------------------------------------------------------------------------------------------


def _time_in_force(request: Fields, kind: str) -> TimeInForce:
    text = request.text("tif") or "DAY"
    if text not in TimeInForce.__members__:
        raise invalid(f"Invalid time in force: {text} is not supported")
    time_in_force = TimeInForce[text]
    if KINDS[kind].in_auction and time_in_force is not TimeInForce.DAY:
        raise RefusedError(113, "The Tif option should be set to DAY for MOC and LOC orders.")
    if time_in_force is TimeInForce.OPG and kind not in ("MKT", "LMT"):
        raise RefusedError(111, "The TIF (Tif type) and the order type are incompatible.")
    return time_in_force


def _good_till(request: Fields) -> int:
    if not request.text("goodTillDate"):
        raise RefusedError(334, "Invalid Good Till Date order")
    return _moment(request.text("goodTillDate"))


def _moment(text: str) -> int:
    return read_time(text) if text else 0


# ---- groups, conditions, algorithms ---------------------------------------------------------------------------


def _oca_type(request: Fields) -> int:
    kind = request.whole("ocaType") or 3
    if kind not in _OCA_TYPES:
        raise invalid(f"ocaType must be 1, 2 or 3, got {kind}")
    return kind


def _condition(row: Fields, contract_of: ContractOf) -> Condition:
    kind = ConditionKind(row.required("condType"))
    if kind is ConditionKind.MARGIN:
        raise invalid("a condition on the margin cushion is not supported")
    contract = None
    if row.whole("conId"):
        contract = contract_of(row.required("conId"))
        if contract is None:
            raise invalid(f"a condition names contract {row.text('conId')}, which is unknown")
    elif kind in (ConditionKind.PRICE, ConditionKind.VOLUME, ConditionKind.CHANGE):
        raise invalid("a condition needs the conId of its contract")
    values = (row.number(name) for name in ("price", "volume", "changePercent"))
    return Condition(
        kind=kind,
        joins_and=row.text("conjunction") != "o",
        is_more=row.flag("isMore"),
        value=next((value for value in values if value is not None), 0.0),
        instrument="" if contract is None else contract.id,
        method=row.whole("triggerMethod") or 0,
        at_ns=read_time(row.text("time")) if kind is ConditionKind.TIME else 0,
        symbol=row.text("symbol"),
        sec_type=row.text("secType"),
        exchange=row.text("exch"),
    )


def _algorithm(request: Fields, kind: str, now_ns: int) -> Algorithm | None:
    name = request.text("algoStrategy")
    if not name:
        return None
    known = ALGORITHMS.get(name)
    if known is None:
        raise RefusedError(439, "Order processing failed. Algorithm definition not found.")
    if kind not in ("MKT", "LMT"):
        raise RefusedError(442, "Specified algorithm is not allowed for this order.")
    given = {str(row.get("tag", "")): str(row.get("value", "")) for row in request.rows("algoParams")}
    if not known.issuperset(given):
        raise RefusedError(443, "Order processing failed. Unknown algo attribute.")
    try:
        # These may be times of day: `09:30:00 US/Eastern` (documented).
        start_ns, end_ns = (
            read_time(given[tag], now_ns=now_ns) if given.get(tag) else 0 for tag in ("startTime", "endTime")
        )
    except RefusedError as error:
        raise RefusedError(441, f"Algo attributes validation failed: {error.text}") from None
    if end_ns and end_ns <= start_ns:
        raise RefusedError(441, "Algo attributes validation failed: endTime must be after startTime")
    return Algorithm(name=name, start_ns=start_ns, end_ns=end_ns)
