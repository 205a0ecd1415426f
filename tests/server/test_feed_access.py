"""How feed clients show who they are, and what becomes of their connection when that ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import httpx
import msgpack  # type: ignore[import-untyped] # it ships no types
import pytest
from tests.plain_http import PLAIN
from tests.server.conftest import People
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from ibdesk_server.serve import WebServer

ENDED = (4401, "this key or login has expired or was revoked")


async def hello(connection: ClientConnection) -> str:
    message = msgpack.unpackb(await asyncio.wait_for(connection.recv(decode=False), 10))
    return str(message["type"])


async def end(connection: ClientConnection) -> tuple[int, str]:
    with contextlib.suppress(ConnectionClosed):
        async with asyncio.timeout(10):
            while True:
                await connection.recv(decode=False)
    return connection.close_code or 0, connection.close_reason or ""


async def test_a_token_opens_the_feed_by_header_by_message_and_by_subprotocol(web: WebServer, people: People) -> None:
    token = people.token("vera")
    protocols = [Subprotocol("ibdesk.v2"), Subprotocol(f"bearer.{token}")]

    async with connect(web.feed_url, additional_headers={"Authorization": f"Bearer {token}"}, proxy=None) as by_header:
        assert await hello(by_header) == "hello"
    async with connect(web.feed_url, proxy=None) as by_message:
        await by_message.send(msgpack.packb({"type": "auth", "key": token}))
        assert await hello(by_message) == "hello"
    async with connect(web.feed_url, subprotocols=protocols, proxy=None) as by_protocol:
        assert await hello(by_protocol) == "hello"
        assert by_protocol.subprotocol == "ibdesk.v2"


async def test_the_feed_is_not_opened_by_anything_in_its_address(
    web: WebServer, people: People, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = people.token("vera")

    for name in ("key", "token", "access_token", "auth"):
        with pytest.raises(InvalidStatus) as refusal:
            await connect(f"{web.feed_url}?{name}={token}", proxy=None)
        assert refusal.value.response.status_code == 422
        assert token not in refusal.value.response.body.decode()


async def test_a_key_that_is_not_for_the_feed_does_not_open_it(web: WebServer, people: People) -> None:
    key = people.key("bot", scopes=["orders"])

    async with connect(web.feed_url, additional_headers={"X-API-Key": key}, proxy=None) as connection:
        assert await end(connection) == (1008, "the scopes of key:bot do not include the feed")


async def test_a_revoked_login_ends_the_connections_it_opened_and_no_others(web: WebServer, people: People) -> None:
    vera, tom = ({"Authorization": f"Bearer {people.token(name)}"} for name in ("vera", "tom"))
    async with (
        connect(web.feed_url, additional_headers=vera, proxy=None) as hers,
        connect(web.feed_url, additional_headers=tom, proxy=None) as his,
    ):
        assert (await hello(hers), await hello(his)) == ("hello", "hello")

        people.security.users.revoke("vera")

        assert await end(hers) == ENDED
        await his.send(msgpack.packb({"type": "ping", "at_ns": 7}))
        assert await hello(his) == "pong"


async def test_a_revoked_login_ends_its_stream_of_events(web: WebServer, people: People) -> None:
    headers = {"Authorization": f"Bearer {people.token('vera')}", "Accept": "text/event-stream"}
    said: list[str] = []
    async with (
        asyncio.timeout(20),
        httpx.AsyncClient(**PLAIN) as client,
        client.stream("GET", f"{web.url}/api/v1/events", headers=headers) as stream,
    ):
        async for line in stream.aiter_lines():
            if not said:
                people.security.users.revoke("vera")
            said.append(line)

    assert "event: hello" in said
    assert said[-3] == "event: bye"
    assert str(ENDED[0]) in said[-2]


async def test_a_revoked_key_ends_the_connections_it_opened(web: WebServer, people: People) -> None:
    async with connect(web.feed_url, additional_headers={"X-API-Key": people.key("bot")}, proxy=None) as connection:
        assert await hello(connection) == "hello"

        people.security.keys.revoke("bot")

        assert await end(connection) == ENDED


async def test_an_access_token_that_runs_out_ends_the_connection(web: WebServer, people: People) -> None:
    # It ran out three seconds ago, and is good for two more: five are given on top, by which clocks may differ.
    people.security.tokens.seconds = -3
    token = people.token("vera")
    async with connect(web.feed_url, additional_headers={"Authorization": f"Bearer {token}"}, proxy=None) as connection:
        assert await hello(connection) == "hello"
        assert await end(connection) == ENDED
