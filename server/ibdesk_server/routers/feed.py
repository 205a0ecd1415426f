"""The clients of the feed and their lag. For admins."""

from __future__ import annotations

import msgspec

from ibdesk_server.answers import FeedClientAnswer, Listing
from ibdesk_server.dependencies import AppServices, api_router
from ibdesk_server.security.principal import Role

router = api_router("feed", role=Role.ADMIN)


@router.get("/feed/clients", summary="List feed clients")
async def clients(found: AppServices) -> Listing[FeedClientAnswer]:
    """Return the feed clients of the web server that answers, largest lag first; `worker` names the server."""
    worker = found.watch.worker
    items = [
        FeedClientAnswer.model_validate(msgspec.structs.asdict(lag) | {"worker": worker}) for lag in found.hub.lags()
    ]
    return Listing[FeedClientAnswer](items=items, total=len(items))
