"""The connection of the desk port: the errors of one end after the other one is gone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import uvloop

from ibdesk.desk.port.connection import PortConnection


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_whoever_sends_on_a_line_that_was_closed_is_told_that_it_is_broken(factory: object, tmp_path: Path) -> None:
    async def send_after_close() -> None:
        path = tmp_path / "line.sock"
        server = await asyncio.start_unix_server(lambda _, writer: writer.close(), path)
        reader, writer = await asyncio.open_unix_connection(path)
        connection = PortConnection(reader, writer, longest=1_000)
        connection.close()
        # The transport is closed at the loop's next turns.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        try:
            with pytest.raises(OSError):  # noqa: PT011 - the kind is what callers rely on
                await connection.send(b"too late")
        finally:
            server.close()

    with asyncio.Runner(loop_factory=factory) as runner:  # type: ignore[arg-type] # both are loop factories
        runner.run(send_after_close())
