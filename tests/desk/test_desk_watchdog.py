"""A strategy that does not return is interrupted: its run fails, other runs continue, and a replay does the same."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tests.stack import eventually

from ibdesk import Strategy
from ibdesk.clock import machine_time
from ibdesk.desk import Desk
from ibdesk.errors import DeskError, StrategyError
from ibdesk.model import Link, Notice, PlaceOrder, RunFailed, RunInterrupted
from ibdesk.store import JournalReader, Topic, replay

WriteStrategy = Callable[[str, str], Path]
Watch = Callable[[Desk], Any]

_STEADY = """
def on_bar(self, bar: Bar) -> None:
    self.state["bars"] = self.state.get("bars", 0) + 1
    self.buy(bar.instrument, 1)
"""


class Waits(Strategy):
    """Waits in compiled code, which no other thread can interrupt, until a test releases the lock."""

    held: ClassVar[threading.Lock]

    def on_start(self) -> None:
        self.after(0.1)

    def on_timer(self, name: str) -> None:
        self.buy("AAPL", 7)
        self.held.acquire(timeout=40)


_HANGS = {
    "loop": """
def on_bar(self, bar: Bar) -> None:
    self.buy(bar.instrument, 7)
    while True:
        pass
""",
    "catches all": """
def on_bar(self, bar: Bar) -> None:
    self.buy(bar.instrument, 7)
    while True:
        try:
            pass
        except BaseException:
            pass
""",
    "ends quietly": """
def on_bar(self, bar: Bar) -> None:
    self.buy(bar.instrument, 7)
    try:
        while True:
            pass
    except BaseException:
        pass
""",
    "orders": """
def on_bar(self, bar: Bar) -> None:
    while True:
        self.buy(bar.instrument, 7)
        self.position(bar.instrument)
""",
    "in an order": """
def on_bar(self, bar: Bar) -> None:
    self.buy(bar.instrument, 1e9)

def on_order(self, order) -> None:
    while True:
        pass
""",
    "after a fill": """
def on_bar(self, bar: Bar) -> None:
    if not self.state:
        self.state["bought"] = 1
        self.buy(bar.instrument, 3)

def on_fill(self, fill) -> None:
    self.buy("AAPL", 7)
    while True:
        pass
""",
    "in a feature": """
def features(self):
    calls = []
    def slow(series):
        calls.append(1)
        while len(calls) > 3:
            pass
        return series
    return {"slow": pl.col("close").map_batches(slow, return_dtype=pl.Float64)}

def on_bar(self, bar: Bar) -> None:
    self.buy(bar.instrument, 7)
""",
    "in compiled code": """
def on_bar(self, bar: Bar) -> None:
    import re
    self.buy(bar.instrument, 7)
    while True:
        re.match(r"(a+)+$", "a" * 18 + "b")
""",
}


@pytest.mark.parametrize("hangs", _HANGS)
def test_a_strategy_that_does_not_return_fails_and_the_others_trade_on(
    open_desk: Callable[..., Desk], watch: Watch, write_strategy: WriteStrategy, hangs: str
) -> None:
    desk = open_desk(engine={"call_seconds": 0.3})
    watcher = watch(desk)
    steady = desk.start(write_strategy("steady", _STEADY), on=["AAPL"])
    bad = desk.start(write_strategy("bad", _HANGS[hangs]), on=["AAPL"])
    watcher.wait_for(Topic.RUNS, run_id=bad, state="failed")
    count = len(watcher.wait_for(Topic.FILLS, owner=steady))
    watcher.wait_for(Topic.FILLS, owner=steady, count=count + 2)

    runs = {run.run_id: run for run in desk.runs()}
    assert (runs[steady].state, runs[bad].state) == ("running", "failed")
    note = r"CallInterrupted: did not return within 0\.3 s \(engine\.call_seconds\): at .*\bbad\.py:\d+ in "
    assert re.match(note, runs[bad].note), runs[bad].note
    assert desk.health().link is Link.UP
    desk.close()
    _check_journal(Path(desk.journal_path), bad)


def _check_journal(path: Path, run_id: str) -> None:
    """What the run did in the event is not on the record, and a replay, which times nothing, ends it there too."""
    with JournalReader(path) as journal:
        entries = list(journal.entries())
    (at,) = [n for n, entry in enumerate(entries) if isinstance(entry.event, RunInterrupted)]
    event, actions = entries[at + 1].event, entries[at + 1].actions
    interruption = entries[at].event
    assert isinstance(interruption, RunInterrupted)
    assert (interruption.run_id, interruption.at_ns) == (run_id, event.at_ns)
    assert [action.run_id for action in actions if isinstance(action, RunFailed)] == [run_id]
    assert not any(isinstance(action, PlaceOrder) and action.order.owner == run_id for action in actions)
    assert replay(path).events == len(entries)


def test_a_start_that_does_not_return_is_refused_and_the_desk_goes_on(
    open_desk: Callable[..., Desk], write_strategy: WriteStrategy
) -> None:
    desk = open_desk(engine={"call_seconds": 0.3})
    hangs = write_strategy("hangs", "def on_start(self) -> None:\n    while True:\n        pass\n")

    with pytest.raises(DeskError, match=r"could not start: CallInterrupted: .* at hangs\.py:\d+ in on_start"):
        desk.start(hangs, on=["AAPL"])

    desk.start(write_strategy("steady", _STEADY), on=["AAPL"])
    desk.close()
    assert len(replay(Path(desk.journal_path)).runs) == 2


def test_parameters_whose_features_do_not_return_are_refused(
    open_desk: Callable[..., Desk], watch: Watch, write_strategy: WriteStrategy
) -> None:
    desk = open_desk(engine={"call_seconds": 0.3})
    watcher = watch(desk)
    body = """
n: int = 1

def features(self):
    if self.n > 1 and self.symbols:
        while True:
            pass
    return {}

def on_bar(self, bar: Bar) -> None:
    self.buy(bar.instrument, self.n)
"""
    run_id = desk.start(write_strategy("grows", body), on=["AAPL"])

    with pytest.raises(StrategyError, match="CallInterrupted"):
        desk.change_parameters(run_id, {"n": 2})

    watcher.wait_for(Topic.FILLS, owner=run_id, count=2, quantity=1.0)


def test_a_call_may_take_for_ever_where_the_limit_is_off(
    open_desk: Callable[..., Desk], watch: Watch, write_strategy: WriteStrategy
) -> None:
    desk = open_desk(engine={"call_seconds": 0, "lag_seconds": 0.2})
    watcher = watch(desk)
    slow = """
def on_bar(self, bar: Bar) -> None:
    self.buy(bar.instrument, 1)
    if not self.state:
        self.state["slow"] = 1
        for _ in range(30):
            pl.Series(range(200_000)).sort().sum()
"""
    run_id = desk.start(write_strategy("slow", slow), on=["AAPL"])

    watcher.wait_for(Topic.FILLS, owner=run_id, count=2)
    assert [run.state for run in desk.runs()] == ["running"]


def test_a_loop_that_lags_is_told_at_once_by_another_thread_and_goes_on_the_record_when_it_is_back(
    open_desk: Callable[..., Desk], watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    """A lock in C cannot be interrupted: the alert is in the feed while the desk's thread still waits for it."""
    Waits.held = threading.Lock()
    Waits.held.acquire()
    desk = open_desk(engine={"call_seconds": 0.3, "lag_seconds": 0.2})
    watcher = watch(desk)
    with caplog.at_level(logging.WARNING):
        run_id = desk.start(Waits, on=["AAPL"])
        (lag,) = [row for row in watcher.wait_for(Topic.ALERTS, origin="engine") if "has not come round" in row["text"]]
        lags_since = time.monotonic()
        assert "test_desk_watchdog.py:" in lag["text"]
        # Two alerts from the engine while it waits: that it lags, and that it cannot be interrupted.
        found = watcher.wait_for(Topic.ALERTS, origin="engine", count=2)
        assert "cannot be interrupted, for it is in compiled code" in found[1]["text"]
        assert not watcher.rows(Topic.RUNS, run_id=run_id, state="failed")
        lagged = time.monotonic() - lags_since
        Waits.held.release()
        watcher.wait_for(Topic.RUNS, run_id=run_id, state="failed")
        watcher.wait_for(Topic.ALERTS, origin="link", severity="warning")

    assert any("the engine's loop has not come round for" in text for text in caplog.messages)
    desk.close()
    with JournalReader(Path(desk.journal_path)) as journal:
        notices = [entry.event.text for entry in journal.entries() if isinstance(entry.event, Notice)]
    back = [re.fullmatch(r"the engine's loop comes round again, after ([\d.]+) s", text) for text in notices]
    [seconds] = [float(match[1]) for match in back if match]
    assert seconds >= 0.2 + lagged - 0.05


class Jumps:
    """The machine's clocks, set forward by hand as they go on while a process is stopped."""

    def __init__(self) -> None:
        self.ahead_ns = 0
        # reads: how often a thread other than the one that made this has read the monotonic clock.
        self.reads = 0
        self._own = threading.get_ident()

    def wall_ns(self) -> int:
        return time.time_ns() + self.ahead_ns

    def monotonic_ns(self) -> int:
        self.reads += threading.get_ident() != self._own
        return time.perf_counter_ns() + self.ahead_ns

    def boot_ns(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) + self.ahead_ns


class Busy(Strategy):
    """Is busy until a test lets it go on."""

    entered: ClassVar[threading.Event]
    may_go_on: ClassVar[threading.Event]

    def on_start(self) -> None:
        self.after(0.1)

    def on_timer(self, name: str) -> None:
        self.entered.set()
        while not self.may_go_on.is_set():
            pass


@pytest.fixture
def busy() -> Iterator[type[Busy]]:
    """The strategy with events of its own for one test; it is let go on at the end, however that ends."""
    Busy.entered, Busy.may_go_on = threading.Event(), threading.Event()
    yield Busy
    Busy.may_go_on.set()


def several_reads(machine: Jumps) -> None:
    before = machine.reads
    eventually(lambda: machine.reads > before + 10, "the watchdog looks several times")


def test_a_call_in_which_the_process_was_stopped_for_a_minute_is_not_interrupted(
    open_desk: Callable[..., Desk], watch: Watch, busy: type[Busy]
) -> None:
    """Where the clock alone counted, the call would have taken 60 s of the 30 that it may."""
    machine = Jumps()
    with machine_time(machine):
        desk = open_desk(engine={"call_seconds": 30, "lag_seconds": 20})
        watcher = watch(desk)
        run_id = desk.start(busy, on=["AAPL"])
        assert busy.entered.wait(20)
        # The desk's thread is busy: of the others only the watchdog's reads that clock, at each of its looks.
        several_reads(machine)
        machine.ahead_ns += 60_000_000_000
        watcher.wait_for(Topic.ALERTS, origin="engine")
        several_reads(machine)
        busy.may_go_on.set()
        desk.catch_up()

        assert [(run.run_id, run.state) for run in desk.runs()] == [(run_id, "running")]
        desk.close()


_TRACED = """
import faulthandler, sys, threading
from ibdesk.desk.watchdog import take_back

faulthandler.dump_traceback_later(20, exit=True)
own = threading.get_ident()
late = threading.Thread(target=take_back, args=(own,))
late.start()
late.join()
take_back(own)
calls = []
sys.setprofile(lambda frame, event, argument: calls.append(event))
(lambda: None)()
sys.setprofile(None)
print(calls)
"""


def test_a_profiler_or_debugger_works_after_an_interruption_was_taken_back() -> None:
    """On Python 3.11 the next call that is traced would never begin: the notebook hangs."""
    done = subprocess.run([sys.executable, "-c", _TRACED], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout == "['call', 'return', 'c_call']\n"
