"""A desk in a child process continues to trade whatever this process does, and ends with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from tests.stack import eventually

from ibdesk.desk import AttachedDesk, Desk, DeskSettings, DeskState
from ibdesk.desk.process import ProcessDesk, _plain
from ibdesk.desk.settings import EmbeddedGatewaySettings
from ibdesk.engine import RiskLimits
from ibdesk.errors import ConfigError, DetachedError, LinkError
from ibdesk.store.redis import RedisSettings

SECONDS = 60.0
BUYER = """
from ibdesk import Strategy


class Buyer(Strategy):
    def on_quote(self, quote):
        if self.position(quote.instrument).quantity < 50 and not self.state.get("orders", 0) > 50:
            self.state["orders"] = self.state.get("orders", 0) + 1
            self.buy(quote.instrument, 1)
"""

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[ProcessDesk]:
    with Desk.open("embedded", process=True, state_folder=tmp_path, gateway={"speed": 50}) as desk:
        yield desk


def test_it_trades_while_this_process_holds_the_interpreter(desk: ProcessDesk, tmp_path: Path) -> None:
    file = tmp_path / "buyer.py"
    file.write_text(BUYER)
    desk.start(file, on=["AAPL"], warm_up=0)

    ends = time.monotonic() + SECONDS
    count = 0
    while desk.fills().height < 50:
        # Nothing here gives the interpreter to another thread for long.
        count += sum(number * number % 7 for number in range(300_000))
        assert time.monotonic() < ends

    fills = desk.fills()
    assert isinstance(desk, AttachedDesk)
    assert desk.pid != os.getpid()
    assert fills.height == fills["execution_id"].n_unique()


def ask_until_it_fails(desk: ProcessDesk) -> None:
    ends = time.monotonic() + SECONDS
    while time.monotonic() < ends:
        desk.health()


def test_its_process_ends_with_the_handle(tmp_path: Path) -> None:
    desk = Desk.open("embedded", process=True, state_folder=tmp_path)
    pid = desk.pid

    desk.close()
    desk.close()

    assert desk.state is DeskState.CLOSED
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_when_its_process_is_killed_calls_say_so(desk: ProcessDesk) -> None:
    os.kill(desk.pid, signal.SIGKILL)

    with pytest.raises(DetachedError):
        ask_until_it_fails(desk)


def test_it_ends_when_this_process_is_killed(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from ibdesk import Desk; import time\n"
        f"desk = Desk.open('embedded', process=True, state_folder=Path({str(tmp_path)!r}))\n"
        "print(desk.pid, flush=True)\n"
        "time.sleep(300)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()

    eventually(lambda: not is_alive(pid), "the desk ends with the process that had opened it", seconds=SECONDS)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_what_keeps_a_desk_from_opening_there_is_raised_here(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match=r"127\.0\.0\.1:1"):
        Desk.open("paper", process=True, port=1, state_folder=tmp_path)
    with pytest.raises(ConfigError, match="account"):
        Desk.open("live", process=True, state_folder=tmp_path)


def test_its_settings_arrive_whole(tmp_path: Path) -> None:
    settings = DeskSettings(
        state_folder=tmp_path,
        risk=RiskLimits(max_position_shares=float("inf")),
        redis=RedisSettings(url=SecretStr("redis://user:secret@127.0.0.1:1/0")),
        gateway=EmbeddedGatewaySettings(symbols=("AAPL",), seed=3),
    )

    assert DeskSettings(**_plain(settings.model_dump())) == settings
