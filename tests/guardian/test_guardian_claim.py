"""One process at a time closes positions, and the next one knows what the one before has on its way."""

from __future__ import annotations

import asyncio
from pathlib import Path

import ib_async
from tests.guardian.conftest import AAPL, StartGuardian, held
from tests.stack import eventually

from ibdesk.gateway.faults import Drop, LateSnapshot
from ibdesk.guardian.config import GuardianConfig
from ibdesk.guardian.decisions import Rules
from ibdesk.guardian.request import StopRequest, stop_account
from ibdesk.guardian.stop import Level
from ibdesk.testing.gateway import RunningGateway

FLATTEN = StopRequest(level=Level.FLATTEN, reason="fire", seconds=60)


def config_of(tws: RunningGateway, folder: Path) -> GuardianConfig:
    return GuardianConfig(
        mode="paper", state_folder=folder, desk_socket=folder / "desk-paper.sock", host=tws.host, port=tws.port,
        client_id=90, account=tws.account, rules=Rules(), look_seconds=0.2,
    )  # fmt: skip


async def buy(person: ib_async.IB, tws: RunningGateway) -> None:
    """Buy 100; then TWS shows nobody for 12 s what is traded."""
    person.placeOrder(AAPL, ib_async.MarketOrder("BUY", 100))
    await asyncio.to_thread(tws.wait_for_order, status="Filled", quantity=100)
    told = ("openOrder", "orderStatus", "execDetails")
    tws.faults.cause(Drop(messages=told, count=0, for_seconds=12))
    tws.faults.cause(LateSnapshot(by_seconds=12))


async def test_two_stops_at_once_sell_a_position_once(
    tws: RunningGateway, person: ib_async.IB, accounts: Path, tmp_path: Path
) -> None:
    """The order of the first is not seen when its 4 s are over; the second has waited for its claim from before."""
    await buy(person, tws)
    first = asyncio.create_task(
        stop_account(config_of(tws, tmp_path / "one"), StopRequest(level=Level.FLATTEN, reason="fire", seconds=4))
    )
    await asyncio.to_thread(eventually, lambda: list(accounts.glob("*.acting")), "the claim of the first")
    second = asyncio.create_task(stop_account(config_of(tws, tmp_path / "one"), FLATTEN))

    left, done = await asyncio.gather(first, second)

    assert [order.quantity for order in tws.orders if order.action == "SELL"] == [100.0]
    assert (done.done, done.failure, held(tws)) == (True, "", {})
    assert "its orders may still be filled: start the command again" in left.failure


async def test_a_stop_of_another_state_folder_waits_for_the_order_of_a_guardian_that_was_killed(
    tws: RunningGateway, start_guardian: StartGuardian, person: ib_async.IB, tmp_path: Path
) -> None:
    await buy(person, tws)
    guardian = await asyncio.to_thread(start_guardian)
    await asyncio.to_thread(guardian.ask, "flatten")
    await asyncio.to_thread(tws.wait_for_order, client_id=90)
    guardian.kill()

    done = await stop_account(config_of(tws, tmp_path / "other"), FLATTEN)

    assert (done.done, held(tws)) == (True, {})
    assert [(order.client_id, order.quantity) for order in tws.orders if order.action == "SELL"] == [(90, 100.0)]
