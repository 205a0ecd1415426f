"""One process trades an account from a state folder, also when others sleep, wake up or start second."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.redis_server import RedisServer
from tests.stack import IBDESK, Program, eventually, own_environment

from ibdesk.testing.gateway import RunningGateway

if TYPE_CHECKING:
    from tests.processes.conftest import Trading

pytestmark = [pytest.mark.proof, pytest.mark.timeout(400)]

CHURNER = '''
from ibdesk import Quote, Strategy


class Churner(Strategy):
    """Buy a share and sell it again at each quote."""

    def on_quote(self, quote: Quote) -> None:
        self.order_target(quote.instrument, 0 if self.position(quote.instrument).quantity > 0 else 1)
'''

StartEngine = Callable[..., Program]


@pytest.fixture
def start_engine(tmp_path: Path, walking_gateway: RunningGateway) -> Iterator[StartEngine]:
    """Starts an engine on the test's state folder that trades; what it says is in a file of that name."""
    strategy = tmp_path / "churner.py"
    strategy.write_text(CHURNER)
    started: list[Program] = []

    def start(name: str, *, client_id: int = 33, trades: bool = True, **variables: str) -> Program:
        environment = own_environment(
            XDG_STATE_HOME=str(tmp_path),
            IBDESK_MODE="paper",
            IBDESK_TWS__PORT=str(walking_gateway.port),
            IBDESK_TWS__CLIENT_ID=str(client_id),
            **variables,
        )
        words = [*IBDESK, "engine", *(["--strategy", str(strategy), "--on", "AAPL"] if trades else [])]
        started.append(Program(words, environment, tmp_path / name))
        return started[-1]

    yield start
    for program in started:
        program.close()


def references(gateway: RunningGateway) -> list[str]:
    return [order.reference for order in gateway.orders]


def test_a_second_engine_is_refused_with_the_process_that_trades(
    start_engine: StartEngine, trading: Trading, tmp_path: Path
) -> None:
    first = start_engine("first")
    first.until("desk port")
    trading.goes_on()

    second = start_engine("second", client_id=8)

    assert second.wait() == 1
    words = " ".join(second.said.split())
    assert f"is already traded from {tmp_path}/ibdesk by process {first.pid}: end it (kill {first.pid})" in words
    trading.goes_on()
    # Killed as no program can prevent: the next one has the account at once.
    first.kill()
    start_engine("third", client_id=8).until("desk port")
    trading.goes_on()


def test_an_engine_that_is_stopped_keeps_the_account_also_when_tws_restarts(
    start_engine: StartEngine, walking_gateway: RunningGateway, trading: Trading
) -> None:
    first = start_engine("first")
    first.until("desk port")
    trading.goes_on()
    os.kill(first.pid, signal.SIGSTOP)
    walking_gateway.faults.hang_up()
    before = len(walking_gateway.orders)

    second = start_engine("second")

    assert second.wait() == 1
    said = " ".join(second.said.split())
    assert f"by process {first.pid}, which is stopped: end it (kill -CONT {first.pid}, or kill -KILL" in said
    assert len(walking_gateway.orders) == before
    os.kill(first.pid, signal.SIGCONT)
    trading.goes_on()
    assert len(set(references(walking_gateway))) == len(references(walking_gateway))


def test_an_engine_that_wakes_up_behind_another_one_sends_nothing_and_ends(
    start_engine: StartEngine, walking_gateway: RunningGateway, trading: Trading, tmp_path: Path
) -> None:
    """The lock cannot be lost by sleeping, but by somebody who removes its file."""
    first = start_engine("first")
    first.until("desk port")
    trading.goes_on()
    os.kill(first.pid, signal.SIGSTOP)
    walking_gateway.faults.hang_up()
    [lock] = (tmp_path / "ibdesk" / "locks").glob("*.lock")
    lock.unlink()
    second = start_engine("second")
    second.until("desk port")
    trading.goes_on()
    second.kill()
    before = len(walking_gateway.orders)

    os.kill(first.pid, signal.SIGCONT)

    assert first.wait() == 1
    assert "another process has taken over account" in " ".join(first.said.split())
    assert len(walking_gateway.orders) == before
    start_engine("third").until("desk port")
    trading.goes_on()
    assert len(set(references(walking_gateway))) == len(references(walking_gateway))


def test_a_standby_goes_on_although_the_frozen_leader_has_the_lock(
    start_engine: StartEngine, redis_server: RedisServer, walking_gateway: RunningGateway, trading: Trading
) -> None:
    variables = {"IBDESK_REDIS__URL": redis_server.url}
    leader = start_engine("leader", **variables)
    leader.until("desk port")
    standby = start_engine("standby", **variables)
    standby.until("standing by")
    trading.goes_on()
    os.kill(leader.pid, signal.SIGSTOP)
    walking_gateway.faults.hang_up()

    standby.until("desk port")
    trading.goes_on()
    standby.kill()
    # Nobody is left who could say that another one has led.
    redis_server.stop()
    before = len(walking_gateway.orders)
    os.kill(leader.pid, signal.SIGCONT)

    assert leader.wait() == 1
    assert "another process has taken over account" in " ".join(leader.said.split())
    assert len(walking_gateway.orders) == before
    assert len(set(references(walking_gateway))) == len(references(walking_gateway))


def test_everything_in_the_state_folder_is_its_owners_alone(
    start_engine: StartEngine, trading: Trading, tmp_path: Path
) -> None:
    before = os.umask(0)
    try:
        engine = start_engine("engine")
    finally:
        os.umask(before)
    engine.until("desk port")
    trading.goes_on()

    kept = [tmp_path / "ibdesk", *(tmp_path / "ibdesk").rglob("*")]
    open_to_others = {str(path): oct(path.lstat().st_mode) for path in kept if path.lstat().st_mode & 0o077}

    assert open_to_others == {}
    assert {path.suffix for path in kept} >= {".sqlite", ".sqlite-wal", ".sqlite-shm", ".sock", ".lock", ".log"}
    eventually(lambda: engine.is_running, "it goes on")
