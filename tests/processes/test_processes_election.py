"""Two real engines for one account: one trades, the other follows, and never do both."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.redis_server import RedisServer
from tests.stack import IBDESK, Program, eventually, own_environment

from ibdesk.desk import AttachedDesk
from ibdesk.testing.gateway import RunningGateway

if TYPE_CHECKING:
    from tests.processes.conftest import Trading

pytestmark = [pytest.mark.proof, pytest.mark.timeout(400)]

CLIENT = 33
CHURNER = '''
from ibdesk import Quote, Strategy


class Churner(Strategy):
    """Buy a share and sell it again at each quote."""

    def on_quote(self, quote: Quote) -> None:
        self.order_target(quote.instrument, 0 if self.position(quote.instrument).quantity > 0 else 1)
'''

StartEngine = Callable[[str], Program]


@pytest.fixture
def start_engine(tmp_path: Path, redis_server: RedisServer, walking_gateway: RunningGateway) -> Iterator[StartEngine]:
    """Starts an engine that trades or stands by; what it says is in a file of that name."""
    strategy = tmp_path / "churner.py"
    strategy.write_text(CHURNER)
    environment = own_environment(
        XDG_STATE_HOME=str(tmp_path),
        IBDESK_MODE="paper",
        IBDESK_TWS__PORT=str(walking_gateway.port),
        IBDESK_TWS__CLIENT_ID=str(CLIENT),
        IBDESK_REDIS__URL=redis_server.url,
    )
    started: list[Program] = []

    def start(name: str) -> Program:
        words = [*IBDESK, "engine", "--strategy", str(strategy), "--on", "AAPL"]
        started.append(Program(words, environment, tmp_path / name))
        return started[-1]

    yield start
    for program in started:
        program.close()


def leader_and_standby(start_engine: StartEngine, trading: Trading) -> tuple[Program, Program]:
    leader = start_engine("leader")
    leader.until("desk port")
    standby = start_engine("standby")
    standby.until("standing by")
    trading.goes_on()
    return leader, standby


def test_a_standby_trades_within_five_seconds_of_the_end_of_the_leader(
    start_engine: StartEngine, walking_gateway: RunningGateway, trading: Trading
) -> None:
    leader, standby = leader_and_standby(start_engine, trading)
    run = leader.until(r"run +(Churner-\w+)")[1]

    leader.kill()
    before, began = len(walking_gateway.orders), time.monotonic()
    eventually(lambda: len(walking_gateway.orders) > before, "an order of the standby")
    took = time.monotonic() - began

    assert took < 5.0
    # It is the same run that goes on, with its book, and no intent of it was sent twice.
    assert standby.until(r"run +(Churner-\w+)")[1] == run
    trading.goes_on()
    references = [order.reference for order in walking_gateway.orders]
    assert len(set(references)) == len(references)


def test_who_stands_by_is_known_to_whoever_asks_the_leader(
    start_engine: StartEngine, trading: Trading, tmp_path: Path
) -> None:
    _, standby = leader_and_standby(start_engine, trading)

    with AttachedDesk.open(f"unix:{tmp_path}/ibdesk/desk-paper.sock") as desk:

        def standbys() -> list[str]:
            lease = desk.process().lease
            assert lease is not None
            return [name.split("/")[1] for name in lease.standbys]

        eventually(lambda: standbys() == [str(standby.pid)], "the standby is known by its process")
        standby.kill()
        eventually(lambda: standbys() == [], "it is missed")


def test_a_leader_that_was_frozen_sends_nothing_more_and_ends(
    start_engine: StartEngine, walking_gateway: RunningGateway, trading: Trading
) -> None:
    leader, standby = leader_and_standby(start_engine, trading)

    os.kill(leader.pid, signal.SIGSTOP)
    standby.until("waiting for TWS to let go of the engine before")
    frozen = len(walking_gateway.orders)
    assert "account" not in standby.said
    os.kill(leader.pid, signal.SIGCONT)

    assert leader.wait() == 1
    assert f"no longer leads 127.0.0.1:{walking_gateway.port}/{CLIENT}" in leader.said
    standby.until("desk port")
    trading.goes_on()
    references = [order.reference for order in walking_gateway.orders]
    assert len(set(references)) == len(references) > frozen


@pytest.mark.parametrize("fault", ["stop", "stall"])
def test_with_redis_away_the_leader_trades_on_and_the_standby_waits(
    fault: str, start_engine: StartEngine, redis_server: RedisServer, trading: Trading
) -> None:
    leader, standby = leader_and_standby(start_engine, trading)

    getattr(redis_server, fault)()
    leader.until("is no longer confirmed")
    # Longer than the lease lasts.
    ends = time.monotonic() + 5
    while time.monotonic() < ends:
        trading.goes_on(fills=3)
    redis_server.resume() if fault == "stall" else redis_server.start()
    leader.until("is confirmed again")

    trading.goes_on()
    assert leader.is_running
    assert "TWS" not in standby.said.partition("standing by")[2]
