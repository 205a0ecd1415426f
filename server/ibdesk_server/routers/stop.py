"""The request that stops the account; it works even if the engine hangs or Redis is away."""

from __future__ import annotations

from fastapi import HTTPException
from pydantic import Field

from ibdesk.desk.stopping import stop_everything
from ibdesk.errors import ConfigError
from ibdesk.guardian.request import StopRequest
from ibdesk.guardian.stop import Level
from ibdesk_server.answers import StopAnswer
from ibdesk_server.dependencies import Caller, TheDesk, TheSettings, api_router, needs
from ibdesk_server.routers.risk import Reason
from ibdesk_server.security.principal import Role

router = api_router("risk")
# After this time the stop continues in the background, and the answer says so.
_SECONDS = 10.0


class StopBody(Reason):
    """The level and reason of a stop; in mode live, the account is required."""

    level: Level = Field(Level.HALT, description="`halt`, also `cancel` every order, or also `flatten` every position")
    kill: bool = Field(False, description="also kill the engine's process", strict=True)
    account: str = Field("", max_length=32, pattern=r"^[A-Za-z0-9]*$", description="required in mode live")


@router.post("/stop", dependencies=[needs(Role.TRADER)], summary="Stop the account")
async def stop(body: StopBody, caller: Caller, desk: TheDesk, settings: TheSettings) -> StopAnswer:
    """Halt the account, and cancel its orders or close its positions, even if the engine hangs.

    The guardian does the work; without a guardian, the server does. The halt stands until it is lifted by its id with
    `/risk/resume`.
    """
    request = StopRequest(
        level=body.level, kill=body.kill, reason=body.reason, by=caller.name, account=body.account, seconds=_SECONDS
    )
    try:
        outcome = await stop_everything(desk, settings, request)
    except ConfigError as error:
        raise HTTPException(409, str(error)) from None
    return StopAnswer(
        done=outcome.done,
        level=outcome.level.value,
        halt_id=outcome.halt_id,
        account=outcome.account,
        by_guardian=outcome.by_guardian,
        seconds=outcome.seconds,
        open_orders=outcome.open_orders,
        positions=outcome.positions,
        failure=outcome.failure,
    )
