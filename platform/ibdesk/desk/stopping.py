"""Stopping the account of a desk through its handle: by the guardian, by this process, or by the desk itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from ibdesk.clock import monotonic_ns
from ibdesk.desk.settings import DeskSettings
from ibdesk.errors import IbdeskError
from ibdesk.guardian.config import GuardianConfig
from ibdesk.guardian.request import StopOutcome, StopRequest, account_in, stop_account
from ibdesk.guardian.stop import Level
from ibdesk.model import OPERATOR

if TYPE_CHECKING:
    from ibdesk.desk.handle import DeskHandle

_LOOK_SECONDS = 0.1


def guardian_config(settings: DeskSettings) -> GuardianConfig:
    """Return what the guardian of a desk with these settings is told."""
    guardian, tws = settings.guardian, settings.tws
    return GuardianConfig(
        mode=settings.mode,
        state_folder=settings.state_folder.absolute(),
        desk_socket=settings.socket.path.absolute(),
        host=tws.host,
        port=tws.port,
        client_id=guardian.client_id,
        account="" if settings.mode == "embedded" else tws.account,
        rules=guardian.rules(max_daily_loss=settings.risk.max_daily_loss),
        look_seconds=guardian.look_seconds,
        outside_regular_hours=guardian.outside_regular_hours,
        settle_seconds=tws.settle_seconds,
    )


async def stop_everything(desk: DeskHandle, settings: DeskSettings, request: StopRequest) -> StopOutcome:
    """Stop the account that a desk trades, and return what came of it.

    Where engine or guardian are of this machine, the guardian does it, or this process in its place; the desk need not
    answer. An embedded account, and a desk of another machine, are stopped by commands to the desk.

    Raises:
        ConfigError: If the account is not named where it must be, or is another one.
        DeskError: If the guardian refuses, or a desk that must do it does not answer.
    """
    config = guardian_config(settings)
    if config.command_socket.exists() or (config.mode != "embedded" and account_in(config, only_held=True)):
        return await stop_account(config, request)
    return await _by_desk(desk, request)


async def _by_desk(desk: DeskHandle, request: StopRequest) -> StopOutcome:
    began_ns = monotonic_ns()
    by = request.by or OPERATOR
    async with asyncio.timeout(request.seconds):
        halt = await desk.aio.halt(request.reason, by=by)
        cancelled = 0
        if request.level is not Level.HALT:
            cancelled = await desk.aio.cancel_all(by=by)
        if request.level is Level.FLATTEN:
            rows = (await desk.aio.positions()).iter_rows(named=True)
            for owner in dict.fromkeys(row["owner"] for row in rows if row["quantity"]):
                await _flatten(desk, owner, by)
    outcome = StopOutcome(
        done=False,
        level=request.level,
        halt_id=halt.id,
        account="",
        by_guardian=False,
        seconds=0.0,
        cancels_sent=cancelled,
    )
    while True:
        health = await desk.aio.health()
        held = {
            f"{row['owner']} {row['symbol']}": row["quantity"]
            for row in (await desk.aio.positions()).iter_rows(named=True)
            if row["quantity"]
        }
        seconds = (monotonic_ns() - began_ns) / 1e9
        works = health.open_orders if request.level is not Level.HALT else 0
        left = works or (held if request.level is Level.FLATTEN else 0)
        if not left or seconds > request.seconds:
            failure = "the desk's own process cannot be ended from here" if request.kill else ""
            if left:
                failure = f"not done yet: {works} orders work, held is {held}; the desk goes on"
            return msgspec.structs.replace(
                outcome,
                done=not failure,
                account=health.account,
                seconds=seconds,
                open_orders=health.open_orders,
                positions=held,
                failure=failure,
            )
        await asyncio.sleep(_LOOK_SECONDS)


async def _flatten(desk: DeskHandle, owner: str, by: str) -> None:
    """Close what a run holds, or what was traded by hand; what was traded outside the desk is no order of it."""
    try:
        await desk.aio.stop(owner, flatten=True, by=by)
    except IbdeskError:
        for row in (await desk.aio.positions()).iter_rows(named=True):
            if row["owner"] == owner == "manual" and row["quantity"]:
                side = "sell" if row["quantity"] > 0 else "buy"
                await desk.aio.place(row["symbol"], side, abs(row["quantity"]), by=by)
