"""The guardian's line to an engine whose answers are not what was asked for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ibdesk.guardian.engine_connection import EngineConnection

HEALTH = {"address": "127.0.0.1:7497", "account": "DU1", "halt_ids": ["h-1"], "link": "up"}
RUNS = [{"run_id": "Cross-abc", "state": "running"}, {"run_id": "Cross-def", "state": "ended"}]
BOOKS = {"rows": [{"owner": "a", "symbol": "AAPL", "con_id": 1, "quantity": 2.0}], "executions": ["e1.01"]}


@contextlib.asynccontextmanager
async def asked_twice(path: Path, answers: dict[str, Any]) -> AsyncIterator[EngineConnection]:
    """Ask an engine that answers with these values until it was asked for its health a second time."""
    asked: asyncio.Queue[str] = asyncio.Queue()
    ended: asyncio.Queue[None] = asyncio.Queue()
    begun = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal begun
        begun += 1
        with contextlib.suppress(OSError, EOFError), contextlib.closing(writer):
            while True:
                length = int.from_bytes(await reader.readexactly(4))
                call = msgspec.msgpack.decode(await reader.readexactly(length))
                message = {"type": "answer", "number": call["number"], "value": answers[call["operation"]]}
                data = msgspec.msgpack.encode(message)
                writer.write(len(data).to_bytes(4) + data)
                asked.put_nowait(call["operation"])
        ended.put_nowait(None)

    server = await asyncio.start_unix_server(answer, path)
    connection = EngineConnection(path)
    running = asyncio.create_task(connection.run())
    async with asyncio.timeout(20):
        for _ in range(2):
            while await asked.get() != "health":
                pass
        assert not running.done()
        yield connection
        running.cancel()
        server.close()
        for _ in range(begun):
            await ended.get()


@pytest.mark.parametrize(
    "answers",
    [
        {"health": {}},
        {"health": None},
        {"health": [1, 2]},
        {"health": {**HEALTH, "halt_ids": 7}},
        {"health": HEALTH, "runs": {"a": 1}},
        {"health": HEALTH, "runs": [{"state": "running"}]},
        {"health": HEALTH, "runs": RUNS, "books": {"rows": [{"owner": "a"}], "executions": []}},
    ],
)
async def test_a_malformed_answer_is_asked_for_again_and_ends_nothing(tmp_path: Path, answers: dict[str, Any]) -> None:
    async with asked_twice(tmp_path / "desk.sock", answers) as connection:
        assert connection.books is None


async def test_a_good_answer_is_taken(tmp_path: Path) -> None:
    async with asked_twice(tmp_path / "desk.sock", {"health": HEALTH, "runs": RUNS, "books": BOOKS}) as connection:
        assert (connection.account, connection.runs) == ("DU1", ("Cross-abc",))
        assert connection.halt_ids == {"h-1"}
        assert connection.books is not None
        assert [row.quantity for row in connection.books] == [2.0]
