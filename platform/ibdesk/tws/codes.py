"""TWS's error codes and what they mean for us.

Source: IB's "TWS API message codes" and the observed behavior of gateways. ib_async treats most of them as a cancelled
order; here only `orderStatus` changes an order's state, except for codes that say that no order exists.
"""

from __future__ import annotations

CLIENT_ID_IN_USE = 326
CONNECTION_LOST = 1100
RESTORED_DATA_LOST = 1101
RESTORED_DATA_KEPT = 1102
DUPLICATE_ORDER_ID = 103
CANCELLED = 202

CONNECTIVITY = frozenset({CONNECTION_LOST, RESTORED_DATA_LOST, RESTORED_DATA_KEPT})

# Real-time bars have ended and must be requested again.
BARS_DEACTIVATED = frozenset({10182, 10225})

# Farm and connectivity messages: something works again, or is only idle.
GOOD_NEWS = frozenset({2104, 2106, 2107, 2108, 2119, 2158})

# Broken data farms and broken connections to IB's servers.
FARM_BROKEN = frozenset({2103, 2105, 2110, 2157})

# Warnings about a request that continues.
WARNINGS = frozenset({10167}) | frozenset(range(2100, 2200))

# About an order that stays open: a preset changed an attribute, it waits for the open, shares are being located.
ORDER_INFORMATION = WARNINGS | frozenset({399, 404, 10349})

# Answers to a cancel: the order was not found, or is already done.
CANCEL_REFUSED = frozenset({161, 10147, 10148})

# TWS did not accept the message. After a new order: no order exists. After a modification: the old terms stand.
NOT_TAKEN = frozenset(
    {DUPLICATE_ORDER_ID, 104, 105, 107, 109, 110, 111, 113, 116, 118, 119, 135, 200, 201, 203, 321, 329, 434, 436, 460}
)
