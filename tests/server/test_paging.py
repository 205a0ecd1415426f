"""Pages of a list: each item once, whatever is inserted meanwhile."""

from __future__ import annotations

from typing import Any

import httpx
import polars as pl
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from ibdesk_server.paging import Pages


class Shop:
    """An app with one list, whose items can be added while pages are read."""

    def __init__(self, times: list[int | None]) -> None:
        self.rows = [(f"first-{number}", time) for number, time in enumerate(times)]
        self.app = FastAPI()

        @self.app.get("/items")
        async def items(pages: Pages, sort: str = "-at") -> dict[str, Any]:
            raw = pl.DataFrame(self.rows, schema={"id": pl.String, "at": pl.Int64}, orient="row")
            frame = raw.with_columns(pl.col("at").cast(pl.Datetime("ns", "UTC")))
            page, following = pages.page(frame, sort=sort, key=pl.col("id"))
            return {"ids": page["id"].to_list(), "next": following}

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://shop")


async def walk(shop: Shop, *, sort: str, limit: int, inserts: list[int | None]) -> list[str]:
    """Return the ids of all pages; after each page the next of `inserts` comes into the list."""
    seen: list[str] = []
    params: dict[str, Any] = {"sort": sort, "limit": limit}
    async with shop.client() as client:
        while True:
            page = (await client.get("/items", params=params)).json()
            seen += page["ids"]
            if page["next"] is None:
                return seen
            if inserts:
                shop.rows.append((f"later-{len(inserts)}", inserts.pop()))
            params["cursor"] = page["next"]


moments = st.one_of(st.none(), st.integers(0, 5))


@given(
    times=st.lists(moments, max_size=12),
    inserts=st.lists(moments, max_size=6),
    sort=st.sampled_from(["at", "-at", "id", "-id"]),
    limit=st.integers(1, 5),
)
async def test_every_item_that_was_there_is_met_once_and_none_twice(
    times: list[int | None], inserts: list[int | None], sort: str, limit: int
) -> None:
    shop = Shop(times)
    there = [name for name, _ in shop.rows]

    seen = await walk(shop, sort=sort, limit=limit, inserts=inserts)

    assert len(seen) == len(set(seen))
    assert set(there) <= set(seen)


async def test_a_page_is_sorted_with_unknown_values_last() -> None:
    shop = Shop([2, None, 3, 1])

    up = await walk(shop, sort="at", limit=3, inserts=[])
    down = await walk(shop, sort="-at", limit=3, inserts=[])

    assert up == ["first-3", "first-0", "first-2", "first-1"]
    assert down == ["first-2", "first-0", "first-3", "first-1"]


async def test_the_next_page_is_linked_with_the_filters_of_this_one() -> None:
    async with Shop([1, 2, 3]).client() as client:
        first = await client.get("/items", params={"limit": 2, "sort": "at"})
        target = first.headers["link"].removeprefix("<").removesuffix('>; rel="next"')
        second = await client.get(target)

    assert second.json() == {"ids": ["first-2"], "next": None}
    assert "link" not in second.headers


@pytest.mark.parametrize(
    "cursor",
    ["x", "AAAA", "ÿ", "k6MtYXShbQ", "k6MtYXTPgAAAAAAAAAChYQ", "k6JhdAGhYQ", "k6MtYXShYaFh"],
    ids=["one letter", "zeros", "not ascii", "cut off", "beyond int64", "other sort", "text for a time"],
)
async def test_a_made_up_cursor_is_refused(cursor: str) -> None:
    async with Shop([1, 2, 3]).client() as client:
        answer = await client.get("/items", params={"cursor": cursor})

    assert answer.status_code == 422
