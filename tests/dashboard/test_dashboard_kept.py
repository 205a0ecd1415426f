"""Logins to the dashboard outlive its process; it can stand behind a path prefix; nobody holds it by half a request."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.async_api import expect
from tests.plain_http import PLAIN
from tests.ports import free_port

from ibdesk.store.feed import Feed
from ibdesk_server.dashboard import start_dashboard

pytestmark = pytest.mark.timeout(240)

NOWHERE = "ws://127.0.0.1:1/feed"


async def test_a_login_goes_on_when_the_dashboard_is_started_again(key_file: Path) -> None:
    port = free_port()
    async with httpx.AsyncClient(follow_redirects=True, **PLAIN) as reader, httpx.AsyncClient(**PLAIN) as stranger:
        first = await asyncio.to_thread(start_dashboard, feed=NOWHERE, key_file=key_file, port=port)
        with first:
            assert (await reader.get(first.address)).status_code == 200
            [cookie] = [each.value for each in reader.cookies.jar]

        second = await asyncio.to_thread(start_dashboard, feed=NOWHERE, key_file=key_file, port=port)
        with second:
            again = await reader.get(f"{second.url}/")
            unknown = await stranger.get(f"{second.url}/")

    kept = key_file.with_name(f"dashboard-{port}.logins")
    assert (again.status_code, again.url.path) == (200, "/")
    assert unknown.status_code == 302
    assert kept.stat().st_mode & 0o777 == 0o600
    assert str(cookie) not in kept.read_text()


async def test_a_file_of_logins_that_is_broken_logs_everybody_out_and_stops_nothing(key_file: Path) -> None:
    port = free_port()
    key_file.with_name(f"dashboard-{port}.logins").write_bytes(b'{"half')

    with await asyncio.to_thread(start_dashboard, feed=NOWHERE, key_file=key_file, port=port) as dashboard:
        async with httpx.AsyncClient(follow_redirects=True, **PLAIN) as reader:
            assert (await reader.get(dashboard.address)).status_code == 200


class Proxy:
    """A proxy that passes what is below /desk/ on as it is, and refuses everything else."""

    def __init__(self) -> None:
        self.port = self.target = 0
        self.paths: list[str] = []
        self.is_websocket = False

    async def serve(self) -> asyncio.Server:
        server = await asyncio.start_server(self._link, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split()[1].decode()
            self.paths.append(path)
            if not path.startswith("/desk/"):
                writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                await writer.drain()
            else:
                is_upgrade = b"upgrade: websocket" in head.lower()
                self.is_websocket = self.is_websocket or is_upgrade
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
                # One request a connection, so that each path is seen.
                closing = re.sub(rb"(?i)\r\nconnection: [^\r]*", b"", head, count=1)
                closing = closing.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
                far_writer.write(head if is_upgrade else closing)
                await asyncio.gather(self._pipe(reader, far_writer), self._pipe(far_reader, writer))
        writer.close()

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.close()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    proxy = Proxy()
    server = await proxy.serve()
    yield proxy
    server.close()


async def test_a_dashboard_stands_behind_a_proxy_with_a_path_prefix(
    proxy: Proxy, key_file: Path, feed_server: Any, market: Any, browser: Any
) -> None:
    feed = Feed()
    market(feed).open()
    await feed_server.start(feed)
    options: dict[str, Any] = {"names": [f"127.0.0.1:{proxy.port}"], "path_prefix": "/desk"}
    starting = asyncio.to_thread(start_dashboard, feed=feed_server.url, key_file=key_file, port=0, **options)
    with await starting as dashboard:
        proxy.target = dashboard.port
        login = urlsplit(dashboard.address)
        assert login.path == "/desk/login"

        page = await browser.open(f"http://127.0.0.1:{proxy.port}{login.path}?{login.query}")

        await expect(page.locator(".states")).to_contain_text("TWS up", timeout=60_000)
        assert urlsplit(page.url).path == "/desk/"
        assert proxy.is_websocket
        # The one thing outside is what browsers ask every site for.
        assert {path for path in proxy.paths if not path.startswith("/desk/")} <= {"/favicon.ico"}
        cookies = await page.context.cookies()
        assert {cookie["path"] for cookie in cookies if cookie["name"].startswith("ibdesk")} == {"/desk/"}
        # Without the login the form is there too, and its address has the prefix.
        async with httpx.AsyncClient(follow_redirects=True, **PLAIN) as stranger:
            form = await stranger.get(f"http://127.0.0.1:{proxy.port}/desk/")
        assert (form.url.path, 'action="/desk/login"' in form.text) == ("/desk/login", True)


async def test_half_a_request_is_not_held_for_long(key_file: Path) -> None:
    with await asyncio.to_thread(start_dashboard, feed=NOWHERE, key_file=key_file, port=0) as dashboard:
        reader, writer = await asyncio.open_connection("127.0.0.1", dashboard.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        began = time.monotonic()

        async with asyncio.timeout(30):
            await reader.read()
        writer.close()

    assert 8 < time.monotonic() - began < 30
