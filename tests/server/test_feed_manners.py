"""Clients of the feed that say nothing, or nonsense, or are strangers: told why, cut, and nobody else notices."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import msgpack  # type: ignore[import-untyped] # it ships no types
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed, InvalidStatus

from ibdesk_server.feed.protocol import ClientMessage, FeedProtocolError, Subscribe, decode_client_message

if TYPE_CHECKING:
    from tests.server.conftest import FeedServer, StartFeed


@pytest.mark.parametrize(
    ("frame", "code", "words"),
    [
        (b"\xc1\xc1garbage", 1007, "the message is not msgpack"),
        (b"", 1007, "the message is not msgpack"),
        (msgpack.packb([1, 2, 3]), 1007, "Expected `object`, got `array`"),
        (msgpack.packb({"topics": ["orders"]}), 1007, "missing required field `type`"),
        (msgpack.packb({"type": "shout"}), 1007, "Invalid value 'shout'"),
        (
            msgpack.packb({"type": "subscribe", "topics": ["gossip"]}),
            1007,
            "there is no topic 'gossip'; the topics are: ",
        ),
        (msgpack.packb({"type": "subscribe", "topics": [], "symbols": [7]}), 1007, "Expected `str`, got `int`"),
        (msgpack.packb({"type": "unsubscribe", "topics": ["gossip"]}), 1007, "there is no topic 'gossip'"),
        (msgpack.packb({"type": "subscribe", "symbols": ["x" * 65]}), 1007, "Expected `str` of length <= 64"),
        (
            msgpack.packb({"type": "subscribe", "symbols": ["A"] * 1_001}),
            1007,
            "1,000 names at most",
        ),
        (msgpack.packb({"type": "subscribe", "owners": ["*"] * 33}), 1007, "32 patterns at most, this one has 33"),
        (msgpack.packb({"type": "subscribe", "token": "rubbish"}), 1007, "the token is not valid"),
        (msgpack.packb({"type": "subscribe", "token": "WzIsIiIsW11d", "topics": []}), 1007, "leave out topics"),
        (msgpack.packb({"type": "ping", "at_ns": 0, "loud": True}), 1007, "unknown field `loud`"),
        ("subscribe to everything, please", 1003, "msgpack in binary frames, got a text frame"),
    ],
)
async def test_nonsense_is_answered_with_what_is_wrong_and_hurts_nobody_else(
    feed_server: FeedServer, frame: bytes | str, code: int, words: str
) -> None:
    healthy = await feed_server.join("orders")
    await healthy.receive_of("orders")
    client = await feed_server.connect()
    await client.receive()

    await client.connection.send(frame)
    messages, closed_with, _ = await client.receive_rest()
    feed_server.publish_order()

    assert [message["type"] for message in messages] == ["error", "bye"]
    assert words in messages[0]["text"]
    assert closed_with == code
    assert (await healthy.receive_of("orders"))["columns"]["id"] == ["1"]


async def test_a_message_longer_than_64_kib_ends_the_connection(feed_server: FeedServer) -> None:
    client = await feed_server.connect()
    await client.receive()

    await client.connection.send(bytes(65_537))
    _, code, _ = await client.receive_rest()

    assert code == 1009


async def test_who_sends_too_much_is_told_once_and_then_cut(start_feed: StartFeed) -> None:
    server = await start_feed(messages=5.0)
    client = await server.connect()
    await client.receive()

    with contextlib.suppress(ConnectionClosed):
        for number in range(100):
            await client.send(type="ping", at_ns=number)
    messages, code, reason = await client.receive_rest()

    kinds = [message["type"] for message in messages]
    assert kinds.count("warning") == 1
    assert 11 <= kinds.count("pong") <= 40
    assert kinds[-2:] == ["error", "bye"]
    assert (code, reason) == (1008, "too many messages or bytes: 5 messages and 65,536 bytes a second are allowed")


async def test_long_messages_count_by_their_bytes(start_feed: StartFeed) -> None:
    server = await start_feed(message_bytes=10_000.0)
    client = await server.connect()
    await client.receive()

    with contextlib.suppress(ConnectionClosed):
        for _ in range(3):
            await client.send(type="subscribe", topics=[], symbols=[f"{number:050}" for number in range(500)])
    messages, code, _ = await client.receive_rest()

    assert [message["type"] for message in messages] == ["warning", "error", "bye"]
    assert code == 1008


async def test_a_client_that_says_nothing_is_sent_away(start_feed: StartFeed) -> None:
    server = await start_feed(auth_seconds=0.05)
    silent = await server.connect(known=False)

    messages, code, reason = await silent.receive_rest()

    assert messages[0] == {"type": "error", "text": "no auth message within 0.05 s"}
    assert (code, reason) == (1008, "no auth message within 0.05 s")


async def test_the_key_may_come_as_the_first_message(feed_server: FeedServer) -> None:
    client = await feed_server.connect(known=False)

    await client.send(type="auth", key=feed_server.key)

    assert (await client.receive())["type"] == "hello"


async def test_a_wrong_key_is_refused_in_a_message_and_in_a_header(feed_server: FeedServer) -> None:
    by_message = await feed_server.connect(known=False)
    by_header = await feed_server.connect(known=False, headers={"X-API-Key": "wrong"})

    await by_message.send(type="auth", key="wrong")

    for client in (by_message, by_header):
        messages, code, reason = await client.receive_rest()
        assert [message["type"] for message in messages] == ["error", "bye"]
        assert (code, reason) == (1008, "this key or token is not valid")


async def test_who_subscribes_before_the_key_is_refused(feed_server: FeedServer) -> None:
    client = await feed_server.connect(known=False)

    await client.send(type="subscribe", topics=["orders"])
    _, code, reason = await client.receive_rest()

    assert (code, reason) == (1008, "the first message must be auth, with a key or access token as `key`")


async def test_a_page_of_another_origin_cannot_open_the_feed_even_with_a_login(feed_server: FeedServer) -> None:
    security = feed_server.security
    cookie = {"Cookie": f"ibdesk_session={security.sessions.issue(security.local)}"}

    own = await feed_server.connect(known=False, headers=cookie | {"Origin": f"http://127.0.0.1:{feed_server.port}"})
    with pytest.raises(InvalidStatus) as refusal:
        await feed_server.connect(known=False, headers=cookie | {"Origin": "http://evil.example"})

    assert (await own.receive())["type"] == "hello"
    assert refusal.value.response.status_code == 403


async def test_no_more_clients_are_taken_than_allowed(start_feed: StartFeed) -> None:
    server = await start_feed(clients=1)
    await (await server.connect()).receive()
    second = await server.connect()

    messages, code, _ = await second.receive_rest()

    assert [message["type"] for message in messages] == ["bye"]
    assert code == 1013


_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
_KINDS = st.sampled_from(["auth", "subscribe", "unsubscribe", "ping", "pong"])
_FIELDS = st.dictionaries(st.sampled_from(["key", "topics", "symbols", "owners", "token", "at_ns"]), _PLAIN)
_NEARLY = st.builds(lambda kind, fields: {"type": kind} | fields, _KINDS, _FIELDS)


@given(st.binary() | _PLAIN.map(msgpack.packb) | _NEARLY.map(msgpack.packb))
def test_any_bytes_are_a_message_or_a_protocol_error(data: bytes) -> None:
    with contextlib.suppress(FeedProtocolError):
        assert isinstance(decode_client_message(data), ClientMessage)


def test_a_deeply_nested_message_is_refused() -> None:
    data: Any = b"\x91" * 60_000 + b"\x00"

    with pytest.raises(FeedProtocolError):
        decode_client_message(data)


def test_absent_fields_mean_everything() -> None:
    assert decode_client_message(msgpack.packb({"type": "subscribe"})) == Subscribe()
