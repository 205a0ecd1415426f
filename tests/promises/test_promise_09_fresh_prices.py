"""Promise 9: no order leaves on a price older than its limit, also after the engine's process stood still."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ibdesk.gateway import GatewaySettings, GatewayThread, make_gateway
from ibdesk.gateway.listening import Party
from ibdesk.gateway.protocol.codec import decode
from ibdesk.gateway.protocol.framing import split
from ibdesk.gateway.protocol.incoming import INCOMING
from ibdesk.model import Bar, Link, LinkChanged, PlaceOrder, Stalled
from ibdesk.store import JournalReader, replay

pytestmark = pytest.mark.proof

RUNS = 12
PATIENCE_SECONDS = 2.0
# _PLACE_ORDER: how a placeOrder message begins.
_PLACE_ORDER = b"3\0"

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


class Arrivals:
    """When each order reached the gateway, by the wall, ns UTC."""

    def __init__(self) -> None:
        self.at_ns: dict[str, int] = {}
        self.ordered = threading.Condition()

    def heard(self, party: Party, payload: bytes) -> None:
        if payload.startswith(_PLACE_ORDER):
            reference = str(decode(INCOMING[3], split(payload), party.version)["orderRef"])
            with self.ordered:
                self.at_ns.setdefault(reference, time.time_ns())
                self.ordered.notify_all()

    def said(self, party: Party, frames: bytes) -> None:
        """Pass over."""

    def left(self, party: Party, *, by_client: bool) -> None:
        """Pass over."""

    def wait_for(self, count: int) -> None:
        with self.ordered:
            assert self.ordered.wait_for(lambda: len(self.at_ns) >= count, timeout=40), f"{len(self.at_ns)} of {count}"


def test_after_a_stall_no_order_leaves_on_an_old_bar(tmp_path: Path) -> None:
    """Twelve runs buy at each bar of 5 s. Their process is stopped for 12 s, in which the market goes on."""
    file = tmp_path / "buy_each_bar.py"
    file.write_text(_BUY_EACH_BAR, encoding="utf-8")
    arrivals = Arrivals()
    gateway = make_gateway(GatewaySettings(port=0, symbols=("AAPL",)), listener=arrivals)
    with GatewayThread(gateway) as thread:
        arguments = [str(thread.port), str(tmp_path / "state"), str(file), str(RUNS), str(PATIENCE_SECONDS)]
        with subprocess.Popen(
            [sys.executable, "-c", _TRADE, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                assert process.stdout is not None
                journal = Path(process.stdout.readline().strip())
                arrivals.wait_for(RUNS)
                os.kill(process.pid, signal.SIGSTOP)
                # The stall itself is what is tested: bars close at 5 and 10 s of it.
                time.sleep(12)
                before = len(arrivals.at_ns)
                os.kill(process.pid, signal.SIGCONT)
                arrivals.wait_for(before + RUNS)
                process.communicate(timeout=30)
            finally:
                process.kill()

    ages: list[float] = []
    decided_on: set[int] = set()
    stalls: list[Stalled] = []
    was_compared = False
    with JournalReader(journal) as reader:
        for entry in reader.entries():
            event = entry.event
            if isinstance(event, Stalled):
                stalls.append(event)
            was_compared |= bool(stalls) and isinstance(event, LinkChanged) and event.link is Link.UP
            for action in entry.actions:
                if isinstance(action, PlaceOrder):
                    assert isinstance(event, Bar | LinkChanged), event
                    bar_ns = event.at_ns if isinstance(event, Bar) else action.order.created_ns
                    decided_on.add(bar_ns)
                    if action.order.id in arrivals.at_ns:
                        ages.append((arrivals.at_ns[action.order.id] - bar_ns) / 1e9)
    report = json.dumps({"orders": len(ages), "oldest": max(ages), "stalls": [each.seconds for each in stalls]})
    assert len(ages) >= 2 * RUNS, report
    # What the network and a busy machine add to the patience is not the desk's decision.
    assert max(ages) < PATIENCE_SECONDS + 1.5, report
    assert any(each.seconds > 11 for each in stalls), report
    assert was_compared, report
    assert replay(journal).orders >= len(ages)
