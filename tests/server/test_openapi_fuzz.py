"""Requests made up from the description of the interface, sent to a real server around a real desk.

Whatever comes, right or wrong: no answer is a failure of the server, and each has a status, a kind, headers and a body
that the description names. `IBDESK_FUZZ_SECONDS` says how long the proof goes on; `make test` tries a few requests of
each operation.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import msgpack  # type: ignore[import-untyped] # it ships no types
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.server.conftest import CHEAP

from ibdesk.desk import Desk
from ibdesk_server.backtests.settings import BacktestSettings
from ibdesk_server.security.settings import LimitSettings
from ibdesk_server.serve import WebServer
from ibdesk_server.settings import ServerSettings, Settings

SECONDS = float(os.environ.get("IBDESK_FUZZ_SECONDS", "5"))
CHECKS: Any = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# What goes on for ever, and what ends the login under which all the rest is sent.
LEFT_OUT = {"/api/v1/events", "/logout", "/api/v1/auth/logout"}
BOUNDLESS = LimitSettings(
    reads_per_minute=10**9, writes_per_minute=10**9, logins_per_minute=10**9, address_per_minute=10**9
)

pytestmark = pytest.mark.timeout(600)


@schemathesis.serializer("application/msgpack")
def pack(_: schemathesis.SerializationContext, value: Any) -> Any:
    return msgpack.packb(value, default=str)


@schemathesis.deserializer("application/msgpack")
def unpack(_: schemathesis.DeserializationContext, response: schemathesis.Response) -> Any:
    return msgpack.unpackb(response.content)


class Server:
    """A server in a thread of its own, and a session that holds its key."""

    def __init__(self, desk: Desk, settings_: Settings) -> None:
        self._desk, self._settings = desk, settings_
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="fuzzed server")
        self.url = ""
        self.session = requests.Session()
        self.session.trust_env = False

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(60)
        self.session.headers["X-API-Key"] = self._settings.server.key_file.read_text().strip()

    def stop(self) -> None:
        assert self._loop is not None
        self.session.close()
        self._loop.call_soon_threadsafe(self._running.cancel)
        self._thread.join()

    async def _serve(self) -> None:
        web = WebServer(self._desk, self._settings)
        self.url, self._loop = web.url, asyncio.get_running_loop()
        self._running = asyncio.create_task(web.run())
        await web.until_answering()
        self._ready.set()
        await asyncio.wait({self._running})


@pytest.fixture(scope="module")
def server(desk: Desk, tmp_path_factory: pytest.TempPathFactory, strategies_folder: Path) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("fuzz")
    server = Server(
        desk,
        Settings(
            state_folder=folder,
            server=ServerSettings(
                port=0,
                key_file=folder / "api.key",
                strategies=strategies_folder,
                security=CHEAP,
                limits=BOUNDLESS,
                backtests=BacktestSettings(queue=2, seconds=5),
            ),
        ),
    )
    server.start()
    yield server
    server.stop()


def operations(server: Server) -> list[Any]:
    document = server.session.get(f"{server.url}/openapi.json", timeout=60).json()
    schema = schemathesis.openapi.from_dict(document)
    found: list[Any] = [cast("Any", result).ok() for result in schema.get_all_operations()]
    return [operation for operation in found if operation.path not in LEFT_OUT]


def modes(operation: Any) -> list[GenerationMode]:
    """Return how requests of an operation can be made up: one that takes nothing cannot be asked wrongly."""
    takes = operation.body or operation.query or operation.headers or operation.path_parameters
    return [GenerationMode.POSITIVE, *([GenerationMode.NEGATIVE] if takes else [])]


def fuzz(server: Server, operation: Any, mode: GenerationMode, *, examples: int, number: int) -> None:
    """Send some made-up requests of an operation, and hold each answer against the description.

    Raises:
        AssertionError: At an answer that is none of those described.
    """

    @seed(number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=False,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: schemathesis.Case) -> None:
        response = case.call(base_url=server.url, session=server.session, allow_redirects=False, timeout=60)
        case.validate_response(response, checks=CHECKS)

    send()


def test_made_up_requests_are_answered_as_described(server: Server) -> None:
    """A few of each operation, the same in every run."""
    failures: list[Exception] = []
    found = operations(server)
    for operation in found:
        for mode in modes(operation):
            try:
                fuzz(server, operation, mode, examples=2, number=1)
            except Exception as failure:  # noqa: BLE001 - all of them are told at once
                failures.append(failure)

    assert len(found) > 50
    if failures:
        raise ExceptionGroup("answers that are not described", failures)


@pytest.mark.proof
@pytest.mark.timeout(SECONDS + 600)
def test_many_made_up_requests_are_answered_as_described(server: Server) -> None:
    """As many as the time allows, with new seeds each round."""
    ends, number = time.monotonic() + SECONDS, 100
    while time.monotonic() < ends:
        for operation in operations(server):
            for mode in modes(operation):
                fuzz(server, operation, mode, examples=20, number=number)
            if time.monotonic() > ends:
                break
        number += 1
