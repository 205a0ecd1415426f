"""The guardian beside a real engine that is stopped, hangs in a loop, or dies."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.guardian.conftest import ask, held
from tests.stack import Program, Stack, eventually

from ibdesk.testing.gateway import RunningGateway

pytestmark = pytest.mark.timeout(300)

BUYER = '''
from ibdesk import Quote, Strategy


class {name}(Strategy):
    """Buy 100, protect them by a stop, bid for more; and hang in code that holds the interpreter below 95."""

    hangs: bool = True

    def on_quote(self, quote: Quote) -> None:
        if not self.state.get("begun"):
            self.state["begun"] = True
            self.buy(quote.instrument, 100)
            self.sell(quote.instrument, 100, stop=80.0)
            self.buy(quote.instrument, 10, limit=90.0)
        if self.hangs and quote.bid < 95:
            sum(range(10**14))
'''

StartDesk = Callable[..., "Desk"]


class Desk:
    """An engine with a strategy, and the guardian beside it, as commands start them."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.door = stack.state / "guardian-paper.sock"
        self.engine: Program
        self.guardian: Program

    def status(self) -> dict[str, Any]:
        """Return how the guardian is; nothing while it cannot be reached."""
        try:
            return ask(self.door, "status")
        except OSError:
            assert self.guardian.is_running, self.guardian.said
            return {}

    def until(self, look: Callable[[dict[str, Any]], object], what: str, *, seconds: float = 90.0) -> dict[str, Any]:
        """Wait until the guardian's status is as wanted, and return it."""

        def looked() -> dict[str, Any] | None:
            status = self.status()
            return status if status and look(status) else None

        try:
            return eventually(looked, what, seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.status()}\n{self.guardian.said}") from None


@pytest.fixture
def tws() -> Iterator[RunningGateway]:
    """A gateway whose market stands still."""
    with RunningGateway() as gateway:
        yield gateway


@pytest.fixture
def start_desk(tws: RunningGateway, tmp_path: Path) -> Iterator[StartDesk]:
    """Starts an engine whose strategy has bought 100 AAPL, and a guardian with these settings."""
    stacks: list[Stack] = []

    def start(*, name: str = "Buyer", parameters: tuple[str, ...] = (), **guardian: str) -> Desk:
        variables = {f"IBDESK_GUARDIAN__{key.upper()}": text for key, text in guardian.items()}
        stack = Stack(
            tmp_path,
            tws_port=tws.port,
            variables={"IBDESK_TWS__CALENDAR__REGION": "none", "IBDESK_TWS__CLIENT_ID": "33"} | variables,
        )
        stacks.append(stack)
        file = tmp_path / f"{name.lower()}.py"
        file.write_text(BUYER.format(name=name))
        desk = Desk(stack)
        desk.engine = stack.start_engine("--strategy", str(file), "--on", "AAPL", *parameters)
        # In a market that stands still this is the first quote that the strategy sees.
        fall(tws, 100.0)
        tws.wait_for_order(timeout_seconds=60, status="Filled", quantity=100)
        tws.wait_for_order(timeout_seconds=60, kind="LMT")
        desk.guardian = stack.start("guardian")
        desk.until(lambda status: status["engine"] == "answers" and status["daily_pnl"] is not None, "a guardian up")
        return desk

    yield start
    for stack in stacks:
        stack.close()


def fall(tws: RunningGateway, price: float) -> None:
    """Let the price of AAPL become this."""

    def say() -> None:
        tws.inner.quote("AAPL", price, price + 0.02)
        tws.inner.trade("AAPL", price)

    tws.call(say)


def working(tws: RunningGateway) -> list[tuple[str, float]]:
    return [(order.action, order.quantity) for order in tws.orders if order.status in ("Submitted", "PreSubmitted")]


def test_a_stopped_engine_with_a_losing_position_is_flat_within_five_seconds_of_the_limit(
    tws: RunningGateway, start_desk: StartDesk
) -> None:
    """100 bought at 100.02 have lost 1,002 at 90 and more than the 500 that are allowed."""
    desk = start_desk(max_daily_loss="500")
    os.kill(desk.engine.pid, signal.SIGSTOP)
    before = [order for order in tws.orders if order.client_id == 33]

    began = time.monotonic()
    fall(tws, 90.0)
    eventually(lambda: held(tws) == {}, "a flat account", seconds=60)
    seconds = time.monotonic() - began
    status = desk.until(lambda status: status["finished"], "done")

    assert seconds < 5
    assert working(tws) == []
    assert status["engine"] == "stopped"
    assert len([order for order in tws.orders if order.client_id == 33]) == len(before)


def test_an_engine_that_hangs_in_a_strategy_is_found_and_its_opening_orders_go(
    tws: RunningGateway, start_desk: StartDesk
) -> None:
    """It computes for ever below 95, in code that nothing in its own process can interrupt; the stop at 80 stays."""
    desk = start_desk(heartbeat_seconds="2")

    fall(tws, 94.0)
    status = desk.until(lambda status: status["finished"], "halted")

    assert status["engine"] == "hung"
    assert working(tws) == [("SELL", 100)]
    assert held(tws) == {"AAPL": 100.0}
    assert "guardian.heartbeat_seconds is 2" in desk.guardian.said


def test_a_run_whose_policy_says_so_is_closed_when_its_engine_hangs(tws: RunningGateway, start_desk: StartDesk) -> None:
    desk = start_desk(heartbeat_seconds="2", on_silence="keep", on_silence_of='{"Buyer": "flatten"}')

    fall(tws, 94.0)
    desk.until(lambda status: status["finished"], "done")

    assert (held(tws), working(tws)) == ({}, [])


def test_a_hung_engine_is_killed_when_a_person_wants_it(tws: RunningGateway, start_desk: StartDesk) -> None:
    desk = start_desk(on_silence="keep")
    fall(tws, 94.0)

    answer = ask(desk.door, "kill", reason="it hangs", by="alice")

    assert answer["ok"]
    assert desk.engine.wait() == -signal.SIGKILL
    status = desk.until(lambda status: status["finished"] and status["engine"] == "away", "gone")
    assert working(tws) == [("SELL", 100)]
    assert len(status["halts"]) == 1


def test_what_a_person_trades_in_tws_is_no_difference_and_an_engine_that_ends_is_not_hung(
    tws: RunningGateway, start_desk: StartDesk
) -> None:
    desk = start_desk(mismatch_grace_seconds="5", heartbeat_seconds="2", parameters=("-p", "hangs=no"))

    desk.engine.stop()
    status = desk.until(lambda status: status["engine"] == "away", "gone")
    # Longer than the heartbeat and the grace.
    time.sleep(6)

    assert desk.status()["stops"] == []
    assert (status["halts"], desk.status()["halts"]) == ([], [])
