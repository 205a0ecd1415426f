"""Promise 10: a loss beyond its limit stops opening orders and flattens if told to, also while the engine hangs.

The engine is a real process that is stopped (SIGSTOP), or computes for ever in code that nothing in its own process
can interrupt. The guardian beside it acts on the account itself.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest
from tests.guardian.conftest import held
from tests.guardian.desk import fall, running_desk, working
from tests.stack import eventually, waited_for_processor

from ibdesk.testing.gateway import RunningGateway

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("how", ["stopped", "in a loop"])
def test_a_hung_engine_with_a_losing_position_is_flat_within_five_seconds_of_the_limit(
    how: str, tmp_path: Path
) -> None:
    """100 bought at 100.02 have lost 1,002 at 90, and 500 are allowed; one order was bidding for more.

    Other work on the machine makes a try slower, and none of it makes one quicker: two of three count.
    """
    tries = [seconds_until_flat(how, tmp_path / "1"), seconds_until_flat(how, tmp_path / "2")]
    if max(tries) >= 5:
        tries.append(seconds_until_flat(how, tmp_path / "3"))

    assert sorted(tries)[1] < 5


def seconds_until_flat(how: str, folder: Path) -> float:
    """Hang an engine, let the price fall through the limit, and return how long the account was not flat.

    What other work kept the processor from the guardian, or from the gateway, is not counted.
    """
    folder.mkdir()
    with (
        RunningGateway() as tws,
        running_desk(tws, folder, max_daily_loss="500", on_silence="keep") as desk,
    ):
        if how == "stopped":
            os.kill(desk.engine.pid, signal.SIGSTOP)
        gateway = tws.call(threading.get_native_id)

        waits = desk.guardian.waited_for_processor, waited_for_processor(gateway)
        began = time.monotonic()
        fall(tws, 90.0)
        eventually(lambda: held(tws) == {} and working(tws) == [], "a flat account", seconds=60)
        seconds = time.monotonic() - began
        # Both may wait at once.
        waited = max(desk.guardian.waited_for_processor - waits[0], waited_for_processor(gateway) - waits[1])
        status = desk.until(lambda status: status["finished"], "done")

        assert [order.quantity for order in tws.orders if order.client_id == 90] == [100]
        assert len(status["halts"]) == 1
        return seconds - waited
