from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from tests.plain_http import PLAIN
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from ibdesk_server.dashboard import DashboardProcess, start_dashboard
from ibdesk_server.security.keyfile import obtain_key

pytestmark = pytest.mark.timeout(120)

NOWHERE = "ws://127.0.0.1:1/feed"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the API key."""
    return obtain_key(tmp_path_factory.getbasetemp() / "dashboard.key")


@pytest.fixture(scope="module")
def dashboard(key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardProcess]:
    """Return a dashboard whose server is not there; who may look at it does not depend on that."""
    key_file = tmp_path_factory.getbasetemp() / "dashboard.key"
    with start_dashboard(feed=NOWHERE, key_file=key_file, port=0) as started:
        yield started


def root_of(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


@pytest.mark.parametrize("path", ["/", "/autoload.js?bokeh-autoload-element=x", "/metadata", "/ws"])
async def test_without_a_login_nothing_is_shown(dashboard: DashboardProcess, path: str) -> None:
    async with httpx.AsyncClient(base_url=root_of(dashboard.address), follow_redirects=True, **PLAIN) as stranger:
        answer = await stranger.get(path)

    assert answer.status_code in {401, 403}
    assert "docs_json" not in answer.text
    assert "session" not in answer.text.lower()


async def test_a_code_works_once_and_its_cookie_goes_on(dashboard: DashboardProcess) -> None:
    async with httpx.AsyncClient(follow_redirects=True, **PLAIN) as reader, httpx.AsyncClient(**PLAIN) as thief:
        first = await reader.get(dashboard.address)
        again = await reader.get(root_of(dashboard.address))
        stolen = await thief.get(dashboard.address)

    assert (first.status_code, again.status_code, stolen.status_code) == (200, 200, 403)
    assert first.url.query == b""
    cookie = first.history[0].headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie


async def test_without_the_server_nobody_can_be_asked_who_is_who(dashboard: DashboardProcess, key: str) -> None:
    async with httpx.AsyncClient(**PLAIN) as reader:
        for typed in ({"name": "vera", "password": "four words nobody guesses"}, {"password": key}):
            answer = await reader.post(f"{root_of(dashboard.address)}/login", data=typed)

            assert answer.status_code == 403
            assert "The server does not answer now: try again in a moment." in answer.text
            assert key not in answer.text


async def test_a_web_socket_without_the_cookie_or_from_another_site_is_refused(
    start: Any,
) -> None:
    dashboard = await start(NOWHERE)
    root = root_of(dashboard.address)
    address = f"{root.replace('http', 'ws', 1)}/ws"
    async with httpx.AsyncClient(follow_redirects=True, **PLAIN) as reader:
        await reader.get(dashboard.address)
        cookie = "; ".join(f"{name}={value}" for name, value in reader.cookies.items())

    for headers, origin in (({}, root), ({"Cookie": cookie}, "http://evil.example")):
        with pytest.raises(InvalidStatus) as refused:
            await connect(address, additional_headers=headers, origin=Origin(origin), proxy=None)
        assert refused.value.response.status_code == 403
