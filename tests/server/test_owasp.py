"""OWASP's API Security Top 10 of 2023, row by row, against a running server."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.routing import Route
from tests.server.conftest import People

from ibdesk_server.dependencies import RequiredRole
from ibdesk_server.security.principal import AREAS, Role
from ibdesk_server.serve import WebServer

# What is open to anybody: that the server answers, and the ways in.
OPEN = {
    # Tells strangers that this is ibdesk, and nothing of the desk.
    ("GET", "/"),
    ("GET", "/health"),
    ("GET", "/health/live"),
    ("GET", "/login"),
    # The module for browsers: a page loads it before it has logged anybody in; it is the same for everybody.
    ("GET", "/feed.js"),
    ("POST", "/api/v1/auth/login"),
    ("POST", "/api/v1/auth/refresh"),
}
# Besides what is an admin's, what changes something is a trader's; but for what is about oneself, and for the words
# that check something and change nothing.
OWN = {("POST", "/session"), ("POST", "/logout"), ("POST", "/api/v1/auth/logout")}
ADMINS = ("/api/v1/users", "/api/v1/keys")
ME = "/api/v1/auth/me"


def routes(app: FastAPI) -> Iterator[tuple[str, str, APIRoute]]:
    """Return method, path and route of everything that the app serves; fail on what is no route of the interface."""
    for route in app.routes:
        assert isinstance(route, APIRoute), f"{route} does not pass the dependencies that ask who is there"
        for method in route.methods or ():
            yield method, route.path, route


def filled(path: str) -> str:
    return re.sub(r"\{[^}]+\}", "x", path)


def role_of(dependant: Dependant) -> Role | None:
    """Return the highest role that a route's dependencies demand."""
    found = [role_of(child) for child in dependant.dependencies]
    if isinstance(dependant.call, RequiredRole):
        found.append(dependant.call.role)
    return max((role for role in found if role is not None), default=None)


def _part(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


async def test_no_route_is_reachable_without_its_role(
    web: WebServer, stranger: httpx.AsyncClient, people: People
) -> None:
    below = {Role.VIEWER: {}, Role.TRADER: people.bearer("vera"), Role.ADMIN: people.bearer("tom")}
    seen = 0
    for method, path, route in routes(web.app):
        if (method, path) in OPEN:
            continue
        role = role_of(route.dependant)
        assert role is not None, f"{method} {path} asks for no role"
        nobody = await stranger.request(method, filled(path), json={})
        assert nobody.status_code == 401, (method, path)
        if role is not Role.VIEWER:
            refused = await stranger.request(method, filled(path), json={}, headers=below[role])
            assert refused.status_code == 403, (method, path)
            assert refused.json()["detail"].startswith(f"this needs the role {role.value}, and "), (method, path)
        seen += 1

    assert seen > 30


async def test_what_changes_something_needs_a_trader_and_who_gets_in_an_admin_decides(web: WebServer) -> None:
    for method, path, route in routes(web.app):
        role = role_of(route.dependant)
        if path.startswith(ADMINS):
            assert role is Role.ADMIN, (method, path)
        elif method not in {"GET", "HEAD"} and (method, path) not in OPEN | OWN:
            assert role is not None, (method, path)
            assert role >= Role.TRADER, (method, path)


def test_every_part_of_the_interface_can_be_named_by_a_scope(web: WebServer) -> None:
    tags = {tag for _, path, route in routes(web.app) if path.startswith("/api/v1") for tag in route.tags}

    assert tags - {"login"} <= AREAS


async def test_api1_nobody_acts_on_anothers_login_by_naming_it(stranger: httpx.AsyncClient, people: People) -> None:
    """API1, broken object level authorization."""
    vera, tom = people.bearer("vera"), people.bearer("tom")

    for method, path in (
        ("GET", "/api/v1/users/tom"),
        ("PATCH", "/api/v1/users/tom"),
        ("DELETE", "/api/v1/users/tom"),
        ("POST", "/api/v1/users/tom/revoke"),
        ("DELETE", "/api/v1/keys/anything"),
    ):
        assert (await stranger.request(method, path, json={}, headers=vera)).status_code == 403
    await stranger.post("/api/v1/auth/logout", headers=vera)

    assert (await stranger.get(ME, headers=vera)).status_code == 401
    assert (await stranger.get(ME, headers=tom)).status_code == 200


async def test_api2_tokens_that_are_not_ours_or_no_more_are_refused(
    web: WebServer, stranger: httpx.AsyncClient, people: People
) -> None:
    """API2, broken authentication."""
    token = people.token("vera")
    key = people.security.tokens._key
    claims = jwt.decode(token, options={"verify_signature": False})
    header = jwt.get_unverified_header(token)

    def forged(key: bytes = key, algorithm: str = "HS256", typ: str = "at+jwt", **other: Any) -> str:
        content = {name: value for name, value in (claims | other).items() if value is not None}
        return jwt.encode(content, key, algorithm, {"typ": typ})

    assert header["alg"] == "HS256"
    assert (await stranger.get(ME, headers={"Authorization": f"Bearer {forged()}"})).status_code == 200
    for name, bad in {
        "none": f"{_part(header | {'alg': 'none'})}.{_part(claims)}.",
        "another key": forged(b"x" * 43),
        "another algorithm": forged(key.ljust(64, b"x"), "HS512"),
        "another audience": forged(aud="others"),
        "another issuer": forged(iss="others"),
        "run out": forged(exp=claims["iat"] - 60, iat=claims["iat"] - 120),
        "from the future": forged(iat=claims["iat"] + 3_600, exp=claims["exp"] + 3_600),
        "without an end": forged(exp=None),
        "without a login": forged(sid=None),
        "another kind": forged(typ="JWT"),
        "another login": forged(sid="0" * 32),
        "another generation": forged(gen="0" * 16),
        "nobody": forged(sub="nobody"),
        "cut": token[:-4],
        "signature of nothing": token.rpartition(".")[0] + ".",
    }.items():
        answer = await stranger.get(ME, headers={"Authorization": f"Bearer {bad}"})
        assert answer.status_code == 401, name


async def test_api3_nobody_raises_themselves_and_no_secret_property_is_told(
    stranger: httpx.AsyncClient, people: People
) -> None:
    """API3, broken object property level authorization."""
    credentials = {"name": "vera", "password": People.PASSWORD}

    more = await stranger.post("/api/v1/auth/login", json=credentials | {"role": "admin"})
    extra = await stranger.post(
        "/api/v1/users",
        json={"name": "eve", "password": People.PASSWORD, "role": "viewer", "generation": "0" * 16},
        headers=people.bearer("ann"),
    )
    listed = await stranger.get("/api/v1/users", headers=people.bearer("ann"))

    assert (more.status_code, extra.status_code) == (422, 422)
    assert not re.search("argon2|password|generation", listed.text)


async def test_api4_what_a_request_may_cost_is_bounded(stranger: httpx.AsyncClient, people: People) -> None:
    """API4, unrestricted resource consumption."""
    vera = people.bearer("vera")

    huge = await stranger.post(
        "/api/v1/auth/login", content=b"x" * 2_000_000, headers={"Content-Type": "application/json"}
    )
    long = await stranger.post("/api/v1/auth/login", json={"name": "vera", "password": "x" * 100_000})
    many = await stranger.get("/api/v1/orders", params={"limit": 10**9}, headers=vera)
    endless = await stranger.get(ME, headers={"Authorization": f"Bearer {'x' * 9_000}"})

    assert [answer.status_code for answer in (huge, long, many, endless)] == [413, 422, 422, 401]
    assert "ratelimit" in (await stranger.get(ME, headers=vera)).headers


async def test_api5_functions_of_admins_are_closed_to_traders(stranger: httpx.AsyncClient, people: People) -> None:
    """API5, broken function level authorization."""
    tom = people.bearer("tom")
    user = {"name": "eve", "password": People.PASSWORD, "role": "admin"}

    made = await stranger.post("/api/v1/users", json=user, headers=tom)
    raised = await stranger.patch("/api/v1/users/tom", json={"role": "admin"}, headers=tom)
    keyed = await stranger.post("/api/v1/keys", json={"name": "own", "role": "admin"}, headers=tom)

    assert (made.status_code, raised.status_code, keyed.status_code) == (403, 403, 403)
    assert people.security.users.find("eve") is None


async def test_api6_guessing_passwords_gets_slower_by_itself(stranger: httpx.AsyncClient, people: People) -> None:
    """API6, unrestricted access to sensitive business flows."""
    wrong = {"name": "vera", "password": "wrong wrong wrong"}

    answers = [await stranger.post("/api/v1/auth/login", json=wrong) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [401, 401, 401, 429]


async def test_api7_no_word_of_a_request_makes_the_server_fetch_or_read_something(
    stranger: httpx.AsyncClient, people: People
) -> None:
    """API7, server side request forgery: files to start are names in one folder, and nothing takes an address."""
    tom = people.bearer("tom")

    for file in ("http://127.0.0.1:1/x.py", "file:///etc/passwd", "../outside.py", "/etc/passwd", "a/b.py", "x.py\x00"):
        body = {"file": file, "symbols": ["AAPL"]}
        assert (await stranger.post("/api/v1/runs", json=body, headers=tom)).status_code == 422, file


async def test_api8_errors_tell_nothing_of_the_inside_and_browsers_are_told_to_be_careful(
    stranger: httpx.AsyncClient, people: People
) -> None:
    """API8, security misconfiguration."""
    answers = [
        await stranger.get("/nothing/here"),
        await stranger.post("/api/v1/auth/login", content=b"{", headers={"Content-Type": "application/json"}),
        await stranger.request("TRACE", "/health"),
        await stranger.get(ME, headers=[(b"Authorization", b"Bearer \xff")]),
        await stranger.options("/api/v1/account", headers={"Origin": "http://evil.example"}),
    ]

    for answer in answers:
        assert 400 <= answer.status_code < 500
        assert not re.search(r"Traceback|File \"|site-packages|starlette|fastapi", answer.text)
        assert "server" not in answer.headers
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in answer.headers


async def test_api9_all_that_is_served_is_in_the_document_and_none_of_it_to_strangers(
    web: WebServer, stranger: httpx.AsyncClient
) -> None:
    """API9, improper inventory management."""
    undocumented = {path for _, path, _ in routes(web.app)} - set(web.app.openapi()["paths"])

    assert undocumented == {"/docs", "/feed.js", "/openapi.json"}
    assert (await stranger.get("/openapi.json")).status_code == 401
    for guess in ("/redoc", "/metrics", "/debug", "/api/v0/account", "/api/account", "/admin"):
        assert (await stranger.get(guess)).status_code == 404


async def test_api10_what_other_services_say_is_read_with_care() -> None:
    """API10, unsafe consumption: what the dashboard hears from the server it asks is checked before it is believed."""
    from ibdesk_server.dashboard.counter import DashboardUser, Refusal, _reader

    for told in ({}, {"name": "vera"}, {"name": "vera", "role": "viewer", "expires_in": "soon"}):
        assert _reader(told) is Refusal.AWAY
    assert _reader({"name": "vera", "role": "viewer"}) == DashboardUser("vera", "viewer")
    assert "secret" not in repr(DashboardUser("vera", "viewer", "secret", "secret"))


def test_routes_that_are_not_of_the_interface_would_be_found() -> None:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.router.routes.append(Route("/back-door", lambda request: None))

    with pytest.raises(AssertionError, match="does not pass the dependencies"):
        list(routes(app))


def test_a_token_tells_nothing_but_who_and_until_when(people: People) -> None:
    claims = jwt.decode(people.token("vera"), options={"verify_signature": False})

    assert set(claims) == {"iss", "aud", "sub", "iat", "exp", "jti", "role", "gen", "sid"}
    assert "argon2" not in json.dumps(claims)
