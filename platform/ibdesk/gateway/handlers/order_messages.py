"""Wire format of orders and executions: openOrder and related messages.

Fields that the client did not set have the values that paper accounts show (captured): empty, zero or the largest
number.
"""

from __future__ import annotations

from ibdesk.gateway.protocol.codec import Value, text_of
from ibdesk.gateway.protocol.fields import (
    UNSET_INTEGER,
    UNSET_LONG,
    UNSET_NUMBER,
    UNSET_NUMBER_TEXT,
    UNSET_TEXTS,
    FieldKind,
)
from ibdesk.gateway.times import stamp
from ibdesk.gateway.venue.records import Execution, OrderRecord
from ibdesk.model import OrderType, Side

MARGIN_FIELDS = tuple(
    f"{what}{when}"
    for when in ("Before", "Change", "After")
    for what in ("initMargin", "maintMargin", "equityWithLoan")
)

# Fields of the request that the answer repeats unchanged.
_ECHOED = (
    "orderType", "openClose", "orderRef", "outsideRth", "hidden",
    "goodAfterTime", "faGroup", "faMethod", "faPercentage", "modelCode", "goodTillDate", "rule80A",
    "percentOffset", "settlingFirm", "designatedLocation", "startingPrice", "stockRefPrice",
    "delta", "stockRangeLower", "stockRangeUpper", "blockOrder", "sweepToFill", "allOrNone",
    "minQty", "eTradeOnly", "firmQuoteOnly", "nbboPriceCap", "volatility", "deltaNeutralAuxPrice",
    "continuousUpdate", "trailingPercent", "scalePriceIncrement", "hedgeType", "hedgeParam",
    "optOutSmartRouting", "clearingAccount", "notHeld", "algoStrategy", "algoParams", "solicited",
    "randomizeSize", "randomizePrice", "conditions", "conditionsIgnoreRth", "conditionsCancelOrder",
    "softDollarName", "softDollarVal", "isOmsContainer", "discretionaryUpToLimitPrice",
    "usePriceMgmtAlgo", "duration", "postToAts", "autoCancelParent", "minTradeQty",
    "minCompeteSize", "competeAgainstBestOffset", "midOffsetAtWhole", "midOffsetAtHalf",
    "comboLegs", "orderComboLegs", "smartComboRoutingParams",
)  # fmt: skip

# Where SMART executes an order, by security type (a choice); shares at IEX.
_SMART_CHOICE = {"OPT": "CBOE"}

# Values in an openOrder of the fields that the client did not set.
_UNSET: dict[str, Value] = {
    "right": "?",
    "strike": 0,
    "openClose": "",
    "origin": 0,
    "outsideRth": 0,
    "hidden": 0,
    "discretionaryAmt": 0,
    "shortSaleSlot": 0,
    "exemptCode": -1,
    "auctionStrategy": 0,
    "displaySize": UNSET_INTEGER,
    "blockOrder": 0,
    "sweepToFill": 0,
    "allOrNone": 0,
    "ocaType": 3,
    "eTradeOnly": 0,
    "firmQuoteOnly": 0,
    "parentId": 0,
    "triggerMethod": 0,
    "volatilityType": 0,
    "deltaNeutralOrderType": "None",
    "deltaNeutralConId": 0,
    "deltaNeutralOpenClose": "?",
    "deltaNeutralShortSale": 0,
    "deltaNeutralShortSaleSlot": 0,
    "continuousUpdate": 0,
    "referencePriceType": 0,
    "scaleInitLevelSize": UNSET_INTEGER,
    "scaleSubsLevelSize": UNSET_INTEGER,
    "optOutSmartRouting": 0,
    "clearingIntent": "IB",
    "notHeld": 0,
    "deltaNeutralContractPresent": 0,
    "solicited": 0,
    "whatIf": 0,
    "randomizeSize": 0,
    "randomizePrice": 0,
    "adjustedOrderType": "None",
    "triggerPrice": UNSET_NUMBER,
    "trailStopPrice2": UNSET_NUMBER,
    "lmtPriceOffset": UNSET_NUMBER,
    "adjustedStopPrice": UNSET_NUMBER,
    "adjustedStopLimitPrice": UNSET_NUMBER,
    "adjustedTrailingAmount": UNSET_NUMBER,
    "adjustableTrailingUnit": 0,
    "cashQty": 0,
    "dontUseAutoPriceForHedge": 1,
    "isOmsContainer": 0,
    "discretionaryUpToLimitPrice": 0,
    "usePriceMgmtAlgo": 0,
    "autoCancelParent": 0,
    **dict.fromkeys(MARGIN_FIELDS, UNSET_NUMBER_TEXT),
}


def open_order(record: OrderRecord) -> dict[str, Value]:
    """Return the fields of the openOrder message of an order."""
    order, terms = record.order, record.terms
    values: dict[str, Value] = {
        **_UNSET,
        **record.contract.wire(),
        "strike": record.contract.strike or 0,
        "right": _right(record),
    }
    for name in _ECHOED:
        told = record.request.texts.get(name, "")
        if isinstance(told, list) or told not in UNSET_TEXTS:
            values[name] = told
    values.update(
        orderId=record.reported_id,
        action="BUY" if order.side is Side.BUY else "SELL",
        totalQuantity=order.quantity,
        lmtPrice=text_of(_limit(record), FieldKind.NUMBER),
        auxPrice=terms.aux or 0.0,
        tif=terms.time_in_force.value,
        ocaGroup=record.oca_group,
        ocaType=terms.oca_type,
        parentId=terms.parent_id,
        account=record.account,
        clientId=record.client_id,
        permId=record.permanent_id,
        sharesAllocation=f"{record.permanent_id}.0/{record.account}/100",
        status=record.status,
    )
    if terms.kind.startswith("TRAIL"):
        stop = order.stop_price if order.stop_price is not None else terms.trail_stop
        values.update(
            trailStopPrice="" if stop is None else stop, trailStopPrice2=UNSET_NUMBER if stop is None else stop
        )
        values["lmtPriceOffset"] = UNSET_NUMBER if terms.limit_offset is None else terms.limit_offset
    elif order.limit_price is not None:
        values["trailStopPrice2"] = order.limit_price + 1
    return values


def _limit(record: OrderRecord) -> float:
    """Return the limit in an openOrder.

    The first one of an order that waits for a stop shows a price three ticks over the stop (captured, for sales).
    """
    order, terms = record.order, record.terms
    if terms.kind == "TRAIL LIMIT" and order.limit_price is not None:
        return order.limit_price
    if order.type is OrderType.STOP and record.kind.waits and record.shown == 1:
        stop = order.stop_price if order.stop_price is not None else terms.trail_stop
        instrument = record.contract.instrument
        return 0.0 if stop is None else instrument.round_price(stop + 3 * instrument.tick_at(stop))
    return terms.limit or 0.0


def completed_order(record: OrderRecord, version: int) -> dict[str, Value]:
    """Return the fields of the completedOrder message of a finished order."""
    return {
        **open_order(record),
        # A filled order is shown with quantity zero and a filled quantity.
        "totalQuantity": 0 if record.status == "Filled" else record.order.quantity,
        "filledQuantity": record.filled,
        "refFuturesConId": UNSET_INTEGER,
        "shareholder": "Not an insider or substantial shareholder",
        "imbalanceOnly": 0,
        "routeMarketableToBbo": 0,
        "parentPermId": UNSET_LONG,
        "completedTime": stamp(record.completed_ns, max(version, 174)),
        "completedStatus": record.completed_status,
    }


def order_status(record: OrderRecord, receiver: int) -> dict[str, Value]:
    """Return the fields of an order's orderStatus message for the client `receiver`.

    The other client that cancelled the order reads its own id (captured), all others the owner's (believed).
    """
    return {
        "orderId": record.reported_id,
        "status": record.status,
        "filled": record.filled,
        "remaining": record.remaining,
        "avgFillPrice": text_of(record.average_price, FieldKind.SIZE),
        "permId": record.permanent_id,
        "parentId": record.terms.parent_id,
        "lastFillPrice": text_of(record.last_price, FieldKind.SIZE),
        "clientId": receiver if receiver == record.cancelled_by else record.client_id,
        "whyHeld": record.why_held,
        "mktCapPrice": 0,
    }


def execution(done: Execution, request_id: int, version: int) -> dict[str, Value]:
    """Return the fields of the execDetails message; request id -1 if it was not requested."""
    record, fill, contract = done.record, done.fill, done.contract
    venue = contract.exchange if contract.exchange != "SMART" else _SMART_CHOICE.get(contract.sec_type, "IEX")
    return {
        "reqId": request_id,
        "orderId": record.reported_id,
        **contract.wire(exchange=venue),
        "execId": done.id,
        "time": stamp(fill.at_ns, version),
        "acctNumber": record.account,
        "execExchange": venue,
        "side": "BOT" if fill.side is Side.BUY else "SLD",
        "shares": fill.quantity,
        "price": text_of(fill.price, FieldKind.SIZE),
        "permId": record.permanent_id,
        "clientId": record.client_id,
        "liquidation": 0,
        "cumQty": done.cumulative,
        "avgPrice": text_of(done.average_price, FieldKind.SIZE),
        "orderRef": record.request.text("orderRef"),
        "lastLiquidity": 2,
        "pendingPriceRevision": 0,
    }


def commission_report(done: Execution) -> dict[str, Value]:
    """Return the fields of the commissionReport message; the profit is unset when nothing was closed."""
    return {
        "execId": done.id,
        "commission": text_of(done.commission, FieldKind.NUMBER),
        "currency": done.contract.instrument.currency,
        "realizedPNL": UNSET_NUMBER if done.realized is None else done.realized,
        "yield": UNSET_NUMBER,
    }


def _right(record: OrderRecord) -> str:
    return "?" if record.contract.sec_type == "STK" else record.contract.right
