"""The simulated network and clock do nothing that real ones would not."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.simulation.disk import Disk
from ibdesk.simulation.loop import VirtualLoop
from ibdesk.simulation.network import Network


class House:
    """Two processes on one network."""

    def __init__(self, seed: int) -> None:
        chance = random.Random(seed)
        self.loop = VirtualLoop(chance, start_ns=1_000_000_000_000)  # type: ignore[abstract]
        self.network = self.loop.network = Network(self.loop, chance, latency_ns=(1_000, 9_000_000))
        self.loop.after_turn = self.network.let_go
        self.here, self.there = self.loop.process("here"), self.loop.process("there")

    def run(self, *works: Coroutine[Any, Any, Any]) -> list[Any]:
        places = (self.here, self.there)
        tasks = [self.loop.run_in(place, work, "work") for place, work in zip(places, works, strict=False)]
        self.loop.run_while(lambda: not all(task.done() for task in tasks))
        results = [task.result() for task in tasks]
        self.loop.close()
        return results


class Hearer(asyncio.Protocol):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard, self.reads = b"", 0
        self.lost: list[Exception | None] = []
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.heard, self.reads = self.heard + data, self.reads + 1

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.append(exc)
        self.ended.set()


@given(st.integers(0, 10_000), st.lists(st.binary(min_size=1, max_size=300), max_size=30))
def test_a_stream_arrives_whole_and_in_order(seed: int, parts: list[bytes]) -> None:
    house = House(seed)
    hearer = Hearer()

    async def listen() -> bytes:
        await house.loop.create_server(lambda: hearer, "host", 1)
        await hearer.ended.wait()
        return hearer.heard

    async def send() -> None:
        await asyncio.sleep(0.5)
        transport, _ = await house.loop.create_connection(asyncio.Protocol, "host", 1)
        for number, part in enumerate(parts):
            transport.write(part)
            if number % 3 == 0:
                await asyncio.sleep(0.001 * (number % 7))
        transport.close()

    heard = house.run(listen(), send())[0]

    assert heard == b"".join(parts)
    assert hearer.lost == [None]


def test_nobody_who_listens_is_a_refused_connection() -> None:
    house = House(1)

    async def connect() -> None:
        with pytest.raises(ConnectionRefusedError):
            await house.loop.create_connection(asyncio.Protocol, "host", 1)

    house.run(connect())


def test_an_hour_of_sleep_takes_no_time_of_ours() -> None:
    house = House(1)

    async def sleep() -> float:
        began = house.loop.time()
        await asyncio.sleep(3_600)
        return house.loop.time() - began

    assert house.run(sleep())[0] == pytest.approx(3_600, abs=0.01)


def test_a_process_that_is_killed_does_nothing_more_not_even_a_finally() -> None:
    house, done = House(1), []

    async def work() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            done.append("finally")

    house.loop.run_in(house.there, work(), "work")
    house.loop.run_while(lambda: house.loop.time() < 1_005)
    house.loop.end(house.there)
    house.loop.run_while(lambda: house.loop.time() < 1_100)

    assert done == []


def test_a_crash_leaves_the_first_bytes_of_the_log(tmp_path: Path) -> None:
    folder = tmp_path / "desk"
    folder.mkdir()
    disk = Disk(folder)
    disk.journal = folder / "j.sqlite"
    disk.journal.write_bytes(b"whole")
    (folder / "j.sqlite-wal").write_bytes(b"0123456789")
    (folder / "j.sqlite-shm").write_bytes(b"shared")

    disk.crash(log_bytes=4)

    assert sorted(path.name for path in folder.iterdir()) == ["j.sqlite", "j.sqlite-wal"]
    assert (folder / "j.sqlite-wal").read_bytes() == b"0123"
    assert (folder / "j.sqlite").read_bytes() == b"whole"
