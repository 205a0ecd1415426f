"""Logging in by name and password: tokens, their exchange for new ones, their end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.server.conftest import People

from ibdesk_server.security.directory import Directory
from ibdesk_server.security.guard import Security
from ibdesk_server.security.principal import Role
from ibdesk_server.serve import WebServer

LOGIN, REFRESH, LOGOUT, ME = (f"/api/v1/auth/{name}" for name in ("login", "refresh", "logout", "me"))
WRONG = "wrong name or password, or the user is disabled"


async def log_in(client: httpx.AsyncClient, name: str, password: str = People.PASSWORD) -> httpx.Response:
    return await client.post(LOGIN, json={"name": name, "password": password})


async def me(client: httpx.AsyncClient, admission: dict[str, Any]) -> httpx.Response:
    return await client.get(ME, headers={"Authorization": f"Bearer {admission['access_token']}"})


async def test_a_password_gives_an_access_token_and_a_refresh_token(
    stranger: httpx.AsyncClient, people: People
) -> None:
    admission = (await log_in(stranger, "tom")).json()
    answer = await me(stranger, admission)

    assert {name: admission[name] for name in ("name", "role", "token_type", "expires_in")} == {
        "name": "tom",
        "role": "trader",
        "token_type": "Bearer",
        "expires_in": 600,
    }
    assert answer.json() == {"name": "tom", "role": "trader", "kind": "token", "scopes": None}


async def test_unknown_wrong_and_disabled_look_the_same(stranger: httpx.AsyncClient, people: People) -> None:
    people.security.users.set_disabled("tom", disabled=True)

    answers = [
        await log_in(stranger, "nobody"),
        await log_in(stranger, "vera", "three words nobody guesses"),
        await log_in(stranger, "tom"),
    ]

    assert [answer.status_code for answer in answers] == [401, 401, 401]
    assert {answer.json()["detail"] for answer in answers} == {WRONG}


async def test_a_refresh_token_is_good_once_and_its_second_use_ends_the_login(
    stranger: httpx.AsyncClient, people: People
) -> None:
    first = (await log_in(stranger, "vera")).json()
    second = (await stranger.post(REFRESH, json={"refresh_token": first["refresh_token"]})).json()
    assert (await me(stranger, second)).status_code == 200

    stolen = await stranger.post(REFRESH, json={"refresh_token": first["refresh_token"]})
    thiefs_victim = await stranger.post(REFRESH, json={"refresh_token": second["refresh_token"]})

    assert (stolen.status_code, thiefs_victim.status_code) == (401, 401)
    assert stolen.json()["detail"] == "this login has ended: log in again"
    assert (await me(stranger, second)).status_code == 401


async def test_logging_out_ends_this_login_and_no_other(stranger: httpx.AsyncClient, people: People) -> None:
    here, there = [(await log_in(stranger, "vera")).json() for _ in range(2)]

    ended = await stranger.post(LOGOUT, headers={"Authorization": f"Bearer {here['access_token']}"})

    assert ended.status_code == 204
    assert (await me(stranger, here)).status_code == 401
    assert (await stranger.post(REFRESH, json={"refresh_token": here["refresh_token"]})).status_code == 401
    assert (await me(stranger, there)).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/v1/users/vera/revoke", None),
        ("PATCH", "/api/v1/users/vera", {"role": "trader"}),
        ("PATCH", "/api/v1/users/vera", {"disabled": True}),
        ("PATCH", "/api/v1/users/vera", {"password": "five other words to remember"}),
        ("DELETE", "/api/v1/users/vera", None),
    ],
)
async def test_what_an_admin_changes_about_a_user_ends_their_logins_at_once(
    stranger: httpx.AsyncClient, people: People, method: str, path: str, body: dict[str, Any] | None
) -> None:
    admission, others = (await log_in(stranger, "vera")).json(), (await log_in(stranger, "tom")).json()
    session = await stranger.post("/session", headers={"Authorization": f"Bearer {admission['access_token']}"})
    cookie = {"Cookie": f"ibdesk_session={session.cookies['ibdesk_session']}"}
    stranger.cookies.clear()
    assert (await stranger.get(ME, headers=cookie)).json()["name"] == "vera"

    changed = await stranger.request(method, path, json=body, headers=people.bearer("ann"))

    assert changed.is_success
    assert (await me(stranger, admission)).status_code == 401
    assert (await stranger.post(REFRESH, json={"refresh_token": admission["refresh_token"]})).status_code == 401
    assert (await stranger.get(ME, headers=cookie)).status_code == 401
    assert (await me(stranger, others)).status_code == 200


async def test_another_process_hears_of_a_revocation_within_the_recheck(tmp_path: Path, password_hash: str) -> None:
    now = 10**18
    one, other = (Security("k" * 43, directory=Directory(tmp_path / "access.db"), clock=lambda: now) for _ in range(2))
    token = People(one, password_hash).token("vera")
    assert await one.principal_of(token) is not None
    assert await other.principal_of(token) is not None

    await one.change(one.users.revoke, "vera")

    assert await one.principal_of(token) is None
    now += 10**9 - 1
    assert await other.principal_of(token) is not None
    now += 1
    assert await other.principal_of(token) is None


async def test_guessing_gets_slower_for_the_name_known_or_not_and_for_the_address(
    web: WebServer, stranger: httpx.AsyncClient, people: People
) -> None:
    known = [await log_in(stranger, "vera", "wrong wrong wrong") for _ in range(3)]
    right, unknown = await log_in(stranger, "vera"), await log_in(stranger, "nobody")

    assert [answer.status_code for answer in known] == [401, 401, 401]
    # The address has failed three times, too.
    assert (right.status_code, unknown.status_code) == (429, 429)
    assert right.headers["retry-after"] == "1"
    assert right.json()["detail"] == unknown.json()["detail"] == "too many logins have failed: try again in 1 s"


async def test_a_users_password_is_never_told(stranger: httpx.AsyncClient, people: People) -> None:
    told = await stranger.get("/api/v1/users", headers=people.bearer("ann"))

    assert [set(user) for user in told.json()] == [{"name", "role", "disabled", "created_at"}] * 3


async def test_a_key_is_shown_once_and_listed_without_itself(stranger: httpx.AsyncClient, people: People) -> None:
    ann = people.bearer("ann")
    made = await stranger.post("/api/v1/keys", json={"name": "grafana", "scopes": ["feed", "health:read"]}, headers=ann)
    key = made.json()["key"]
    used = await stranger.get("/health/detailed", headers={"X-API-Key": key})
    listed = await stranger.get("/api/v1/keys", headers=ann)

    assert (made.status_code, used.status_code) == (201, 200)
    (row,) = listed.json()
    assert key not in listed.text
    assert row["prefix"] == key.split("_")[1]
    assert (row["role"], row["scopes"], row["created_by"]) == ("viewer", ["feed", "health:read"], "ann")
    assert row["used_at"] is not None


async def test_a_revoked_key_is_worthless_at_once_and_its_name_stays_taken(
    stranger: httpx.AsyncClient, people: People
) -> None:
    ann, key = people.bearer("ann"), {"X-API-Key": people.key("bot")}
    assert (await stranger.get(ME, headers=key)).json()["name"] == "key:bot"

    revoked = await stranger.delete("/api/v1/keys/bot", headers=ann)
    again = await stranger.post("/api/v1/keys", json={"name": "bot"}, headers=ann)

    assert revoked.json()["revoked"] is True
    assert (await stranger.get(ME, headers=key)).status_code == 401
    assert (again.status_code, again.json()["detail"]) == (409, "there is a key 'bot' already: choose another name")


async def test_a_key_does_not_become_a_browsers_login(stranger: httpx.AsyncClient, people: People) -> None:
    refused = await stranger.post("/session", headers={"X-API-Key": people.key("bot", scopes=["feed"])})

    assert refused.status_code == 422
    assert refused.json()["detail"] == "only a login by name and password can start a browser session"


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"name": "eve", "password": "too short"}, "a password must have at least 12 characters, got 9"),
        ({"name": "eve", "password": "x" * 300}, "a password must have at most 256 characters, got 300"),
        ({"name": "eve", "password": "aaaaaaaaaaaaaaaa"}, "this password is too easy to guess"),
        ({"name": "eve.elizabeth", "password": "eve.elizabeth1"}, "this password is too easy to guess"),
        ({"name": "local", "password": People.PASSWORD}, "'local' is not a valid user name"),
        # Halts of these names have a meaning of their own.
        ({"name": "guardian", "password": People.PASSWORD}, "'guardian' is not a valid user name"),
        ({"name": "external", "password": People.PASSWORD}, "'external' is not a valid user name"),
        ({"name": "key:bot", "password": People.PASSWORD}, "'key:bot' is not a valid user name"),
        ({"name": "vera", "password": People.PASSWORD}, "there is a user 'vera' already: choose another name"),
    ],
)
async def test_a_user_that_cannot_be_is_refused_with_the_reason(
    stranger: httpx.AsyncClient, people: People, body: dict[str, str], detail: str
) -> None:
    answer = await stranger.post("/api/v1/users", json=body | {"role": "viewer"}, headers=people.bearer("ann"))

    assert answer.status_code in {409, 422}
    assert answer.json()["detail"].startswith(detail)
    assert body["password"] not in answer.text


async def test_hashes_are_renewed_when_their_parameters_have_changed(
    stranger: httpx.AsyncClient, people: People
) -> None:
    old = "$argon2id$v=19$m=19456,t=3,p=1$"
    from argon2 import PasswordHasher

    people.security.users.add(
        "eve", Role.VIEWER, PasswordHasher(time_cost=3, memory_cost=19_456, parallelism=1).hash(People.PASSWORD)
    )
    before = people.security.users.password_of("eve")

    admission = (await log_in(stranger, "eve")).json()

    after = people.security.users.password_of("eve")
    assert before is not None
    assert before.startswith(old)
    assert after is not None
    assert after.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert (await me(stranger, admission)).status_code == 200


def test_security_without_a_directory_knows_the_machines_key_alone() -> None:
    security = Security("k" * 43)

    assert security.users.exist() is False
    assert security.directory.path is None
