"""What the numbers of TWS's error messages mean for us.

Source: IB's "TWS API message codes" and what gateways were seen to do. ib_async turns most of them into a cancelled
order; here only `orderStatus` changes an order's state, except for the codes after which no order exists at all.
"""

from __future__ import annotations

CLIENT_ID_IN_USE = 326
CONNECTION_LOST = 1100
RESTORED_DATA_LOST = 1101
RESTORED_DATA_KEPT = 1102
DUPLICATE_ORDER_ID = 103
CANCELLED = 202

CONNECTIVITY = frozenset({CONNECTION_LOST, RESTORED_DATA_LOST, RESTORED_DATA_KEPT})

# Real-time bars are dead and must be asked for again.
BARS_DEACTIVATED = frozenset({10182, 10225})

# Farm and connectivity messages that say that something works again, or is only idle.
GOOD_NEWS = frozenset({2104, 2106, 2107, 2108, 2119, 2158})

# Data farms and the connection to IB's servers that are not there.
FARM_BROKEN = frozenset({2103, 2105, 2110, 2157})

# Remarks about a request that goes on.
WARNINGS = frozenset({10167}) | frozenset(range(2100, 2200))

# Said of an order that lives on: a preset changed an attribute, it waits for the open, shares are being located.
ORDER_INFORMATION = WARNINGS | frozenset({399, 404, 10349})

# Answers to a cancel: the order was not there, or already done.
CANCEL_REFUSED = frozenset({161, 10147, 10148})

# TWS did not take the message: said of a new order, no order exists; said of a modification, the old terms stand.
NOT_TAKEN = frozenset(
    {DUPLICATE_ORDER_ID, 104, 105, 107, 109, 110, 111, 113, 116, 118, 119, 135, 200, 201, 203, 321, 329, 434, 436, 460}
)
