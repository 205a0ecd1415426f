"""Engine and guardian are killed and stopped while they trade, by seeds; then the statement agrees to the cent."""

from __future__ import annotations

import collections
import os
import random
import signal
import time
from typing import TYPE_CHECKING

import pytest
from tests.processes.conftest import report_of
from tests.stack import Program, Stack, eventually

from ibdesk.errors import JournalError
from ibdesk.statement import StatementReport
from ibdesk.testing.gateway import RunningGateway

if TYPE_CHECKING:
    from tests.processes.conftest import MakeStack, Trading

pytestmark = [pytest.mark.proof, pytest.mark.timeout(600)]

# A seed takes half a minute.
SEEDS = range(max(1, int(os.environ.get("IBDESK_PROOF_SEEDS", "1")) // 10))
CHURNER = '''
from ibdesk import Quote, Strategy


class Churner(Strategy):
    """Buy a share and sell it again, five times a second, also after a restart."""

    def on_start(self) -> None:
        self.after(0.2)

    def on_timer(self, name: str) -> None:
        self.after(0.2)
        if self.quote("AAPL") is not None:
            order = self.sell if self.position("AAPL").quantity > 0 else self.buy
            order("AAPL", 1)
'''
FAULTS = ("kill the engine", "kill the guardian", "kill both", "stop the engine", "stop the guardian")


class Processes:
    """An engine and the guardian beside it, which are started again after each kill."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._strategy = stack.folder / "strategies" / "restarting_churner.py"
        self._strategy.write_text(CHURNER)
        self.start_engine()
        self.start_guardian()

    def start_engine(self) -> None:
        """Start the engine with the strategy that trades all the time."""
        self.engine = self._stack.start_engine("--strategy", str(self._strategy), "--on", "AAPL")

    def stop_trading(self) -> None:
        """Go on without the strategy: what the venue did last is still taken."""
        self.engine.kill()
        self.engine = self._stack.start_engine()

    def start_guardian(self) -> None:
        """Start the guardian."""
        self.guardian = self._stack.start("guardian")

    def suffer(self, fault: str, chance: random.Random) -> None:
        """Kill or stop what the fault names."""
        match fault:
            case "kill the engine":
                self.engine.kill()
                self.start_engine()
            case "kill the guardian":
                self.guardian.kill()
                self.start_guardian()
            case "kill both":
                self.guardian.kill()
                self.engine.kill()
                self.start_guardian()
                self.start_engine()
            case "stop the engine":
                stand_still(self.engine, chance)
            case "stop the guardian":
                stand_still(self.guardian, chance)


def stand_still(program: Program, chance: random.Random) -> None:
    """Stop a process for up to some seconds, and let it go on."""
    os.kill(program.pid, signal.SIGSTOP)
    try:
        time.sleep(chance.uniform(0.5, 2.5))
    finally:
        os.kill(program.pid, signal.SIGCONT)


@pytest.mark.parametrize("seed", SEEDS)
def test_statement_and_journals_agree_after_kills_and_stops(
    seed: int, make_stack: MakeStack, walking_gateway: RunningGateway, trading: Trading
) -> None:
    chance = random.Random(seed)
    stack = make_stack(IBDESK_GUARDIAN__ON_SILENCE="keep")
    processes = Processes(stack)
    trading.goes_on(fills=4)

    faults = chance.choices(FAULTS, k=4)
    for fault in faults:
        processes.suffer(fault, chance)
        trading.goes_on(fills=chance.randint(2, 6))

    processes.stop_trading()

    def agreed() -> StatementReport | None:
        try:
            report = report_of(walking_gateway, stack)
        except JournalError:
            # It is being written just now.
            return None
        return None if report.differences else report

    report = eventually(agreed, f"statement and journals agree after {faults}")
    assert report.agreed == report.executions_there >= 12
    sent = collections.Counter(order.reference for order in walking_gateway.orders)
    assert {reference: times for reference, times in sent.items() if times > 1} == {}
    # The guardian had no reason to trade.
    assert len({order.client_id for order in walking_gateway.orders}) == 1
