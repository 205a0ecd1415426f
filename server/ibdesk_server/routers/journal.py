"""The journal: every event that reached the engine, and the engine's actions."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from fastapi import HTTPException, Query, Request, Response

from ibdesk.model import EVENT_KINDS, moment
from ibdesk_server.answers import JournalAnswer, JournalInfoAnswer, JournalRowAnswer, Listing, finite_plain
from ibdesk_server.dependencies import TheDesk, api_router
from ibdesk_server.paging import Cursor, link_to_next
from ibdesk_server.routers.filters import Since, Until

router = api_router("journal")

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_LAST_NS = 2**63 - 1

EarlierJournal = Annotated[
    str,
    Query(max_length=100, pattern=r"^[A-Za-z0-9._-]*$", description="an earlier journal; `/journals` lists them"),
]
Rows = Annotated[int, Query(ge=1, le=1_000, description="maximum number of rows in a page", examples=[100])]


@router.get("/journal", summary="List the events of a journal")
async def journal(
    request: Request,
    response: Response,
    desk: TheDesk,
    limit: Rows = 100,
    cursor: Cursor = None,
    kind: Annotated[
        list[str] | None,
        Query(max_length=50, description=f"only events of these kinds: {', '.join(EVENT_KINDS)}", examples=[["fill"]]),
    ] = None,
    order_id: Annotated[str, Query(max_length=200, description="only events about this order")] = "",
    run_id: Annotated[str, Query(max_length=200, description="only of this run; `manual` for orders by hand")] = "",
    since: Since = None,
    until: Until = None,
    sort: Annotated[
        Literal["number", "-number"], Query(description="sort order; a minus means newest first")
    ] = "-number",
    journal: EarlierJournal = "",
) -> JournalAnswer:
    """Return a page of the journal; events of the last 50 ms may be missing."""
    newest_first, number = sort == "-number", numbered(cursor)
    page = await desk.aio.journal(
        after=0 if newest_first else number,
        before=number if newest_first else 0,
        limit=limit,
        newest_first=newest_first,
        kinds=kind,
        order_id=order_id,
        run_id=run_id,
        since_ns=0 if since is None else _ns(since),
        until_ns=_LAST_NS if until is None else _ns(until),
        journal=journal,
    )
    rows = [
        JournalRowAnswer(
            number=row.number,
            at=moment(row.at_ns),
            kind=row.kind,
            event=finite_plain(row.event),
            actions=finite_plain(row.actions),
        )
        for row in page.rows
    ]
    following = str(page.next) if page.next else None
    link_to_next(request, response, following)
    return JournalAnswer(items=rows, next=following)


@router.get("/journals", summary="List the journals of this desk")
async def journals(desk: TheDesk, limit: Rows = 100) -> Listing[JournalInfoAnswer]:
    """Return the journals in the folder of the present one, newest first."""
    found = await desk.aio.journals(limit=limit)
    items = [
        JournalInfoAnswer(
            name=info.name,
            size_bytes=info.size_bytes,
            mode=info.mode,
            account=info.account,
            client_id=info.client_id,
            started_at=moment(info.started_ns) if info.started_ns else None,
            program=info.program,
            is_current=info.is_current,
            is_copy=info.is_copy,
            note=info.note,
        )
        for info in found
    ]
    return Listing(items=items, total=len(items))


def numbered(cursor: str | None) -> int:
    """Return the number of the event at which a page begins, 0 for the first page.

    Raises:
        HTTPException: 422, if the cursor does not belong to a journal.
    """
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdecimal() and 0 < int(cursor) <= _LAST_NS):
        raise HTTPException(422, "this cursor does not belong to a journal: use the `next` of a page unchanged")
    return int(cursor)


def _ns(at: dt.datetime) -> int:
    microseconds = (at - _EPOCH) // dt.timedelta(microseconds=1)
    return max(0, min(microseconds * 1_000, _LAST_NS))
