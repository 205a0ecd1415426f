"""A desk detects that it stood still, and withholds its earlier decisions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ibdesk.clock import ManualClock, machine_time
from ibdesk.desk import Desk
from ibdesk.desk.stalls import StallWatch
from ibdesk.model import Bar, ClockRead, Event, Link, Quote, Stalled, TimerFired
from ibdesk.store import Topic

SECOND = 1_000_000_000
NOW = 1_796_000_000 * SECOND


class Machine:
    """The clocks of a machine, moved by a test."""

    def __init__(self) -> None:
        self.ns = NOW

    def wall_ns(self) -> int:
        return self.ns

    def monotonic_ns(self) -> int:
        return self.ns

    def boot_ns(self) -> int:
        return self.ns


class Watched:
    """A stall watch on a machine and a desk's clock that move together."""

    def __init__(self, machine: Machine, clock: ManualClock) -> None:
        self._machine, self._clock = machine, clock
        self.link, self.stalls = Link.UP, 0
        self.watch = StallWatch(clock, 2.0, link=lambda: self.link, on_stall=self._on_stall)

    def _on_stall(self) -> None:
        self.stalls += 1

    def after(self, seconds: float, event: Event | None = None) -> list[Event]:
        self._machine.ns += int(seconds * SECOND)
        self._clock.advance(int(seconds * SECOND))
        return list(self.watch.before(event))

    def quote(self) -> Quote:
        return Quote("AAPL", self._clock.now_ns(), 1.0, 1.1)

    def bar(self) -> Bar:
        return Bar("AAPL", self._clock.now_ns() - 5 * SECOND, 5 * SECOND, 1.0, 1.0, 1.0, 1.0)


@pytest.fixture
def watched() -> Iterator[Watched]:
    machine = Machine()
    with machine_time(machine):
        yield Watched(machine, ManualClock(NOW))


def test_the_clock_is_told_before_the_first_event_and_before_bars(watched: Watched) -> None:
    assert watched.after(0, watched.quote()) == [ClockRead(NOW)]
    assert watched.after(1, watched.quote()) == []
    assert watched.after(0, watched.bar()) == [ClockRead(NOW + SECOND)]
    # A thousand bars that close together are told the time once.
    assert watched.after(0.01, watched.bar()) == []


def test_a_timer_that_fires_when_it_is_due_needs_no_clock_and_a_late_one_does(watched: Watched) -> None:
    watched.after(0, watched.quote())

    assert watched.after(1, TimerFired("run/a", NOW + SECOND)) == []
    assert watched.after(1, TimerFired("run/b", NOW + SECOND)) == [ClockRead(NOW + 2 * SECOND)]


def test_a_gap_longer_than_its_limit_is_a_stall(watched: Watched) -> None:
    watched.after(0, watched.quote())

    assert watched.after(2.0, watched.quote()) == []
    told = watched.after(2.1, watched.quote())

    assert told == [ClockRead(NOW + 4_100_000_000), Stalled(2.1, NOW + 4_100_000_000)]
    assert watched.stalls == 1


def test_looks_between_events_keep_a_quiet_desk_awake(watched: Watched) -> None:
    watched.after(0, watched.quote())
    for _ in range(40):
        watched.after(0.25)

    assert watched.after(0.25, watched.quote()) == []
    assert watched.stalls == 0


def test_without_a_link_a_gap_needs_no_comparison_of_its_own(watched: Watched) -> None:
    watched.after(0, watched.quote())
    watched.link = Link.DOWN

    watched.after(60, watched.quote())

    assert watched.stalls == 0


@pytest.mark.proof
def test_what_was_decided_before_a_stop_stays_here(
    open_desk: Callable[..., Desk], watch: Callable[[Desk], Any], write_strategy: Callable[[str, str], Path]
) -> None:
    """The strategy takes longer over its bar than a bar may be late: as if the process had stopped before the bytes."""
    body = """
def on_bar(self, bar: Bar) -> None:
    if not self.state.get("done"):
        self.state["done"] = True
        self.buy(bar.instrument, 1)
        total = 0
        for number in range(30_000_000):
            total += number
"""
    desk = open_desk(risk={"max_bar_lateness_seconds": 0.3}, gateway={"symbols": ["AAPL"]})
    desk.start(write_strategy("slow", body), on=["AAPL"], warm_up=0)

    [row] = watch(desk).wait_for(Topic.ORDERS, status="rejected", count=1, seconds=40)[:1]

    assert row["reason"].startswith("never sent: the desk stood still for ")
    assert row["reason"].endswith(" s after it was decided")
