"""Paging of lists by cursor, so that items added meanwhile do not shift the pages.

A cursor holds the sort column's value and the key of the page's last item. The next page begins after these two.
Walking all pages returns every item that existed at the start exactly once.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated
from urllib.parse import urlencode

import msgspec
import polars as pl
from fastapi import Depends, HTTPException, Query, Request, Response

LARGEST_PAGE = 1_000
_LONGEST_CURSOR = 600


_Nanoseconds = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class _Mark(msgspec.Struct, frozen=True, array_like=True):
    """The end of a page; `value` is text or ns UTC, None if the item has no value."""

    sort: str
    value: _Nanoseconds | str | None
    key: str


Cursor = Annotated[
    str | None,
    Query(max_length=_LONGEST_CURSOR, description="the `next` of the previous page"),
]


def link_to_next(request: Request, response: Response, cursor: str | None) -> None:
    """Add a `Link` header to the next page, if there is one, with the filters of this page."""
    if cursor is not None:
        kept = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
        target = f"{request.url.path}?{urlencode([*kept, ('cursor', cursor)])}"
        response.headers["Link"] = f'<{target}>; rel="next"'


class Paging:
    """The part of a list that a request asks for."""

    def __init__(self, request: Request, response: Response, limit: int, cursor: str | None) -> None:
        self._request, self._response = request, response
        self._limit, self._cursor = limit, cursor

    def page(self, frame: pl.DataFrame, *, sort: str, key: pl.Expr) -> tuple[pl.DataFrame, str | None]:
        """Return one page of a frame and the cursor of the next page, None at the end.

        `sort` names a column of text or times; a minus in front sorts descending. Items without a value come last.
        `key` is text that is unique for each item. The response gets a `Link` to the next page.

        Raises:
            HTTPException: 422, if the cursor is not valid, or belongs to a list sorted differently.
        """
        column, descending = sort.removeprefix("-"), sort.startswith("-")
        keyed = frame.with_columns(_key=key.cast(pl.String)).sort(
            column, "_key", descending=descending, nulls_last=True, maintain_order=True
        )
        if self._cursor is not None:
            is_time = isinstance(frame.schema[column], pl.Datetime)
            mark = _read(self._cursor, sort, kind=int if is_time else str)
            keyed = keyed.filter(_is_behind(mark, pl.col(column).to_physical(), descending=descending))
        page = keyed.head(self._limit)
        following = None
        if page.height < keyed.height:
            following = _write(_Mark(sort, page[column].to_physical()[-1], page["_key"][-1]))
            link_to_next(self._request, self._response, following)
        return page.drop("_key"), following


async def _paging(
    request: Request,
    response: Response,
    limit: Annotated[
        int, Query(ge=1, le=LARGEST_PAGE, description="maximum number of items in a page", examples=[100])
    ] = 100,
    cursor: Cursor = None,
) -> Paging:
    return Paging(request, response, limit, cursor)


Pages = Annotated[Paging, Depends(_paging)]


def _is_behind(mark: _Mark, found: pl.Expr, *, descending: bool) -> pl.Expr:
    """Return the expression that is true for rows after the mark."""
    key = pl.col("_key")
    key_behind = key < mark.key if descending else key > mark.key
    if mark.value is None:
        return found.is_null() & key_behind
    behind = found < mark.value if descending else found > mark.value
    return found.is_null() | behind | ((found == mark.value) & key_behind)


def _write(mark: _Mark) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(mark)).decode().rstrip("=")


def _read(cursor: str, sort: str, *, kind: type) -> _Mark:
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        mark = msgspec.msgpack.decode(data, type=_Mark)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise HTTPException(422, "this cursor is not valid: use the `next` of a page unchanged") from None
    if mark.sort != sort or not (mark.value is None or isinstance(mark.value, kind)):
        raise HTTPException(
            422, "this cursor belongs to a list sorted differently: keep `sort`, or start at the first page"
        )
    return mark
