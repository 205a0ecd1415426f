"""Stopping a desk's account through its handle: by the guardian, by this process, or by the desk itself."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import msgspec

from ibdesk.clock import monotonic_ns
from ibdesk.desk.settings import DeskSettings
from ibdesk.engine.portfolio import EXTERNAL, MANUAL
from ibdesk.errors import ConfigError, DeskError, IbdeskError
from ibdesk.guardian.config import GuardianConfig
from ibdesk.guardian.request import StopOutcome, StopRequest, account_in, stop_account
from ibdesk.guardian.stop import Level, name_of, words_of
from ibdesk.model import OPERATOR

if TYPE_CHECKING:
    from ibdesk.desk.answers import DeskHealth, ExposureInfo
    from ibdesk.desk.handle import DeskHandle

_LOOK_SECONDS = 0.1
# Rounding error allowed, as a fraction of the position; the gate allows as much.
_DUST = 1e-9


def guardian_config(settings: DeskSettings) -> GuardianConfig:
    """Return the configuration of the guardian of a desk with these settings."""
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
    """Stop the account that a desk trades, and return the outcome.

    If engine or guardian run on this machine, the guardian does it, or this process in its place, even if the desk does
    not answer. An embedded account, and a desk on another machine, are stopped by commands to the desk.

    Raises:
        ConfigError: If the account is missing where it is needed, or is another one.
        DeskError: If the guardian refuses, or a desk that must do it does not answer.
    """
    config = guardian_config(settings)
    if config.command_socket.exists() or (config.mode != "embedded" and account_in(config, only_held=True)):
        return await stop_account(config, request)
    return await _by_desk(desk, request)


async def _by_desk(desk: DeskHandle, request: StopRequest) -> StopOutcome:
    """Stop by commands to the desk.

    Raises:
        ConfigError: If the account is missing where it is needed, or is another one.
        DeskError: If the desk does not answer in time.
    """
    began_ns, by = monotonic_ns(), name_of(request.by) or OPERATOR
    deadline = asyncio.get_running_loop().time() + request.seconds
    try:
        async with asyncio.timeout_at(deadline):
            health = await desk.aio.health()
            _check_account(health, request)
            halt = await desk.aio.halt(words_of(request.reason), by=by)
            cancelled = 0 if request.level is Level.HALT else await desk.aio.cancel_all(by=by)
            faults = await _flatten(desk, by) if request.level is Level.FLATTEN else []
    except TimeoutError:
        raise DeskError(
            f"the desk did not answer within {request.seconds:g} s: check its halts, orders and positions, and try "
            f"again"
        ) from None
    left = _Left(f"the desk has not answered again within {request.seconds:g} s")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout_at(deadline):
            while left.words:
                left = await _left(desk, request.level)
                if left.words:
                    await asyncio.sleep(_LOOK_SECONDS)
    failure = "the desk's own process cannot be ended from here" if request.kill else ""
    if left.words:
        failure = "; ".join([f"not done yet: {left.words}; the desk continues", *faults])
    return StopOutcome(
        done=not failure,
        level=request.level,
        halt_id=halt.id,
        account=health.account,
        by_guardian=False,
        seconds=(monotonic_ns() - began_ns) / 1e9,
        cancels_sent=cancelled,
        open_orders=left.open_orders,
        positions=left.positions,
        failure=failure,
    )


def _check_account(health: DeskHealth, request: StopRequest) -> None:
    if health.mode == "live" and not request.account:
        raise ConfigError(f"mode is live: name the account to be stopped ({health.account})")
    if request.account and request.account != health.account:
        raise ConfigError(f"the desk trades account {health.account}, not {request.account}")


async def _flatten(desk: DeskHandle, by: str) -> list[str]:
    """Close the positions of runs and of the book `manual` through the desk; return its refusals."""
    rows = (await desk.aio.positions()).iter_rows(named=True)
    faults = []
    # Once per owner: the desk waits until its orders have ended, and closes what it then holds.
    for owner in dict.fromkeys(row["owner"] for row in rows if row["quantity"]):
        try:
            if owner == MANUAL:
                await desk.aio.flatten(by=by)
            elif owner != EXTERNAL:
                await desk.aio.stop(owner, flatten=True, by=by)
        except IbdeskError as error:
            faults.append(f"{owner}: {error}")
    return faults


class _Left(msgspec.Struct, frozen=True):
    """The remaining work of a stop, in words, and the account's open orders and positions."""

    words: str
    open_orders: int = 0
    positions: dict[str, float] = {}


async def _left(desk: DeskHandle, level: Level) -> _Left:
    rows = [row for row in (await desk.aio.positions()).iter_rows(named=True) if row["quantity"]]
    positions = {f"{row['owner']} {row['symbol']}": row["quantity"] for row in rows}
    open_orders = (await desk.aio.health()).open_orders
    if level is Level.HALT:
        growing = [f"{each.owner} {each.symbol}" for each in (await desk.aio.risk()).exposures if may_grow(each)]
        words = f"orders may still grow or turn {', '.join(growing)}, held is {positions}" if growing else ""
    else:
        is_over = not open_orders and not (level is Level.FLATTEN and positions)
        words = "" if is_over else f"{open_orders} orders still work, held is {positions}"
    return _Left(words, open_orders, positions)


def may_grow(exposure: ExposureInfo) -> bool:
    """Return whether open orders may increase or reverse a position."""
    held = exposure.held
    beyond = max(exposure.highest - max(held, 0.0), min(held, 0.0) - exposure.lowest)
    return beyond > _DUST * abs(held)
