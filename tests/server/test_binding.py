"""Where the server may listen, whether it encrypts, and by which names it lets itself be called."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from starlette.datastructures import Headers
from tests.plain_http import PLAIN
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from ibdesk.desk import Desk
from ibdesk.errors import ConfigError
from ibdesk_server.security.addresses import Addresses
from ibdesk_server.security.guard import Security
from ibdesk_server.security.principal import Role
from ibdesk_server.security.settings import SecuritySettings, TlsSettings
from ibdesk_server.serve import WebServer
from ibdesk_server.settings import ServerSettings, Settings

WIDE = "0.0.0.0"


def server(tmp_path: Path, **settings: Any) -> ServerSettings:
    return ServerSettings(key_file=tmp_path / "api.key", **settings)


def scope(peer: str | None, *forwarded: str) -> dict[str, Any]:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    return {"type": "http", "client": None if peer is None else (peer, 1), "headers": headers}


def test_a_wide_address_needs_encryption(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"with server\.host 0\.0\.0\.0, passwords and orders would cross the network"):
        server(tmp_path, host=WIDE)

    assert server(tmp_path, host="::1").host == "::1"
    assert server(tmp_path, host=WIDE, tls=TlsSettings(behind_proxy=True)).host == WIDE


def test_a_wide_address_needs_somebody_who_can_log_in(tmp_path: Path, password_hash: str) -> None:
    wide, narrow = server(tmp_path, host=WIDE, tls=TlsSettings(behind_proxy=True)), server(tmp_path)
    with pytest.raises(ConfigError, match=r"does not listen on 0\.0\.0\.0 while there are no users: add one with"):
        Security.open(wide)

    users = Security.open(narrow).users
    users.add("ann", Role.ADMIN, password_hash)
    assert Security.open(wide).users.exist()
    users.set_disabled("ann", disabled=True)
    with pytest.raises(ConfigError, match="while there are no users"):
        Security.open(wide)


def test_a_certificate_that_cannot_be_used_is_named_before_anything_is_served(tmp_path: Path, desk: Desk) -> None:
    one, other = trustme.CA().issue_cert("localhost"), trustme.CA().issue_cert("localhost")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    one.cert_chain_pems[0].write_to_path(certificate)
    other.private_key_pem.write_to_path(key)

    for settings, reason in (
        (TlsSettings(certificate=certificate, key=key), "KEY_VALUES_MISMATCH"),
        (TlsSettings(certificate=certificate, key=tmp_path / "none"), "No such file or directory"),
    ):
        with pytest.raises(ConfigError, match=rf"server\.tls\.certificate .* cannot be used: {reason}"):
            WebServer(desk, Settings(server=server(tmp_path, port=0, tls=settings)))
    with pytest.raises(ValueError, match="certificate and key belong together"):
        TlsSettings(certificate=certificate)


@pytest.fixture
async def secure(tmp_path: Path, desk: Desk, authority: trustme.CA) -> AsyncIterator[WebServer]:
    issued = authority.issue_cert("127.0.0.1", "localhost")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    issued.private_key_pem.write_to_path(key)
    for pem in issued.cert_chain_pems:
        pem.write_to_path(certificate, append=True)
    web = WebServer(desk, Settings(server=server(tmp_path, port=0, tls=TlsSettings(certificate=certificate, key=key))))
    task = asyncio.create_task(web.run())
    await asyncio.wait_for(web.until_answering(), 10)
    yield web
    task.cancel()
    await asyncio.wait({task})


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


async def test_rest_feed_and_login_over_tls(secure: WebServer, authority: trustme.CA) -> None:
    trust = ssl.create_default_context()
    authority.configure_trust(trust)

    async with httpx.AsyncClient(base_url=secure.url, verify=trust, trust_env=False) as client:
        login = await client.get(secure.login_url())
        account = await client.get("/api/v1/account")
        cookie = f"ibdesk_session={client.cookies['ibdesk_session']}"
    headers = {"Cookie": cookie, "Origin": secure.url}
    async with connect(secure.feed_url, ssl=trust, additional_headers=headers, proxy=None) as feed:
        hello = await asyncio.wait_for(feed.recv(decode=False), 10)

    assert secure.url.startswith("https://")
    assert secure.feed_url.startswith("wss://")
    assert "Secure" in login.headers["set-cookie"]
    assert login.headers["strict-transport-security"] == "max-age=31536000"
    assert account.status_code == 200
    assert b"hello" in hello


async def test_over_tls_nothing_is_answered_in_the_clear(secure: WebServer) -> None:
    async with httpx.AsyncClient(**PLAIN) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(f"http://127.0.0.1:{secure.port}/health")


async def test_without_tls_no_browser_is_told_to_keep_to_it(stranger: httpx.AsyncClient) -> None:
    assert "strict-transport-security" not in (await stranger.get("/health")).headers


@pytest.mark.parametrize("name", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8000", "", "[x]"])
async def test_a_name_that_is_not_ours_gets_nothing_not_even_with_the_key(api: httpx.AsyncClient, name: str) -> None:
    refused = await api.get("/api/v1/account", headers={"Host": name})

    assert refused.status_code == 421
    assert refused.headers["content-type"] == "application/problem+json"


async def test_the_feed_is_not_opened_under_a_name_that_is_not_ours(web: WebServer, key: str) -> None:
    with pytest.raises(InvalidStatus) as refusal:
        await connect(
            f"ws://evil.example:{web.port}/feed",
            host="127.0.0.1",
            additional_headers={"X-API-Key": key},
            proxy=None,
        )

    assert refusal.value.response.status_code == 403


def test_addresses_and_configured_names_are_ours() -> None:
    addresses = Addresses(hosts=SecuritySettings(hosts=("Desk.Example.com",)).hosts)

    for name in ("127.0.0.1:8000", "[::1]:8000", "localhost", "LOCALHOST:1", "10.0.0.7", "desk.example.com:443"):
        assert addresses.knows_host(Headers({"host": name})), name


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("198.51.100.7", (), "198.51.100.7"),
        # From who is no proxy of ours the header is worth nothing.
        ("198.51.100.7", ("203.0.113.9",), "198.51.100.7"),
        ("10.0.0.1", ("203.0.113.9",), "203.0.113.9"),
        # What the client wrote itself stands in front and is passed over.
        ("10.0.0.1", ("1.1.1.1, 203.0.113.9, 10.0.0.2",), "203.0.113.9"),
        ("10.0.0.1", ("1.1.1.1", "203.0.113.9"), "203.0.113.9"),
        ("10.0.0.1", ("nonsense",), "10.0.0.1"),
        ("10.0.0.1", ("203.0.113.9, nonsense",), "10.0.0.1"),
        ("10.0.0.1", (), "10.0.0.1"),
        ("::ffff:10.0.0.1", ("2001:db8:1:2:3:4:5:6",), "2001:db8:1:2::/64"),
        (None, ("203.0.113.9",), "unknown"),
    ],
)
def test_only_our_own_proxies_say_who_asks(peer: str | None, forwarded: tuple[str, ...], client: str) -> None:
    settings = SecuritySettings.model_validate({"trusted_proxies": ["10.0.0.0/8"]})
    addresses = Addresses(trusted_proxies=settings.trusted_proxies)

    assert addresses.client(scope(peer, *forwarded)) == client
