"""The guardian beside a real engine that is stopped, hangs in a loop, or dies."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.guardian.conftest import ask, held
from tests.guardian.desk import Desk, fall, running_desk, working
from tests.stack import eventually

from ibdesk.testing.gateway import RunningGateway

pytestmark = pytest.mark.timeout(300)

StartDesk = Callable[..., Desk]


@pytest.fixture
def start_desk(tws: RunningGateway, tmp_path: Path) -> Iterator[StartDesk]:
    """Starts an engine whose strategy has bought 100 AAPL, and a guardian with these settings."""
    with contextlib.ExitStack() as running:
        yield lambda **settings: running.enter_context(running_desk(tws, tmp_path, **settings))


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

    answer = ask(desk.command_socket, "kill", reason="it hangs", by="alice")

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
