"""The feed as server-sent events: the same news, resumed by the id of the last event, also by a real browser."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.plain_http import PLAIN
from tests.server.browser import open_page

from ibdesk_server.feed.limits import Budget

if TYPE_CHECKING:
    from tests.server.conftest import Cable, FeedServer, Relay, StartFeed


class Stream:
    """A client of events that reads lines and no more."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.aiter_lines()
        self.last_id = ""
        self.comments: list[str] = []

    async def next(self) -> dict[str, Any]:
        """Return the data of the next event."""
        data, kind = "", ""
        async with asyncio.timeout(10):
            async for line in self._lines:
                field, _, value = line.partition(": ")
                match field:
                    case "event":
                        kind = value
                    case "data":
                        data = value
                    case "id":
                        self.last_id = value
                    case "" if line.startswith(":"):
                        self.comments.append(value)
                    case "" if data:
                        message: dict[str, Any] = json.loads(data)
                        assert message["type"] == kind
                        return message
        raise EOFError


class Streams:
    """Opens streams at a server."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._responses: list[httpx.Response] = []

    async def open(self, server: FeedServer, *, last_id: str = "", **query: Any) -> Stream:
        headers = {"X-API-Key": server.key, "Accept": "text/event-stream"}
        headers |= {"Last-Event-ID": last_id} if last_id else {}
        url = f"http://127.0.0.1:{server.port}/api/v1/events"
        request = self._client.build_request("GET", url, params=query, headers=headers)
        response = await self._client.send(request, stream=True)
        self._responses.append(response)
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"].startswith("text/event-stream")
        stream = Stream(response)
        assert (await stream.next())["type"] == "hello"
        return stream

    async def close(self) -> None:
        for response in self._responses:
            await response.aclose()


@pytest.fixture
async def streams() -> AsyncIterator[Streams]:
    async with httpx.AsyncClient(**PLAIN, timeout=10) as client:
        streams = Streams(client)
        yield streams
        await streams.close()


async def test_a_snapshot_comes_first_and_then_every_change(feed_server: FeedServer, streams: Streams) -> None:
    first = feed_server.publish_order("AAPL")
    stream = await streams.open(feed_server, topics="orders", symbols="A*,IBM")

    snapshot = await stream.next()
    feed_server.publish_order("MSFT")
    second = feed_server.publish_order("IBM")
    delta = await stream.next()

    assert (snapshot["type"], snapshot["columns"]) == ("snapshot", {name: [value] for name, value in first.items()})
    assert (delta["type"], delta["after"]) == ("delta", snapshot["seq"])
    assert delta["columns"] == {name: [value] for name, value in second.items()}


async def test_the_last_id_resumes_also_at_another_server(
    relay: Relay, start_feed: StartFeed, streams: Streams
) -> None:
    first = await start_feed(relay=relay, feed=relay.feed)
    stream = await streams.open(first, topics="orders,fills", symbols="AAPL")
    for _ in range(2):
        await stream.next()
    for symbol in ("AAPL", "IBM", "AAPL"):
        first.publish_order(symbol)

    second = await start_feed(relay=relay, feed=relay.feed)
    resumed = await streams.open(second, last_id=stream.last_id)
    delta = await resumed.next()

    assert (delta["type"], delta["columns"]["id"]) == ("delta", ["1", "3"])


async def test_silence_is_filled_with_comments_that_tell_the_lag(start_feed: StartFeed, streams: Streams) -> None:
    server = await start_feed(heartbeat_seconds=0.05)
    stream = await streams.open(server, topics="orders")
    await stream.next()

    async with asyncio.timeout(10):
        next_event = asyncio.ensure_future(stream.next())
        while not stream.comments:
            await asyncio.wait({next_event}, timeout=0.05)
    server.publish_order()
    await next_event

    assert stream.comments[0] == "ping lag_ms=0 lag_bytes=0 skipped=0"


async def test_a_stuck_client_of_events_is_cut_and_its_connection_dropped(start_feed: StartFeed) -> None:
    server = await start_feed(budget=Budget(bytes=1_000_000, seconds=60))
    healthy = await server.join("orders")
    await healthy.receive_of("orders")
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1_000)
    writer.write(f"GET /api/v1/events HTTP/1.1\r\nHost: x\r\nX-API-Key: {server.key}\r\n\r\n".encode())
    await reader.readline()

    async with asyncio.timeout(20):
        while server.hub.clients > 1:
            server.publish_order(padding=500_000)
            await healthy.receive_of("orders")
        with contextlib.suppress(ConnectionError):
            while await reader.read(65_536):
                pass

    writer.close()


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ({"topics": "gossip"}, 422, "there is no topic 'gossip'"),
        ({"token": "rubbish"}, 422, "the token is not valid"),
        ({"symbols": "x" * 65}, 422, "length <= 64"),
        ({"symbols": ["A*"] * 33}, 422, "32 patterns at most"),
    ],
)
async def test_what_cannot_be_asked_for_is_refused(
    feed_server: FeedServer, query: dict[str, Any], status: int, words: str
) -> None:
    async with httpx.AsyncClient(**PLAIN) as client:
        url = f"http://127.0.0.1:{feed_server.port}/api/v1/events"
        answer = await client.get(url, params=query, headers={"X-API-Key": feed_server.key})
        stranger = await client.get(url)

    assert (answer.status_code, stranger.status_code) == (status, 401)
    assert words in answer.text


async def test_an_event_source_in_a_browser_resumes_by_itself(
    relay: Relay, start_feed: StartFeed, cable: Cable
) -> None:
    server = await start_feed(relay=relay, feed=relay.feed)
    cable.lead_to(server.port)
    session = server.security.sessions.issue(server.security.local)
    async with open_page(f"http://127.0.0.1:{cable.port}/feed.js", cookie=session) as page:
        await page.evaluate(
            """() => {
                window.ids = [];
                window.kinds = [];
                const source = new EventSource("/api/v1/events?topics=orders");
                for (const kind of ["snapshot", "delta"]) {
                    source.addEventListener(kind, (event) => {
                        window.kinds.push(kind);
                        window.ids.push(...(JSON.parse(event.data).columns.id ?? []));
                    });
                }
            }"""
        )
        await page.wait_for_function("window.kinds.length == 1")
        for number in range(1, 31):
            server.publish_order()
            if number == 10:
                cable.cut()
            if number % 5 == 0:
                await page.wait_for_function("window.ids.length > 0")
        await page.wait_for_function("window.ids.length >= 30")

        assert await page.evaluate("window.ids") == [str(number) for number in range(1, 31)]
        assert set(await page.evaluate("window.kinds")) == {"snapshot", "delta"}
        assert (await page.evaluate("window.kinds")).count("snapshot") == 1
