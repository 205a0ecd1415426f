"""The messages that the guardian sends to TWS, written from the tables of the protocol.

The embedded gateway uses the same tables to read recorded traffic of genuine gateways. A test compares each message
with that of ib_async.
"""

from __future__ import annotations

from ibdesk.gateway.protocol.codec import Value, encode
from ibdesk.gateway.protocol.incoming import INCOMING
from ibdesk.guardian.account import Contract

_REQUESTS = {message.name: message for message in INCOMING.values()}
# _VERSIONS: the value of the requests' own version field, if it is not 1.
_VERSIONS = {
    "startApi": 2,
    "reqAccountUpdates": 2,
    "reqExecutions": 3,
    "reqContractDetails": 8,
}
# The values that ib_async writes into the unset fields of a plain order.
_PLAIN_ORDER: dict[str, Value] = {
    "strike": "0.0",
    "openClose": "O",
    "origin": 0,
    "transmit": True,
    "parentId": 0,
    "displaySize": 0,
    "triggerMethod": 0,
    "discretionaryAmt": "0.0",
    "shortSaleSlot": 0,
    "exemptCode": -1,
    "ocaType": 0,
    "auctionStrategy": 0,
    "conditionsCount": 0,
    "adjustableTrailingUnit": 0,
    **dict.fromkeys(
        (
            "blockOrder", "sweepToFill", "hidden", "allOrNone", "eTradeOnly", "firmQuoteOnly",
            "overridePercentageConstraints", "continuousUpdate", "optOutSmartRouting", "notHeld",
            "deltaNeutralContractPresent", "whatIf", "solicited", "randomizeSize", "randomizePrice",
            "dontUseAutoPriceForHedge", "isOmsContainer", "discretionaryUpToLimitPrice", "usePriceMgmtAlgo",
            "autoCancelParent",
        ),
        False,
    ),
}  # fmt: skip


def request(name: str, version: int, **values: Value) -> bytes:
    """Return the frame of a request."""
    return encode(_REQUESTS[name], {"version": _VERSIONS.get(name, 1), **values}, version)


def market_order(
    version: int,
    order_id: int,
    contract: Contract,
    *,
    exchange: str,
    account: str,
    quantity: float,
    reference: str,
    outside_regular_hours: bool,
) -> bytes:
    """Return the frame of a market order for the day; `quantity` is signed: positive buys."""
    values: dict[str, Value] = {
        **_PLAIN_ORDER,
        "orderId": order_id,
        "conId": contract.con_id,
        "symbol": contract.symbol,
        "secType": contract.kind,
        "exchange": exchange,
        "currency": contract.currency,
        "action": "BUY" if quantity > 0 else "SELL",
        "totalQuantity": abs(quantity),
        "orderType": "MKT",
        "tif": "DAY",
        "account": account,
        "orderRef": reference,
        "outsideRth": outside_regular_hours,
    }
    return encode(_REQUESTS["placeOrder"], values, version)
