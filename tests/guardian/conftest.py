"""A guardian as a process of its own, beside a gateway, and persons who trade there with an unmodified client."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import ib_async
import msgspec
import pytest
import pytest_asyncio
from tests.stack import eventually, own_environment

from ibdesk.guardian.config import GuardianConfig
from ibdesk.guardian.decisions import Rules
from ibdesk.guardian.record import Memory, Record
from ibdesk.testing.gateway import RunningGateway


def ask(door: Path, do: str, **facts: object) -> dict[str, Any]:
    """Say one thing to the guardian at this socket and return its answer."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(20)
        line.connect(str(door))
        line.sendall(json.dumps({"do": do, **facts}).encode() + b"\n")
        with line.makefile("rb") as answers:
            answer: dict[str, Any] = json.loads(answers.readline())
    return answer


def config_of(folder: Path, **changes: Any) -> GuardianConfig:
    """Return what a guardian of the paper account DU1 needs to know, whose files are in this folder."""
    config = GuardianConfig(
        mode="paper",
        state_folder=folder,
        desk_socket=folder / "desk-paper.sock",
        host="127.0.0.1",
        port=1,
        client_id=90,
        account="DU1",
        rules=Rules(),
    )
    return msgspec.structs.replace(config, **changes)


class WitnessedRecord(Record):
    """A record that remembers every state of its memory that a guardian killed at that moment would leave on disk."""

    def __init__(self, log: Path, memory: Path, *, say: Callable[[str], None]) -> None:
        super().__init__(log, memory, say=say)
        self.states: list[Memory] = []
        self._path = memory

    def keep(self, **changes: Any) -> None:
        """Change the memory, and read what is on disk."""
        super().keep(**changes)
        self.states.append(msgspec.json.decode(self._path.read_bytes(), type=Memory))


class GuardianProcess:
    """A guardian that runs, as `ibdesk guardian` starts it."""

    def __init__(self, config: GuardianConfig, log: Path, stderr: int | None = None) -> None:
        self.config, self.log = config, log
        reading, writing = os.pipe()
        os.write(writing, config.encode())
        os.close(writing)
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ibdesk.guardian", "--settings-fd", str(reading)],
                pass_fds=[reading],
                env=own_environment(IBDESK_ACCOUNTS=os.environ["IBDESK_ACCOUNTS"]),
                stdout=file,
                stderr=file if stderr is None else stderr,
            )
        os.close(reading)

    def ask(self, do: str, **facts: object) -> dict[str, Any]:
        """Say one thing over its socket and return the answer."""
        return ask(self.config.command_socket, do, **facts)

    def status(self) -> dict[str, Any]:
        """Return how it is; nothing while it cannot be reached."""
        try:
            return self.ask("status")
        except OSError:
            assert self.process.poll() is None, self.log.read_text()
            return {}

    def until(self, look: Callable[[dict[str, Any]], object], what: str, *, seconds: float = 40.0) -> dict[str, Any]:
        """Wait until its status is as wanted, and return it."""

        def looked() -> dict[str, Any] | None:
            status = self.status()
            return status if status and look(status) else None

        try:
            return eventually(looked, what, seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.status()}\n{self.log.read_text()}") from None

    def events(self, event: str) -> list[dict[str, Any]]:
        """Return what it wrote of one kind into its log."""
        lines = map(json.loads, self.config.log.read_text().splitlines())
        return [line for line in lines if line["event"] == event]

    def kill(self) -> None:
        """End it as no program can prevent."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End it in good order."""
        self.process.terminate()
        self.process.wait(20)


StartGuardian = Callable[..., GuardianProcess]


@pytest.fixture(autouse=True)
def accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the accounts' halts, for this test and the processes that it starts."""
    monkeypatch.setenv("IBDESK_ACCOUNTS", str(tmp_path / "accounts"))
    return tmp_path / "accounts"


@pytest.fixture
def tws() -> Iterator[RunningGateway]:
    """A gateway whose market stands still, with a million in the account."""
    with RunningGateway() as gateway:
        yield gateway


@pytest.fixture
def start_guardian(tws: RunningGateway, tmp_path: Path) -> Iterator[StartGuardian]:
    """Starts guardians of the account at `tws`, with these rules."""
    with contextlib.ExitStack() as running:

        def start(
            *, rules: Rules | None = None, ready: bool = True, stderr: int | None = None, **changes: Any
        ) -> GuardianProcess:
            config = GuardianConfig(
                mode="paper",
                state_folder=tmp_path / "state",
                desk_socket=tmp_path / "state" / "desk-paper.sock",
                host=tws.host,
                port=tws.port,
                client_id=90,
                account=tws.account,
                rules=rules or Rules(),
                look_seconds=0.2,
            )
            made = GuardianProcess(msgspec.structs.replace(config, **changes), tmp_path / "guardian.said", stderr)
            running.callback(made.close)
            if ready:
                made.until(lambda status: status["link"] == "up" and status["daily_pnl"] is not None, "a guardian up")
            return made

        yield start


Connect = Callable[..., Any]


@pytest_asyncio.fixture
async def person(tws: RunningGateway) -> AsyncIterator[ib_async.IB]:
    """A client of TWS, such as a person's own program."""
    ib = ib_async.IB()
    await ib.connectAsync(tws.host, tws.port, clientId=7)
    yield ib
    ib.disconnect()


AAPL = ib_async.Stock("AAPL", "SMART", "USD")


def held(gateway: RunningGateway) -> dict[str, float]:
    """Return the positions of the gateway's account by its executions, which is the truth."""
    found: dict[str, float] = {}
    for done in gateway.executions:
        signed = done.quantity if done.action == "BUY" else -done.quantity
        found[done.symbol] = found.get(done.symbol, 0.0) + signed
    return {symbol: quantity for symbol, quantity in found.items() if quantity}
