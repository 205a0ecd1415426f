"""Whatever is presented as a proof, it is taken for nobody's, quietly; and secrets are compared as secrets are."""

from __future__ import annotations

import asyncio
import inspect
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from ibdesk_server.security import guard, keys, logins
from ibdesk_server.security.addresses import Addresses
from ibdesk_server.security.directory import Directory
from ibdesk_server.security.guard import Security
from ibdesk_server.security.keys import ApiKey
from ibdesk_server.security.login_service import Admission, LoginService
from ibdesk_server.security.passwords import Passwords, TooManyChecksError
from ibdesk_server.security.principal import Role
from ibdesk_server.security.settings import SecuritySettings
from ibdesk_server.security.throttle import Throttle

LATIN = st.text(st.characters(min_codepoint=0, max_codepoint=255), max_size=200)
TOKEN_LIKE = st.from_regex(r"\A[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,40}\Z")
KEY_LIKE = st.from_regex(r"\Aib[kr]_[a-z0-9]{0,32}_[A-Za-z0-9_-]{0,43}\Z")
PROOFS = st.one_of(LATIN, TOKEN_LIKE, KEY_LIKE)
CHEAP = SecuritySettings(password_rounds=2, password_memory_kib=19_456)


@pytest.fixture(scope="module")
def security() -> Security:
    return Security("k" * 43, settings=CHEAP)


@given(proof=PROOFS, name=st.sampled_from(["x-api-key", "authorization", "cookie", "sec-websocket-protocol"]))
def test_no_header_makes_somebody_of_a_stranger(security: Security, proof: str, name: str) -> None:
    form = {"authorization": "Bearer {}", "cookie": "ibdesk_session={}", "sec-websocket-protocol": "bearer.{}"}
    raw = [(name.encode(), form.get(name, "{}").replace("{}", proof).encode("latin-1"))]

    assert asyncio.run(security.identify(Headers(raw=raw))) is None


@given(raw=st.lists(st.tuples(st.sampled_from([b"cookie", b"authorization", b"x-api-key"]), st.binary(max_size=99))))
def test_no_bytes_in_headers_break_the_guard(security: Security, raw: list[tuple[bytes, bytes]]) -> None:
    assert asyncio.run(security.identify(Headers(raw=raw))) is None


@given(token=PROOFS)
def test_no_word_is_a_refresh_token(security: Security, token: str) -> None:
    assert security.logins.refresh(token) is None


@given(host=st.text(max_size=60), forwarded=st.binary(max_size=60))
def test_no_address_breaks_the_guard(host: str, forwarded: bytes) -> None:
    settings = SecuritySettings.model_validate({"trusted_proxies": ["10.0.0.0/8"]})
    addresses = Addresses(trusted_proxies=settings.trusted_proxies)
    scope: Any = {"type": "http", "client": ("10.0.0.1", 1), "headers": [(b"x-forwarded-for", forwarded)]}

    assert addresses.client(scope)
    addresses.knows_host(Headers({"host": host.encode("latin-1", "ignore").decode("latin-1")}))


def test_a_session_is_no_key_and_a_code_no_session() -> None:
    security = Security("k" * 43)
    session, code = security.sessions.issue(security.local), security.codes.issue(security.local)

    async def identified(name: str, value: str) -> bool:
        return await security.identify(Headers({name: value})) is not None

    async def all_ways() -> list[bool]:
        return [
            await identified("cookie", f"ibdesk_session={session}"),
            await identified("x-api-key", session),
            await identified("cookie", f"ibdesk_session={code}"),
            await identified("cookie", f"ibdesk_session={'k' * 43}"),
        ]

    assert asyncio.run(all_ways()) == [True, False, False, False]


@pytest.mark.parametrize("module", [guard, keys, logins])
def test_what_is_kept_of_secrets_is_compared_in_constant_time(module: Any) -> None:
    source = inspect.getsource(module)

    assert "compare_digest" in source
    assert not [line for line in source.splitlines() if "digest" in line and ("==" in line or "!=" in line)]


async def test_an_unknown_user_costs_the_same_check_as_a_wrong_password(monkeypatch: pytest.MonkeyPatch) -> None:
    security = Security("k" * 43, settings=CHEAP)
    checker = Passwords(rounds=2, memory_kib=19_456)
    security.users.add("vera", Role.VIEWER, checker.hash("four words nobody guesses"))
    login_service = LoginService(security)
    checked: list[str] = []
    verify = PasswordHasher.verify

    def noting(hasher: Any, kept: str, typed: str) -> bool:
        checked.append(kept.rpartition("$")[0].rpartition("$")[0])
        return verify(hasher, kept, typed)

    # Only listened to: what is called is the real thing.
    monkeypatch.setattr(PasswordHasher, "verify", noting)
    for name in ("vera", "nobody"):
        with pytest.raises(Exception, match="wrong name or password"):
            await login_service.sign_in(name, "wrong wrong wrong", address="198.51.100.7")

    assert checked == ["$argon2id$v=19$m=19456,t=2,p=1"] * 2


async def test_many_logins_at_once_neither_stop_the_loop_nor_pile_up() -> None:
    checker = Passwords(rounds=2, memory_kib=19_456)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0)
            ticks += 1

    ticking = asyncio.create_task(tick())
    answers = await asyncio.gather(*(checker.check(None, "x" * 12) for _ in range(100)), return_exceptions=True)
    ticking.cancel()

    assert sum(isinstance(answer, TooManyChecksError) for answer in answers) == 68
    assert ticks > 100


def test_many_tries_at_once_do_not_slip_through_together(tmp_path: Path) -> None:
    throttles = [Throttle(Directory(tmp_path / "access.db"), clock=lambda: 10**18) for _ in range(4)]

    with ThreadPoolExecutor(16) as pool:
        waits = list(pool.map(lambda number: throttles[number % 4].begin("vera", "198.51.100.7"), range(40)))

    assert waits.count(0.0) == 3


def test_the_wait_doubles_and_a_success_forgives_the_name_but_not_the_address() -> None:
    now = 10**18
    throttle = Throttle(Directory(), clock=lambda: now)
    waits = []
    for _ in range(8):
        while wait := throttle.begin("vera", "198.51.100.7"):
            now += int(wait * 1e9)
            waits.append(wait)

    throttle.succeeded("vera", "198.51.100.7")

    assert waits == [1, 2, 4, 8, 16]
    assert throttle.begin("vera", "203.0.113.9") == 0.0
    assert throttle.begin("tom", "198.51.100.7") > 0


def test_several_processes_may_make_the_directory_at_once(tmp_path: Path) -> None:
    for number in range(25):
        file = tmp_path / f"access-{number}.db"
        with ThreadPoolExecutor(8) as pool:
            directories = list(pool.map(Directory, [file] * 8))

        assert [directory.rows("SELECT count(*) FROM users") for directory in directories] == [[(0,)]] * 8


def test_nothing_secret_shows_in_a_repr_or_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    security = Security("k" * 43, settings=CHEAP)
    secret, key = security.keys.create("bot", Role.VIEWER, days=1, by="ann")
    admission = Admission("vera", Role.VIEWER, "an access token", "a refresh token", 600)
    asyncio.run(security.principal_of(secret))

    shown = repr((security, key, admission, security.tokens, security.keys.all())) + caplog.text

    assert isinstance(key, ApiKey)
    for hidden in (secret, "k" * 43, "an access token", "a refresh token"):
        assert hidden not in shown
