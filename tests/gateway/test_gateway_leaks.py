"""Clients that come and go leave nothing behind.

`make proof` runs ten thousand of them, `make test` a tenth; a leak of one object per visit shows with either.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from ibdesk.gateway import Gateway
from ibdesk.gateway.protocol.codec import Value

if TYPE_CHECKING:
    from tests.gateway.conftest import MakeWire, Wire

CYCLES = 2_500 if "IBDESK_PROOF_SEEDS" in os.environ else 240
AT_ONCE, ROUNDS = 20, 4
# Until then cancelled actions may stay in the gateway's list: the longest wait is that for an account's values.
ALL_PAST_SECONDS = 200.0
AAPL: dict[str, Value] = {"conId": 265598, "symbol": "AAPL", "secType": "STK", "exchange": "SMART", "currency": "USD"}


def objects() -> Counter[str]:
    """Count the live objects by type."""
    gc.collect()
    return Counter(type(each).__qualname__ for each in gc.get_objects())


def subscribe(wire: Wire) -> None:
    """Request one of each subscription."""
    wire.send(1, reqId=1, **AAPL, genericTickList="233")
    wire.send(50, reqId=2, **AAPL, barSize=5, whatToShow="TRADES")
    wire.send(97, reqId=3, **AAPL, tickType="BidAsk", numberOfTicks=0)
    wire.send(10, reqId=4, **AAPL, numRows=3)
    wire.send(6, subscribe=1, acctCode="")
    wire.send(61)
    wire.send(62, reqId=5, groupName="All", tags="NetLiquidation")
    wire.send(92, reqId=6, account="DU9000001")
    wire.send(74, reqId=7, account="DU9000001")


async def visit(dial: MakeWire, gateway: Gateway, client_id: int) -> None:
    """Connect, subscribe, and leave: every third time without a word about the end."""
    wire = await dial(client_id)
    subscribe(wire)
    wire.send(49)
    await wire.until("currentTime")
    if client_id % 3 == 0:
        wire.writer.transport.abort()
    else:
        wire.close()
    async with asyncio.timeout(10):
        while client_id in gateway.client_ids:  # noqa: ASYNC110 - no event tells of one client's leaving
            await asyncio.sleep(0)


async def visits(dial: MakeWire, gateway: Gateway, count: int) -> None:
    for _ in range(count // AT_ONCE):
        await asyncio.gather(*(visit(dial, gateway, client_id) for client_id in range(1, AT_ONCE + 1)))
        gateway.advance(0.05)


@pytest.mark.proof
@pytest.mark.timeout(180)
async def test_visits_leave_no_object_behind(gateway: Gateway, dial_once: MakeWire) -> None:
    async def round_of_visits() -> None:
        await visits(dial_once, gateway, CYCLES)
        gateway.advance(ALL_PAST_SECONDS)

    await round_of_visits()
    # Counting fills caches of the interpreter, so the first count is discarded.
    objects()
    before, blocks = objects(), []

    for _ in range(ROUNDS):
        began_with = sys.getallocatedblocks()
        await round_of_visits()
        gc.collect()
        blocks.append(sys.getallocatedblocks() - began_with)

    # A leak of one object a visit would show as forty times that; caches may still grow by a few.
    grown = {name: count - before[name] for name, count in objects().items() if count - before[name] > CYCLES // 10}
    assert grown == {}
    # The number of memory blocks includes objects that the collector does not see. A leak grows in every round; Python
    # 3.12's records of frequent code grow only in the first ones.
    assert min(blocks) < CYCLES // 2, blocks
