"""Requests that the gateway answers without reading more than their id.

They concern subscriptions and windows that the gateway does not have, so the answer does not depend on the rest.
"""

from __future__ import annotations

from ibdesk.gateway.protocol.codec import Fields
from ibdesk.gateway.protocol.framing import integer
from ibdesk.gateway.protocol.incoming import REQUEST_ID_AT

UNREAD = {
    19: "replaceFA",
    21: "exerciseOptions",
    22: "reqScannerSubscription",
    52: "reqFundamentalData",
    53: "cancelFundamentalData",
    54: "calculateImpliedVolatility",
    55: "calculateOptionPrice",
    56: "cancelCalculateImpliedVolatility",
    57: "cancelCalculateOptionPrice",
    67: "queryDisplayGroups",
    68: "subscribeToGroupEvents",
    69: "updateDisplayGroup",
    70: "unsubscribeFromGroupEvents",
    84: "reqNewsArticle",
    86: "reqHistoricalNews",
    100: "reqWshMetaData",
    101: "cancelWshMetaData",
    102: "reqWshEventData",
    103: "cancelWshEventData",
}
"""The name of the request by number; the index of its id is in REQUEST_ID_AT."""


def unread(number: int, texts: list[str]) -> Fields | None:
    """Return the request with only its id; None if it is not in `UNREAD` or has no id."""
    name, place = UNREAD.get(number), REQUEST_ID_AT.get(number, 0)
    if name is None or place >= len(texts):
        return None
    return None if integer(texts[place]) is None else Fields(name, {"reqId": texts[place]})
