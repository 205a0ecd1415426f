"""Retries of closing orders: if an order that closes a position for a limit fails, alert at once and try again.

The retries have growing pauses and a bounded number. Each orders the quantity held then, so that a late execution of
an earlier one is not sold twice. An order that a person cancels is not tried again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ibdesk.model import Aim, Order, SetTimer, Severity

if TYPE_CHECKING:
    from ibdesk.engine.order_flow import OrderFlow

RETRY_TIMER = "/closing/"
"""The prefix of the ids of timers after which a closing order is tried again."""

_SECOND = 1_000_000_000
_PAUSE_SECONDS = (2, 5, 15, 30, 60)


def after_failure(flow: OrderFlow, aim: Aim, order: Order) -> Aim | None:
    """Report a failed closing order and set a timer for the next; return the new aim, None if it is given up."""
    owner, instrument, tries = order.owner, order.instrument, len(_PAUSE_SECONDS)
    held = flow.exposures.holding(owner, instrument).position.quantity
    if not held:
        return None
    why = f"{order.status.value} ({order.reason or 'no reason was given'})"
    if aim.failures >= tries:
        text = (
            f"{owner} still holds {held:g} {instrument}: {tries + 1} closing orders failed, the last one "
            f"was {why}; close it with `ibdesk stop --flatten`, or in TWS"
        )
        flow.alert(owner, text, Severity.ERROR)
        return None
    seconds = _PAUSE_SECONDS[aim.failures]
    text = (
        f"{instrument}: the closing order {order.id} was {why}, and {held:g} are still held: the next one leaves "
        f"in {seconds} s ({aim.failures + 1} of {tries})"
    )
    flow.alert(owner, text, Severity.ERROR)
    flow.add(SetTimer(f"{RETRY_TIMER}{owner}/{instrument}", flow.now_ns + seconds * _SECOND))
    return msgspec.structs.replace(aim, order_id="", failures=aim.failures + 1)
