"""Promise 9: no order leaves on a price older than its limit, also after the engine's process stood still."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.promises.conftest import PlacedOrders

from ibdesk.clock import SECOND
from ibdesk.gateway import GatewaySettings, GatewayThread, make_gateway
from ibdesk.model import Bar, ClockRead, Link, LinkChanged, PlaceOrder, Stalled
from ibdesk.store import JournalReader, replay

pytestmark = pytest.mark.proof

RUNS = 12
PATIENCE_SECONDS = 3.0

_BUY_EACH_BAR = """
from ibdesk import Bar, Strategy


class BuyEachBar(Strategy):
    def on_bar(self, bar: Bar) -> None:
        self.buy(bar.instrument, 1)
"""

_TRADE = """
import sys
from pathlib import Path
from ibdesk.desk import Desk, DeskSettings

port, folder, file, runs, patience = sys.argv[1:]
settings = DeskSettings.make(
    "paper", port=int(port), client_id=33, state_folder=Path(folder),
    risk={"max_bar_lateness_seconds": float(patience), "max_notional": float("inf")},
)
desk = Desk.open(settings)
for number in range(int(runs)):
    desk.start(Path(file), on=["AAPL"], name=f"run{number}")
print(desk.journal_path, flush=True)
sys.stdin.read()
desk.close()
"""


def test_after_a_stall_no_order_leaves_on_an_old_bar(tmp_path: Path) -> None:
    """Twelve runs buy at each bar of 5 s. Their process is stopped until two more have closed."""
    file = tmp_path / "buy_each_bar.py"
    file.write_text(_BUY_EACH_BAR, encoding="utf-8")
    placed = PlacedOrders()
    gateway = make_gateway(GatewaySettings(port=0, symbols=("AAPL",)), listener=placed)
    with GatewayThread(gateway) as thread:
        arguments = [str(thread.port), str(tmp_path / "state"), str(file), str(RUNS), str(PATIENCE_SECONDS)]
        with subprocess.Popen(
            [sys.executable, "-c", _TRADE, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                assert process.stdout is not None
                journal = Path(process.stdout.readline().strip())
                placed.wait_for(orders=RUNS)
                os.kill(process.pid, signal.SIGSTOP)
                placed.wait_for(bars=placed.bars + 2)
                before = len(set(placed.ordered))
                os.kill(process.pid, signal.SIGCONT)
                placed.wait_for(orders=before + RUNS)
                process.communicate(timeout=30)
            finally:
                process.kill()

    decisions = decided(journal)
    report = str(decisions)
    # The first bar of the stall had closed 5 s before the process went on.
    assert any(each.seconds > PATIENCE_SECONDS for each in decisions.stalls), report
    assert decisions.late, report
    assert decisions.was_compared, report
    # Decided before the stall, and again after it; by the engine's own clock on nothing older than it may be.
    assert len(decisions.ages) >= 2 * RUNS, report
    assert max(decisions.ages) <= PATIENCE_SECONDS, report
    assert len(decisions.decided_on) >= 2, report
    assert not decisions.decided_on & decisions.late, report
    assert replay(journal).orders == len(decisions.ages)


class Decisions(NamedTuple):
    """What a journal says of orders: the bars on which they were decided and how old these were, seconds."""

    decided_on: set[int]
    ages: list[float]
    # late: bars that came later than they may.
    late: set[int]
    stalls: list[Stalled]
    was_compared: bool


def decided(journal: Path) -> Decisions:
    """Return on which bars the orders of a journal were decided, by what the engine knew of the time."""
    decided_on, late = set[int](), set[int]()
    ages: list[float] = []
    stalls: list[Stalled] = []
    was_compared, clock_ns, bar_ns = False, 0, 0
    with JournalReader(journal) as reader:
        for entry in reader.entries():
            event = entry.event
            if isinstance(event, ClockRead):
                clock_ns = event.at_ns
            elif isinstance(event, Stalled):
                stalls.append(event)
            elif isinstance(event, Bar):
                bar_ns = event.at_ns
                if clock_ns - bar_ns > PATIENCE_SECONDS * SECOND:
                    late.add(bar_ns)
            was_compared |= bool(stalls) and isinstance(event, LinkChanged) and event.link is Link.UP
            for action in entry.actions:
                if isinstance(action, PlaceOrder):
                    decided_on.add(bar_ns)
                    ages.append((clock_ns - bar_ns) / SECOND)
    return Decisions(decided_on, ages, late, stalls, was_compared)
