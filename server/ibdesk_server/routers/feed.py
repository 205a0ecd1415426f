"""Who follows the feed, and how far behind each is. For admins."""

from __future__ import annotations

import msgspec

from ibdesk_server.answers import FeedClientAnswer, Listing
from ibdesk_server.dependencies import AppServices, api_router
from ibdesk_server.security.principal import Role

router = api_router("feed", role=Role.ADMIN)


@router.get("/feed/clients", summary="Who follows the feed, and how far behind each is")
async def clients(found: AppServices) -> Listing[FeedClientAnswer]:
    """Return the clients of the server that answers, the one furthest behind first; `worker` tells which server."""
    worker = found.watch.worker
    items = [
        FeedClientAnswer.model_validate(msgspec.structs.asdict(lag) | {"worker": worker}) for lag in found.hub.lags()
    ]
    return Listing[FeedClientAnswer](items=items, total=len(items))
