"""What each role may do, and what those above and below it may; what keys are narrowed to."""

from __future__ import annotations

import httpx
import pytest
from tests.server.conftest import People

from ibdesk_server.security.principal import Principal, ProofKind, Role

HALT, RESUME = "/api/v1/risk/halt", "/api/v1/risk/resume"


def test_roles_stand_one_above_the_other() -> None:
    trader = Principal("tom", Role.TRADER, ProofKind.SESSION)

    assert Role.VIEWER < Role.TRADER < Role.ADMIN
    assert [trader.may(role) for role in Role] == [True, True, False]


@pytest.mark.parametrize(
    ("name", "statuses"), [("vera", (200, 403, 403, 403)), ("tom", (200, 200, 204, 403)), ("ann", (200, 200, 204, 200))]
)
async def test_a_viewer_looks_a_trader_halts_an_admin_sees_the_users(
    stranger: httpx.AsyncClient, people: People, name: str, statuses: tuple[int, ...]
) -> None:
    headers, why = people.bearer(name), {"reason": "the news"}

    looked = await stranger.get("/api/v1/account", headers=headers)
    halted = await stranger.post(HALT, json=why, headers=headers)
    lifted = why | {"id": halted.json().get("id", "none")}
    resumed = await stranger.post(RESUME, json=lifted, headers=headers)
    users = await stranger.get("/api/v1/users", headers=headers)

    assert tuple(answer.status_code for answer in (looked, halted, resumed, users)) == statuses


async def test_a_refusal_names_the_role_that_is_missing(stranger: httpx.AsyncClient, people: People) -> None:
    refused = await stranger.post(HALT, json={"reason": "the news"}, headers=people.bearer("vera"))

    assert refused.json()["detail"] == "this needs the role trader, and vera is a viewer"


async def test_a_key_reaches_no_further_than_its_scopes(stranger: httpx.AsyncClient, people: People) -> None:
    headers = {"X-API-Key": people.key("bot", Role.TRADER, scopes=["orders:read", "risk"])}

    read = await stranger.get("/api/v1/orders", headers=headers)
    written = await stranger.delete("/api/v1/orders", headers=headers)
    elsewhere = await stranger.get("/api/v1/quotes", headers=headers)
    halt = (await stranger.post(HALT, json={"reason": "the news"}, headers=headers)).json()
    both = await stranger.post(RESUME, json={"id": halt["id"], "reason": "all is well"}, headers=headers)

    assert [answer.status_code for answer in (read, written, elsewhere, both)] == [200, 403, 403, 204]
    assert elsewhere.json()["detail"] == "this needs the scope market, and key:bot is limited to orders:read, risk"


async def test_scopes_do_not_add_to_a_role(stranger: httpx.AsyncClient, people: People) -> None:
    headers = {"X-API-Key": people.key("bot", Role.VIEWER, scopes=["risk", "users"])}

    halted = await stranger.post(HALT, json={"reason": "the news"}, headers=headers)
    users = await stranger.get("/api/v1/users", headers=headers)

    assert (halted.status_code, users.status_code) == (403, 403)
