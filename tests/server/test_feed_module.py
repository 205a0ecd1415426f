"""The JavaScript module in a real browser: it reads what Python writes, and comes back without a loss or a repeat."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import struct
from typing import TYPE_CHECKING, Any

import msgpack  # type: ignore[import-untyped] # it ships no types
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.async_api import Page
from tests.server.browser import open_page

from ibdesk.store.feed import Topic
from ibdesk_server.feed.protocol import decode_client_message

if TYPE_CHECKING:
    from tests.server.conftest import Cable, FeedServer, Relay, StartFeed

pytestmark = pytest.mark.timeout(120)

# Follows the feed in the page; what it saw is in `window`.
FOLLOW = """async ([url, options]) => {
    const { Feed } = await import("/feed.js");
    window.states = [];
    window.ids = [];
    window.kinds = [];
    window.error = null;
    window.feed = new Feed(url, { ...options, onState: (state) => window.states.push(state) });
    (async () => {
        try {
            for await (const news of window.feed) {
                window.kinds.push(news.kind);
                window.ids.push(...news.rows.map((row) => row.id));
            }
        } catch (error) { window.error = String(error); }
    })();
}"""


async def follow(page: Page, port: int, **options: Any) -> None:
    await page.evaluate(FOLLOW, [f"ws://127.0.0.1:{port}/feed", options])


async def test_it_builds_tables_and_tells_its_state(feed_server: FeedServer) -> None:
    feed_server.publish_order("AAPL")
    async with open_page(f"http://127.0.0.1:{feed_server.port}/feed.js") as page:
        await follow(page, feed_server.port, key=feed_server.key, topics=["orders"], symbols=["A*", "IBM"])
        await page.wait_for_function("window.kinds.length == 1")
        for symbol in ("MSFT", "IBM"):
            feed_server.publish_order(symbol)
        await page.wait_for_function("window.kinds.length == 2")
        await page.evaluate("window.feed.close()")

        assert await page.evaluate("[...window.feed.tables.get('orders').rows.map((row) => row.symbol)]") == [
            "AAPL",
            "IBM",
        ]
        assert await page.evaluate("window.feed.tables.get('orders').get('3').status") == "sent"
        assert await page.evaluate("window.states") == ["open", "closed"]


async def test_through_cut_cables_and_restarts_no_row_is_lost_or_repeated(
    relay: Relay, start_feed: StartFeed, cable: Cable
) -> None:
    server = await start_feed(relay=relay, feed=relay.feed)
    cable.lead_to(server.port)
    chance = random.Random(5)
    async with open_page(f"http://127.0.0.1:{cable.port}/feed.js") as page:
        await follow(page, cable.port, key=server.key, topics=["orders"])
        await page.wait_for_function("window.kinds.length == 1")
        for number in range(1, 201):
            server.publish_order(padding=chance.randrange(1_000))
            if number in {40, 120}:
                cable.cut()
            if number == 80:
                successor = await start_feed(relay=relay, feed=relay.feed)
                successor.published = server.published
                cable.lead_to(successor.port)
                server.hub.close()
                server = successor
            if number % 20 == 0:
                await page.wait_for_function("(count) => window.ids.length >= count", arg=number)
            await asyncio.sleep(0)
        await page.wait_for_function("window.ids.length >= 200")

        assert await page.evaluate("window.ids") == [str(number) for number in range(1, 201)]
        assert await page.evaluate("window.kinds.filter((kind) => kind == 'snapshot').length") == 1
        assert await page.evaluate("window.feed.connections") == 4


async def test_a_token_goes_on_in_another_page_and_in_python(relay: Relay, start_feed: StartFeed) -> None:
    server = await start_feed(relay=relay, feed=relay.feed)
    async with open_page(f"http://127.0.0.1:{server.port}/feed.js") as page:
        await follow(page, server.port, key=server.key, topics=["orders", "fills"], owners=["run-*"])
        await page.wait_for_function("window.kinds.length == 2")
        token = await page.evaluate("window.feed.token")
        await page.evaluate("window.feed.close()")
    client = await server.resume(token)
    for number, owner in enumerate(("run-1", "another")):
        row = {"execution_id": str(number), "symbol": "AAPL", "owner": owner}
        server.feed.publish(Topic.FILLS, str(number), row)

    assert (await client.receive_of("fills"))["columns"]["owner"] == ["run-1"]


async def test_a_wrong_key_is_refused_for_good(feed_server: FeedServer) -> None:
    async with open_page(f"http://127.0.0.1:{feed_server.port}/feed.js") as page:
        await follow(page, feed_server.port, key="wrong", topics=["orders"])
        await page.wait_for_function("window.error !== null")

        assert "refuses this client: " in await page.evaluate("window.error")
        assert await page.evaluate("window.states") == ["closed"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=40) | st.dictionaries(st.text(max_size=8), inner, max_size=20),
    max_leaves=60,
)

# Gives a value back in a form that JSON can tell apart.
READ = """async (words) => {
    const { decode, encode } = await import("/feed.js");
    const bytesOf = (word) => Uint8Array.from(atob(word), (each) => each.charCodeAt(0));
    const plain = (value) => {
        if (typeof value === "bigint") return { integer: String(value) };
        if (typeof value === "number") {
            const view = new DataView(new ArrayBuffer(8));
            view.setFloat64(0, value);
            return { float: view.getBigUint64(0).toString(16).padStart(16, "0") };
        }
        if (Array.isArray(value)) return value.map(plain);
        if (value !== null && typeof value === "object") {
            return { map: Object.fromEntries(Object.entries(value).map(([name, each]) => [name, plain(each)])) };
        }
        return value;
    };
    return words.map((word) => {
        try { return JSON.stringify(plain(decode(bytesOf(word)))); } catch (error) { return error.constructor.name; }
    });
}"""


async def test_it_reads_whatever_python_writes_and_survives_what_nobody_writes(feed_server: FeedServer) -> None:
    values: list[Any] = []
    rubbish: list[bytes] = []

    @settings(max_examples=400, database=None, suppress_health_check=list(HealthCheck))
    @given(VALUES, st.binary(max_size=60), st.randoms(use_true_random=False))
    def collect(value: Any, noise: bytes, chance: random.Random) -> None:
        values.append(value)
        mutated = bytearray(msgpack.packb(value) + noise[:2])
        mutated[chance.randrange(len(mutated))] = chance.randrange(256)
        rubbish.extend((noise, bytes(mutated)))

    await asyncio.to_thread(collect)
    async with open_page(f"http://127.0.0.1:{feed_server.port}/feed.js") as page:
        packed = [base64.b64encode(msgpack.packb(value)).decode() for value in values]
        read = await page.evaluate(READ, packed)
        spoiled = await page.evaluate(READ, [base64.b64encode(each).decode() for each in rubbish])
        long = await page.evaluate(
            READ, [base64.b64encode(each).decode() for each in (b"\x91" * 60_000, b"\xdd\xff\xff\xff\xff")]
        )

    for value, text in zip(values, read, strict=True):
        assert json.loads(text) == plain(value)
    assert {each for each in spoiled if each[0] not in '{["ntf'} <= {"RangeError", "TypeError"}
    assert long == ["RangeError", "RangeError"]


async def test_python_reads_whatever_it_writes(feed_server: FeedServer) -> None:
    said = [
        {"type": "ping", "at_ns": 0},
        {"type": "subscribe", "topics": ["orders"] * 20, "symbols": ["x" * 40] * 300, "owners": None},
        {"type": "subscribe", "token": "t" * 40_000},
        {"type": "auth", "key": "schlüssel"},
    ]
    async with open_page(f"http://127.0.0.1:{feed_server.port}/feed.js") as page:
        written = await page.evaluate(
            """async (said) => {
                const { encode } = await import("/feed.js");
                return [...said, { type: "pong", at_ns: 1717405200000000001n }, { type: "ping", at_ns: 300 }].map(
                    (each) => [...encode(each)]);
            }""",
            said,
        )

    messages = [decode_client_message(bytes(each)) for each in written]

    assert [msgpack.unpackb(bytes(each)) for each in written[:4]] == said
    assert [getattr(message, "at_ns", None) for message in messages[-2:]] == [1717405200000000001, 300]


def plain(value: Any) -> Any:
    """Return a value as `READ` does."""
    if isinstance(value, bool | str) or value is None:
        return value
    if isinstance(value, int) and abs(value) >= 2**53:
        return {"integer": str(value)}
    if isinstance(value, int | float):
        return {"float": struct.pack(">d", value).hex()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return {"map": {name: plain(each) for name, each in value.items()}}
