"""Whatever bytes a client sends, text frames, fragments and lies about lengths: others are not disturbed by it.

A number fixes each run: ``IBDESK_FUZZ_SEED=7 make test ARGS="-k feed_fuzz"`` repeats number 7.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import resource
import time
from typing import TYPE_CHECKING, Any

import msgpack  # type: ignore[import-untyped] # it ships no types
import pytest

from ibdesk_server.feed.token import FeedPosition, make_token

if TYPE_CHECKING:
    from tests.server.conftest import FeedServer, RawClient, StartFeed

FIRST_SEED = int(os.environ.get("IBDESK_FUZZ_SEED", "1"))
SECONDS = float(os.environ.get("IBDESK_FUZZ_SECONDS", "0"))
# How many connections a short run makes; a long one goes on for `SECONDS`.
CONNECTIONS = 60


def seeded_messages() -> list[bytes]:
    """Return messages that are right, which mutations make nearly right."""
    token = make_token("0123456789abcdef", [FeedPosition({"orders": 3, "quotes": None}, ["ES-*"], ["run-1"])])
    said: list[dict[str, Any]] = [
        {"type": "subscribe", "topics": ["orders", "quotes"], "symbols": ["A*", "IBM"]},
        {"type": "subscribe"},
        {"type": "subscribe", "token": token},
        {"type": "unsubscribe", "topics": ["orders"]},
        {"type": "ping", "at_ns": 2**62},
        {"type": "pong", "at_ns": 1},
        {"type": "auth", "key": "k" * 43},
    ]
    return [msgpack.packb(each) for each in said]


class Fuzzer:
    """Makes up what one client sends."""

    def __init__(self, seed: int) -> None:
        self._chance, self._messages = random.Random(seed), seeded_messages()

    def bytes_of_one_client(self) -> bytes:
        """Return some frames, some of them right."""
        return b"".join(self._frame() for _ in range(self._chance.randrange(1, 12)))

    def _frame(self) -> bytes:
        chance = self._chance
        match chance.randrange(10):
            case 0:
                return chance.randbytes(chance.randrange(1, 200))
            case 1:
                return self._framed(self._payload(), opcode=chance.randrange(16))
            case 2:
                # The length lies: much more is announced than ever comes.
                return bytes((0x82, 0x80 | chance.choice((126, 127)))) + chance.randbytes(8) + chance.randbytes(9)
            case 3:
                return self._fragments(self._payload())
            case 4:
                return self._framed(self._payload(), masked=False)
            case 5:
                return self._framed(
                    chance.choice((b"\x91", b"\x81\xa1a", b"\xdd\xff\xff\xff\xff")) * chance.randrange(20_000)
                )
            case _:
                return self._framed(self._payload())

    def _payload(self) -> bytes:
        chance = self._chance
        payload = bytearray(chance.choice(self._messages))
        for _ in range(chance.choice((0, 0, 1, 3, 20))):
            match chance.randrange(3):
                case 0:
                    payload[chance.randrange(len(payload))] = chance.randrange(256)
                case 1:
                    at = chance.randrange(len(payload))
                    payload[at:at] = chance.randbytes(chance.randrange(4))
                case _ if len(payload) > 1:
                    del payload[chance.randrange(len(payload))]
                case _:
                    pass
        return bytes(payload)

    def _framed(self, payload: bytes, *, opcode: int = 2, final: bool = True, masked: bool = True) -> bytes:
        chance, size = self._chance, len(payload)
        first = (0x80 if final else 0) | opcode | (chance.choice((0x10, 0x40)) if chance.random() < 0.05 else 0)
        mark = 0x80 if masked else 0
        if size < 126:
            head = bytes((first, mark | size))
        elif size < 65_536:
            head = bytes((first, mark | 126)) + size.to_bytes(2)
        else:
            head = bytes((first, mark | 127)) + size.to_bytes(8)
        if not masked:
            return head + payload
        mask = chance.randbytes(4)
        return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))

    def _fragments(self, payload: bytes) -> bytes:
        pieces = [payload[at : at + 7] for at in range(0, len(payload), 7)]
        frames = [
            self._framed(piece, opcode=0 if number else 2, final=number == len(pieces) - 1)
            for number, piece in enumerate(pieces)
        ]
        return b"".join(frames if self._chance.random() < 0.7 else frames[:-1])


async def spoil(server: FeedServer, seed: int) -> None:
    """Be one client that greets rightly and then sends what the fuzzer makes up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    known = f"X-API-Key: {server.key}\r\n" if seed % 4 else ""
    writer.write(
        f"GET /feed HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{known}"
        f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(Fuzzer(seed).bytes_of_one_client())
        writer.write_eof() if seed % 3 else writer.transport.abort()
        await asyncio.wait_for(reader.read(), 10)
    writer.transport.abort()


async def hear_all(client: RawClient, server: FeedServer, count: int) -> list[str]:
    """Publish orders and return the ids that a healthy client received of them.

    The snapshot of many rows comes in several messages, so that its last ones may come in between.
    """
    before = server.published
    ids: list[str] = []
    for _ in range(count):
        row = server.publish_order()
        received: list[str] = []
        while row["id"] not in received:
            received = (await client.receive_of("orders"))["columns"]["id"]
            ids += [each for each in received if int(each) > before]
    return ids


async def fuzz(server: FeedServer, seeds: range) -> list[str]:
    healthy = await server.join("orders")
    await healthy.receive_of("orders")
    ids: list[str] = []
    for start in range(seeds.start, seeds.stop, 10):
        async with asyncio.TaskGroup() as tasks:
            heard = tasks.create_task(hear_all(healthy, server, 5))
            for seed in range(start, min(start + 10, seeds.stop)):
                tasks.create_task(spoil(server, seed))
        ids += heard.result()
    return ids


async def test_rubbish_disturbs_nobody_and_leaves_nothing_behind(
    start_feed: StartFeed, caplog: pytest.LogCaptureFixture
) -> None:
    server = await start_feed(auth_seconds=0.5)

    ids = await fuzz(server, range(FIRST_SEED, FIRST_SEED + CONNECTIONS))

    assert ids == [str(number) for number in range(1, len(ids) + 1)]
    assert not server.hub.failed
    assert server.hub.clients == 1
    assert [record for record in caplog.records if record.levelname in {"ERROR", "CRITICAL"}] == []


async def test_a_greedy_client_costs_no_more_than_its_limits(start_feed: StartFeed) -> None:
    server = await start_feed(message_bytes=1e9, messages=1e9)
    greedy = await server.connect()
    await greedy.receive()

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(300):
        words = [f"{number}-{each:050}" for each in range(400)]
        await greedy.send(type="subscribe", topics=["orders", "quotes"], symbols=words)
        for topic in ("orders", "quotes"):
            await greedy.receive_of(topic)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    # Of filters that nobody uses any more only those of the last snapshots are left.
    assert len(server.hub.filters) <= 257
    assert grown < 50_000


@pytest.mark.proof
@pytest.mark.timeout(0)
async def test_rubbish_for_a_long_time(start_feed: StartFeed) -> None:
    server = await start_feed(auth_seconds=0.5, clients=50)
    seed, ends = FIRST_SEED + 1_000_000, time.monotonic() + max(SECONDS, 2.0)
    grown: list[int] = []

    while time.monotonic() < ends:
        ids = await fuzz(server, range(seed, seed + 200))
        seed += 200
        assert ids == [str(number) for number in range(server.published - 99, server.published + 1)]
        # The healthy client of this round makes room for the next one.
        await server.hang_up()
        grown.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)

    assert not server.hub.failed
    # The peak is reached early: what later rounds add is noise.
    assert grown[-1] - grown[len(grown) // 4] < 30_000
