"""Promise 3: after any `kill -9` the book equals the broker's before trading resumes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from ibdesk.desk import Desk
from ibdesk.gateway import GatewaySettings, GatewayThread, make_gateway
from ibdesk.gateway.faults import LateSnapshot

BUY_UNTIL_KILLED = """
import sys, time
from pathlib import Path
from ibdesk.desk import Desk, DeskSettings

desk = Desk.open(DeskSettings.make("paper", port=int(sys.argv[1]), client_id=33, state_folder=Path(sys.argv[2])))
for line in sys.stdin:
    order = desk.place("AAPL", "buy", float(line))
    while desk.orders().filter(id=order.id)["status"].item() != "filled":
        time.sleep(0.01)
    print("filled", flush=True)
"""


@pytest.fixture
def venue() -> Iterator[GatewayThread]:
    """A gateway with a market of its own, at the speed of the wall's clock."""
    with GatewayThread(make_gateway(GatewaySettings(port=0))) as thread:
        yield thread


@pytest.fixture
def engine(venue: GatewayThread, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A desk in a process of its own, which buys what it is told on its standard input."""
    arguments = [sys.executable, "-c", BUY_UNTIL_KILLED, str(venue.gateway.port), str(tmp_path)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        if process.poll() is None:
            process.kill()


def buy(engine: subprocess.Popen[str], quantity: int) -> None:
    assert engine.stdin is not None
    assert engine.stdout is not None
    engine.stdin.write(f"{quantity}\n")
    engine.stdin.flush()
    assert engine.stdout.readline() == "filled\n"


def test_an_engine_that_was_killed_after_an_execution_comes_up_with_it_however_late_the_positions_are(
    engine: subprocess.Popen[str], venue: GatewayThread, open_paper: Callable[..., Desk]
) -> None:
    buy(engine, 100)
    # From here on, and for some time after the new engine connects, TWS tells the positions of now.
    venue.faults.cause(LateSnapshot(by_seconds=12.0))
    buy(engine, 50)
    os.kill(engine.pid, signal.SIGKILL)
    engine.wait()

    desk = open_paper()

    held = {row["owner"]: row["quantity"] for row in desk.positions().to_dicts()}
    account = sum(each.position.quantity for each in venue.call(lambda: list(venue.gateway.accounts.main.held())))
    assert held == {"manual": 150}
    assert account == 150
    executed = venue.call(lambda: [done.id for done in venue.gateway.venue.executions])
    assert sorted(desk.fills()["execution_id"]) == sorted(executed)
    assert desk.reconciliation().is_empty()
    assert desk.risk().uncovered == {}
    # It trades again, with books that are right.
    assert desk.place("AAPL", "sell", 150).status == "sent"
    assert desk.orders().filter(pl.col("status") == "denied").is_empty()
