"""The server's own life: its address, its end, and what ends it."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.plain_http import PLAIN
from websockets.asyncio.client import connect

from ibdesk.desk import Desk
from ibdesk.errors import AddressInUseError
from ibdesk.store.feed import Topic
from ibdesk_server.serve import WebServer, serve
from ibdesk_server.settings import Settings

if TYPE_CHECKING:
    from tests.server.conftest import StartWeb


@pytest.fixture
def taken() -> Iterator[socket.socket]:
    listener = socket.create_server(("127.0.0.1", 0))
    yield listener
    listener.close()


async def test_a_port_that_is_taken_is_named(desk: Desk, server_settings: Settings, taken: socket.socket) -> None:
    port = taken.getsockname()[1]
    settings = server_settings.with_value("server.port", port)

    with pytest.raises(AddressInUseError, match=rf"127\.0\.0\.1:{port} is taken .* server.port"):
        await serve(desk, settings)


def test_the_next_free_port_is_taken_when_any_will_do(
    desk: Desk, server_settings: Settings, taken: socket.socket
) -> None:
    port = taken.getsockname()[1]

    server = WebServer(desk, server_settings.with_value("server.port", port), any_port=True)
    server.close()

    assert port < server.port <= port + 50
    assert server.url == f"http://127.0.0.1:{server.port}"
    assert server.feed_url == f"ws://127.0.0.1:{server.port}/feed"


def test_an_address_is_held_before_anything_is_answered(desk: Desk, server_settings: Settings) -> None:
    first = WebServer(desk, server_settings)

    with pytest.raises(AddressInUseError):
        WebServer(desk, server_settings.with_value("server.port", first.port))
    first.close()


async def test_the_end_tells_feed_clients_and_gives_the_address_back(desk: Desk, server_settings: Settings) -> None:
    server = WebServer(desk, server_settings)
    running = asyncio.create_task(server.run())
    key = server_settings.server.key_file.read_text().strip()
    client = await connect(server.feed_url, additional_headers={"X-API-Key": key}, proxy=None)
    await client.recv()

    started = time.monotonic()
    running.cancel()
    await asyncio.wait({running})
    await asyncio.wait_for(client.wait_closed(), 10)

    assert (client.close_code, client.close_reason) == (1001, "the server ends")
    assert running.cancelled()
    assert time.monotonic() - started < 2
    socket.create_server(("127.0.0.1", server.port)).close()


async def test_a_stuck_client_does_not_hold_up_the_end(desk: Desk, server_settings: Settings) -> None:
    server = WebServer(desk, server_settings)
    running = asyncio.create_task(server.run())
    key = server_settings.server.key_file.read_text().strip()
    stuck = await connect(server.feed_url, additional_headers={"X-API-Key": key}, proxy=None, max_queue=1)
    await stuck.recv()
    await stuck.send(b"\x82\xa4type\xa9subscribe\xa6topics\x91\xa6alerts")
    hub = server.app.state.services.hub
    for number in range(40):
        row = {"at_ns": number, "severity": "info", "origin": "test", "text": "x" * 500_000}
        desk.feed.publish(Topic.ALERTS, str(number), row)
        desk.feed.forget(Topic.ALERTS, str(number))

    started = time.monotonic()
    running.cancel()
    await asyncio.wait({running})

    # It takes one second; a busy machine gets some more.
    assert time.monotonic() - started < 4
    assert hub.clients == 0
    stuck.transport.abort()
    await stuck.wait_closed()


async def test_signals_stay_with_the_program(desk: Desk, start_web: StartWeb) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)

    await start_web(desk)

    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


async def test_a_feed_that_fails_ends_the_server(desk: Desk, server_settings: Settings) -> None:
    server = WebServer(desk, server_settings)
    running = asyncio.create_task(server.run())
    await asyncio.wait_for(server.until_answering(), 10)

    # A quote without the column that names it breaks the rules of the topic.
    desk.feed.publish(Topic.QUOTES, "broken", {"bid": 1.0})
    desk.feed.forget(Topic.QUOTES, "broken")

    with pytest.raises(KeyError, match="symbol"):
        await asyncio.wait_for(running, 10)


async def test_a_closed_desk_is_told_as_unavailable(
    start_web: StartWeb, server_settings: Settings, tmp_path: Path
) -> None:
    desk = Desk.open("embedded", state_folder=tmp_path / "desk", gateway={"port": 0})
    web = await start_web(desk)
    await desk.aio.close()
    headers = {"X-API-Key": server_settings.server.key_file.read_text().strip()}

    async with httpx.AsyncClient(base_url=web.url, headers=headers, **PLAIN) as client:
        orders = await client.get("/api/v1/orders")
        ready = await client.get("/health/ready")
        metrics = await client.get("/health/metrics")
        live = await client.get("/health/live")

    assert (orders.status_code, orders.json()["detail"]) == (503, "the desk is closed: open one with Desk.open")
    assert ready.status_code == 503
    assert '\nibdesk_link_up{worker="1"} 0.0\n' in metrics.text
    assert live.status_code == 200


async def test_two_servers_of_one_machine_know_the_same_logins(start_web: StartWeb, desk: Desk) -> None:
    first, second = await start_web(desk), await start_web(desk)

    async with httpx.AsyncClient(**PLAIN) as client:
        code = first.login_url().partition("code=")[2]
        assert (await client.get(f"{second.url}/login", params={"code": code})).status_code == 303
        assert (await client.get(f"{first.url}/login", params={"code": code})).status_code == 401
