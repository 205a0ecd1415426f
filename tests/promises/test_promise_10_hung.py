"""Promise 10: a loss beyond its limit stops opening orders and flattens if told to, also while the engine hangs.

The engine is a real process that is stopped (SIGSTOP), or computes for ever in code that nothing in its own process
can interrupt. The guardian beside it acts on the account itself.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.guardian.conftest import held
from tests.guardian.desk import fall, running_desk, working
from tests.stack import eventually

from ibdesk.testing.gateway import RunningGateway

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def tws() -> Iterator[RunningGateway]:
    """A gateway whose market stands still."""
    with RunningGateway() as gateway:
        yield gateway


@pytest.mark.parametrize("how", ["stopped", "in a loop"])
def test_a_hung_engine_with_a_losing_position_is_flat_within_five_seconds_of_the_limit(
    how: str, tws: RunningGateway, tmp_path: Path
) -> None:
    """100 bought at 100.02 have lost 1,002 at 90, and 500 are allowed; one order was bidding for more."""
    with running_desk(tws, tmp_path, max_daily_loss="500", on_silence="keep") as desk:
        if how == "stopped":
            os.kill(desk.engine.pid, signal.SIGSTOP)

        began = time.monotonic()
        fall(tws, 90.0)
        eventually(lambda: held(tws) == {} and working(tws) == [], "a flat account", seconds=60)
        seconds = time.monotonic() - began
        status = desk.until(lambda status: status["finished"], "done")

        assert seconds < 5
        assert [order.quantity for order in tws.orders if order.client_id == 90] == [100]
        assert len(status["halts"]) == 1
