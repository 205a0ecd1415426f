"""Entity tags: what a caller has already is not sent again."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

TAGGED = ["/api/v1/strategies", "/api/v1/positions", "/api/v1/orders", "/api/v1/runs", "/openapi.json"]


@pytest.mark.parametrize("path", TAGGED)
async def test_what_the_caller_has_already_is_not_sent_again(api: httpx.AsyncClient, path: str) -> None:
    first = await api.get(path)
    tag = first.headers["etag"]

    again = await api.get(path, headers={"If-None-Match": f'"other", {tag}'})
    other = await api.get(path, headers={"If-None-Match": '"other"'})

    assert (first.status_code, again.status_code, other.status_code) == (200, 304, 200)
    assert (again.content, again.headers["etag"]) == (b"", tag)
    assert first.headers["cache-control"] == "private, no-cache"


async def test_the_tag_holds_for_msgpack_too(api: httpx.AsyncClient) -> None:
    tag = (await api.get("/api/v1/strategies")).headers["etag"]

    again = await api.get("/api/v1/strategies", headers={"If-None-Match": tag, "Accept": "application/msgpack"})

    assert again.status_code == 304


async def test_a_change_gives_a_new_tag(api: httpx.AsyncClient, strategies_folder: Path) -> None:
    before = (await api.get("/api/v1/strategies")).headers["etag"]
    file = strategies_folder / "tagged.py"
    file.write_text("x = 1\n")

    changed = await api.get("/api/v1/strategies", headers={"If-None-Match": before})
    file.unlink()

    assert changed.status_code == 200
    assert changed.headers["etag"] != before
