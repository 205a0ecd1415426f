from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from ibdesk.errors import ChildError
from ibdesk_server.dashboard import start_dashboard

pytestmark = pytest.mark.timeout(120)

NOWHERE = "ws://127.0.0.1:1/feed"


def test_a_taken_port_is_one_sentence(key_file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        with pytest.raises(ChildError, match=rf"127\.0\.0\.1:{port} is taken by another program: .* --port"):
            start_dashboard(feed=NOWHERE, key_file=key_file, port=port)


def test_a_missing_key_is_one_sentence_and_makes_none(tmp_path: Path) -> None:
    with pytest.raises(ChildError, match=r"there is no API key in .*: start the server first"):
        start_dashboard(feed=NOWHERE, key_file=tmp_path / "none", port=0)

    assert not (tmp_path / "none").exists()


async def test_closing_ends_the_process_and_gives_the_port_back(start: Any) -> None:
    dashboard = await start(NOWHERE)
    port = httpx.URL(dashboard.address).port

    dashboard.close()
    dashboard.close()

    assert not dashboard.running
    with socket.create_server(("127.0.0.1", port or 0)):
        pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_quietly(key_file: Path, number: signal.Signals) -> None:
    command = ["-m", "ibdesk_server.dashboard", "--feed", NOWHERE, "--port", "0", "--key-file", str(key_file)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    ready = await asyncio.wait_for(process.stdout.readline(), 60)

    process.send_signal(number)

    _, complaints = await asyncio.wait_for(process.communicate(), 20)
    assert ready.startswith(b"http://127.0.0.1:")
    assert (process.returncode, complaints) == (0, b"")


def test_it_ends_when_its_parent_is_killed(key_file: Path) -> None:
    code = (
        "from pathlib import Path; from ibdesk_server.dashboard import start_dashboard\n"
        f"dashboard = start_dashboard(feed={NOWHERE!r}, key_file=Path({str(key_file)!r}), port=0)\n"
        "print(dashboard.address, flush=True)\n"
        "input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        address = httpx.URL(parent.stdout.readline().strip())
        with socket.create_connection((address.host, address.port or 0), 20) as link:
            parent.kill()

            # The link ends with the process at its other end.
            with contextlib.suppress(ConnectionResetError):
                assert link.recv(1) == b""

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.host, address.port or 0), 5)
