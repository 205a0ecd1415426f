"""What each role may do, and what those above and below it may."""

from __future__ import annotations

import httpx

from ibdesk_server.security.principal import Kind, Principal, Role
from ibdesk_server.serve import WebServer

VIEWER = Principal("vera", Role.VIEWER, Kind.SESSION)
TRADER = Principal("tom", Role.TRADER, Kind.SESSION)


def test_roles_stand_one_above_the_other() -> None:
    assert Role.VIEWER < Role.TRADER < Role.ADMIN
    assert [TRADER.may(role) for role in Role] == [True, True, False]


async def test_a_viewer_looks_and_a_trader_halts(web: WebServer, stranger: httpx.AsyncClient) -> None:
    async def after_login(principal: Principal) -> tuple[int, int, int]:
        await stranger.get(web.url + web.security.login_path(principal))
        looked = await stranger.get("/api/v1/account")
        halted = await stranger.post("/api/v1/halt", json={"reason": "the news"})
        resumed = await stranger.post("/api/v1/resume", json={"reason": "it was nothing"})
        return looked.status_code, halted.status_code, resumed.status_code

    assert await after_login(VIEWER) == (200, 403, 403)
    assert await after_login(TRADER) == (200, 204, 204)


async def test_a_refusal_names_the_role_that_is_missing(web: WebServer, stranger: httpx.AsyncClient) -> None:
    await stranger.get(web.url + web.security.login_path(VIEWER))

    refused = await stranger.post("/api/v1/halt", json={"reason": "the news"})

    assert refused.json()["detail"] == "this needs the role trader, and vera is a viewer"
