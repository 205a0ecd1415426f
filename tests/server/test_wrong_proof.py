"""Who comes with a wrong proof is told that it is wrong; who comes with none, what to come with."""

from __future__ import annotations

import datetime as dt
from typing import Any

import httpx
import pytest

from ibdesk_server.security.presented import COOKIE


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({}, "log in first"),
        ({"X-API-Key": "k" * 43}, "this key or token is not valid"),
        ({"X-API-Key": ""}, "this key or token is not valid"),
        ({"Authorization": "Bearer nonsense"}, "this key or token is not valid"),
        ({"Cookie": f"{COOKIE}=nonsense"}, "this browser's login has ended"),
    ],
)
async def test_a_wrong_proof_is_told_from_none(
    stranger: httpx.AsyncClient, headers: dict[str, str], words: str
) -> None:
    answer = await stranger.get("/api/v1/orders", headers=headers)

    assert (answer.status_code, words in answer.json()["detail"]) == (401, True), answer.text


async def test_a_revoked_key_is_told_like_one_that_never_was(stranger: httpx.AsyncClient, people: Any) -> None:
    key = people.key("bot")
    await people.security.change(people.security.keys.revoke, "bot")

    revoked = await stranger.get("/api/v1/orders", headers={"X-API-Key": key})
    made_up = await stranger.get("/api/v1/orders", headers={"X-API-Key": key[:-1] + ("a" if key[-1] != "a" else "b")})

    assert revoked.json()["detail"] == made_up.json()["detail"]


@pytest.mark.parametrize(("expires", "hours"), [("90d", 2_160), ("12h", 12), ("P1DT12H", 36)])
async def test_a_key_over_rest_takes_the_lengths_of_the_command(
    api: httpx.AsyncClient, expires: str, hours: float
) -> None:
    made = (await api.post("/api/v1/keys", json={"name": f"key-{expires.lower()}", "expires": expires})).json()
    wrong = await api.post("/api/v1/keys", json={"name": "other", "expires": "3weeks"})

    life = _instant(made["expires_at"]) - _instant(made["created_at"])
    assert life == hours * 3_600
    assert (wrong.status_code, wrong.json()["detail"]) == (422, "body.expires: Use days or hours, e.g. 90d or 12h.")


def _instant(text: str) -> float:

    return dt.datetime.fromisoformat(text).timestamp()
