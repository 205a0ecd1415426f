"""An engine that hangs is started again: by `ibdesk up`, and by systemd, which hears a sign of life."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.processes.test_processes_up import engine_of, readiness, start_up
from tests.stack import eventually

if TYPE_CHECKING:
    from tests.processes.conftest import MakeStack

pytestmark = pytest.mark.timeout(600)

# A regular expression in compiled code that takes years and lets no other thread of its process run.
HANGS = '''
import re

from ibdesk import Strategy


class Hangs(Strategy):
    """Matches for ever, once everything is up."""

    def on_start(self) -> None:
        self.after(SECONDS)

    def on_timer(self, name: str) -> None:
        re.match(r"(a+)+$", "a" * 60 + "b")
'''


def test_up_starts_an_engine_anew_that_was_stopped(make_stack: MakeStack) -> None:
    stack = make_stack(IBDESK_ENGINE__HANG_SECONDS="3")
    up = start_up(stack)
    first = engine_of(up)
    assert first is not None

    os.kill(first, signal.SIGSTOP)

    eventually(lambda: "The engine is back" in up.said, "the engine is back")
    assert "The engine has sent no heartbeat for 3 s: it hangs and is being restarted." in up.said
    assert "The engine was killed (SIG" in up.said
    assert engine_of(up) not in (None, first)
    eventually(lambda: readiness(stack).is_success, "the engine answers")
    assert up.stop() == 0


def test_up_ends_an_engine_whose_strategy_lets_no_thread_run_and_its_log_says_where_it_was(
    make_stack: MakeStack, tmp_path: Path
) -> None:
    stack = make_stack(IBDESK_ENGINE__HANG_SECONDS="3")
    strategy = tmp_path / "hangs.py"
    strategy.write_text(HANGS.replace("SECONDS", "30"))
    up = start_up(stack, "--strategy", str(strategy), "--on", "AAPL")

    eventually(lambda: "The engine was killed (SIGABRT)" in up.said, "the engine was ended")

    assert "The engine has sent no heartbeat for 3 s: it hangs and is being restarted." in up.said

    def written() -> str:
        return "\n".join(path.read_text() for path in (stack.state / "logs").glob("*.log"))

    # The last words of the engine are copied into the log line by line.
    eventually(lambda: "hangs.py" in written() and "in on_timer" in written(), "the log names the strategy's code")
    up.stop(seconds=60)


def test_systemd_hears_that_the_engine_is_ready_and_lives_and_nothing_while_it_is_stopped(
    make_stack: MakeStack, tmp_path: Path
) -> None:
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        manager.settimeout(60)
        stack = make_stack(NOTIFY_SOCKET=str(address))
        engine = stack.start("engine")

        assert manager.recv(4096).decode().startswith("READY=1\nSTATUS=trading paper account DU")
        assert manager.recv(4096) == b"WATCHDOG=1"
        os.kill(engine.pid, signal.SIGSTOP)
        manager.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                manager.recv(4096)
        manager.settimeout(3)
        with pytest.raises(TimeoutError):
            manager.recv(4096)
        os.kill(engine.pid, signal.SIGCONT)
        manager.settimeout(60)
        assert manager.recv(4096) == b"WATCHDOG=1"


def test_systemd_hears_nothing_while_a_strategy_holds_the_loop_up(make_stack: MakeStack, tmp_path: Path) -> None:
    """The process lives on, and other threads of it run: only the desk's loop does not come round."""
    address, strategy = tmp_path / "notify", tmp_path / "hangs.py"
    strategy.write_text(
        HANGS.replace("SECONDS", "5").replace('re.match(r"(a+)+$", "a" * 60 + "b")', "while True:\n            pass")
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        manager.settimeout(60)
        stack = make_stack(NOTIFY_SOCKET=str(address), IBDESK_ENGINE__CALL_SECONDS="8")
        engine = stack.start("engine", "--strategy", str(strategy), "--on", "AAPL")
        engine.until("has not come round")

        silences = 0
        manager.settimeout(4)
        for _ in range(20):
            try:
                manager.recv(4096)
            except TimeoutError:
                silences += 1
                break
        assert silences == 1
        # The run is ended after 8 s, and then the sign of life comes again.
        manager.settimeout(60)
        assert manager.recv(4096) == b"WATCHDOG=1"
        engine.until("has failed|did not return")
