"""Connections that do not say what they want, or who they are, hold nothing that others need, and not for long."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send
from tests.plain_http import PLAIN
from tests.server.conftest import SECONDS, StartFeed
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from ibdesk_server.heads import HURRIED_SECONDS, HeadLimits, WaitingHeads
from ibdesk_server.listener import WebListener

HALF = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "


class Half:
    """A connection that has sent a part of a request."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.began = time.monotonic()

    @classmethod
    async def open(cls, port: int, data: bytes = HALF) -> Half:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(data)
        await writer.drain()
        return cls(reader, writer)

    async def rest(self) -> tuple[bytes, float]:
        """Return all bytes up to the end of the connection, and how long that took since it began."""
        try:
            async with asyncio.timeout(SECONDS):
                found = await self.reader.read()
            return found, time.monotonic() - self.began
        finally:
            self.writer.close()

    async def drip(self) -> None:
        """Send a byte now and then, for as long as the server takes them."""
        with contextlib.suppress(OSError):
            while True:
                self.writer.write(b"x")
                await self.writer.drain()
                await asyncio.sleep(0.05)


@pytest.fixture
async def listener(request: pytest.FixtureRequest) -> AsyncIterator[WebListener]:
    """A listener whose application answers 200 to everything."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)

    found = WebListener("127.0.0.1", 0, setting="port", heads=request.param)
    running = asyncio.create_task(found.run(lifespan))
    await asyncio.wait_for(found.answering.wait(), SECONDS)
    yield found
    running.cancel()
    await asyncio.wait({running})


patient = pytest.mark.parametrize("listener", [HeadLimits(seconds=0.4, per_address=1_000)], indirect=True)
strict = pytest.mark.parametrize("listener", [HeadLimits(seconds=8, per_address=20)], indirect=True)


@patient
async def test_a_head_that_does_not_arrive_in_time_is_answered_with_408(listener: WebListener) -> None:
    half = await Half.open(listener.port)

    answer, seconds = await half.rest()

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"the head of the request did not arrive within 0.4 s" in answer
    assert 0.3 < seconds < 3
    assert listener.heads.total == 0


@patient
async def test_a_byte_now_and_then_buys_no_time(listener: WebListener) -> None:
    half = await Half.open(listener.port)
    dripping = asyncio.create_task(half.drip())

    answer, seconds = await half.rest()
    dripping.cancel()

    assert (answer[:12], seconds < 3) == (b"HTTP/1.1 408", True)


@patient
async def test_a_connection_that_says_nothing_is_closed_without_a_word(listener: WebListener) -> None:
    assert (await (await Half.open(listener.port, b"")).rest())[0] == b""


@patient
async def test_the_second_head_of_a_connection_has_the_same_limit(listener: WebListener) -> None:
    whole = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    half = await Half.open(listener.port, whole)
    first = await asyncio.wait_for(half.reader.readuntil(b"ok"), SECONDS)
    half.writer.write(HALF)

    answer, seconds = await half.rest()

    assert (first[:12], answer[:12], seconds < 3) == (b"HTTP/1.1 200", b"HTTP/1.1 408", True)


@patient
async def test_a_half_head_behind_a_whole_one_has_the_same_limit(listener: WebListener) -> None:
    half = await Half.open(listener.port, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" + HALF)

    answer, seconds = await half.rest()

    assert answer.startswith(b"HTTP/1.1 200")
    # What was begun before the answer ended counts as idle: uvicorn lets that last for 5 s.
    assert seconds < 8


@strict
async def test_a_flood_of_half_heads_is_soon_reduced_to_what_an_address_may_hold(listener: WebListener) -> None:
    halves = [await Half.open(listener.port) for _ in range(300)]
    ends = [asyncio.create_task(half.rest()) for half in halves]

    # Whoever asks properly is answered at once, also from the same address.
    async with httpx.AsyncClient(base_url=listener.url, **PLAIN) as client:
        began = time.monotonic()
        assert (await client.get("/")).text == "ok"
        assert time.monotonic() - began < HURRIED_SECONDS

    done, held = await asyncio.wait(ends, timeout=HURRIED_SECONDS + 3, return_when=asyncio.ALL_COMPLETED)

    assert (len(done), len(held)) == (280, 20)
    assert listener.heads.total == 20
    for end in held:
        end.cancel()
    await asyncio.wait(held)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::2", ""]))))
def test_what_is_counted_is_counted_no_more_once_it_ends(steps: list[tuple[bool, str]]) -> None:
    heads = WaitingHeads(HeadLimits(seconds=9, per_address=2))
    waiting: list[str] = []
    for begins, address in steps:
        place = "2001:db8::/64" if ":" in address else address
        if begins:
            of_place = sum(each == place for each in waiting)
            assert heads.begin(address) == (9 if of_place < 2 else HURRIED_SECONDS)
            waiting.append(place)
        elif place in waiting:
            heads.end(address)
            waiting.remove(place)

        assert heads.total == len(waiting)


async def end_of(client: ClientConnection) -> tuple[int, str]:
    with contextlib.suppress(ConnectionClosed):
        while True:
            await asyncio.wait_for(client.recv(), SECONDS)
    return client.close_code or 0, client.close_reason or ""


async def test_sockets_without_a_key_take_no_place_of_those_that_have_one(start_feed: StartFeed) -> None:
    server = await start_feed(clients=3, unknown_clients=50, unknown_per_address=50, auth_seconds=8)
    unknown = [await connect(server.url, proxy=None) for _ in range(20)]

    known = [await server.connect() for _ in range(3)]

    assert [(await client.receive())["type"] for client in known] == ["hello"] * 3
    assert server.hub.clients == 3
    for client in unknown:
        client.transport.abort()


async def test_few_sockets_of_an_address_may_wait_to_say_who_they_are(start_feed: StartFeed) -> None:
    server = await start_feed(unknown_per_address=3, auth_seconds=1.5)
    waiting = [await connect(server.url, proxy=None) for _ in range(3)]

    too_many = await asyncio.gather(*(connect(server.url, proxy=None) for _ in range(60)))

    for client in too_many:
        code, reason = await end_of(client)
        assert (code, "of this address" in reason) == (1013, True)
    # The few are let go in time, and then others may come.
    assert {await end_of(client) for client in waiting} == {(1008, "no auth message within 1.5 s")}
    later = await server.connect(known=False)
    await later.send(type="auth", key=server.key)
    assert (await later.receive())["type"] == "hello"


async def test_few_sockets_of_all_addresses_together_may_wait(start_feed: StartFeed) -> None:
    server = await start_feed(unknown_clients=2, auth_seconds=8)
    waiting = [await connect(server.url, proxy=None) for _ in range(2)]

    third = await connect(server.url, proxy=None)

    assert (await end_of(third))[0] == 1013
    for client in waiting:
        await client.close()
    later = await server.connect(known=False)
    await later.send(type="auth", key=server.key)
    assert (await later.receive())["type"] == "hello"
