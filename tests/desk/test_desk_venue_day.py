"""A desk over the venue's day, on a gateway that restarts, logs off and drifts: over a socket, on a stepped clock."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ibdesk.desk import Desk, DeskSettings
from ibdesk.errors import OrderDeniedError
from ibdesk.gateway.faults import At, DriftClock, FaultScript, LogOff, Restart
from ibdesk.model import Link, nanoseconds
from ibdesk.store import Topic
from ibdesk.testing.gateway import STEPPED_START, RunningGateway
from ibdesk.tws import TwsSettings
from ibdesk.tws.calendar_settings import CalendarSettings

MINUTE = 60.0
# The gateway's clock begins at 10:00 in New York; its window is from 10:10 to 10:20, guarded from 10:05 on.
CALENDAR = CalendarSettings(
    region="none", zone="America/New_York", restart_time="10:10", restart_minutes=10, guard_minutes=5
)
ENDS = "2026-04-13 14:20 UTC"


@pytest.fixture
def open_desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    opened: list[Desk] = []

    def make(gateway: RunningGateway, **tws: Any) -> Desk:
        settings = DeskSettings(
            mode="paper",
            state_folder=tmp_path,
            tws=TwsSettings(
                port=gateway.port,
                account=gateway.account,
                reconnect_first_seconds=0.02,
                reconnect_last_seconds=0.1,
                **({"calendar": CALENDAR} | tws),
            ),
        )
        opened.append(Desk.open(settings, clock=gateway.clock))
        return opened[-1]

    yield make
    for desk in opened:
        desk.close()


@pytest.fixture
def play() -> Iterator[Callable[..., RunningGateway]]:
    """Returns a stepped gateway with faults, whose sessions are those of the exchanges if asked for."""
    running: list[RunningGateway] = []

    def make(*steps: At, **options: Any) -> RunningGateway:
        gateway = RunningGateway(clock="stepped", faults=FaultScript(steps), **options)
        running.append(gateway.__enter__())
        return gateway

    yield make
    for each in running:
        each.__exit__(None, None, None)


def quote(gateway: RunningGateway, desk: Desk, price: float = 100.0) -> None:
    """Has the desk know a price of now."""
    gateway.call(lambda: gateway.inner.quote("AAPL", price, price + 0.02))
    desk.catch_up()


def order(desk: Desk, order_id: str) -> dict[str, Any]:
    return next(row for row in desk.orders().to_dicts() if row["id"] == order_id)


def alerts(watcher: Any) -> list[str]:
    return [row["text"] for topic, row in watcher._seen if topic is Topic.ALERTS and row["severity"] != "info"]


def test_a_night_with_its_restart(play, open_desk, watch) -> None:
    gateway = play(At(10 * MINUTE, Restart(for_seconds=4 * MINUTE)))
    desk = open_desk(gateway)
    watcher = watch(desk)
    desk.place("AAPL", "buy", 10)
    kept = desk.place("AAPL", "buy", 1, limit=98.0, time_in_force="gtc")
    ends = desk.place("AAPL", "buy", 1, limit=98.0)
    gateway.wait_until(lambda: len(gateway.orders) == 3, what="orders")

    # In the guard time nothing opens a position any more; what reduces one leaves.
    gateway.advance(6 * MINUTE)
    with pytest.raises(OrderDeniedError, match=f"TWS restarts until {ENDS}: only orders that reduce"):
        desk.place("AAPL", "buy", 1)
    desk.place("AAPL", "sell", 4)
    gateway.wait_until(lambda: len(gateway.executions) == 2, what="execution")
    window = desk.health().window
    assert window is not None
    assert window.words == "daily restart Mon 14:10 to Mon 14:20 UTC"

    # TWS goes, and is back after four minutes: orders that are good till cancelled are there, those of the day not.
    gateway.advance(5 * MINUTE)
    watcher.wait_for(Topic.LINK, link="down")
    gateway.advance(4 * MINUTE)
    watcher.wait_for(Topic.LINK, link="up", count=2)
    assert order(desk, kept.id)["status"] == "working"
    assert order(desk, ends.id)["status"] == "cancelled"
    with pytest.raises(OrderDeniedError, match="TWS restarts until"):
        desk.place("AAPL", "buy", 1)

    # After the window all is as before, the next one is known, and nobody was woken.
    gateway.advance(6 * MINUTE)
    gateway.wait_until(lambda: desk.health().window.begins_ns > window.ends_ns, what="next window")
    quote(gateway, desk)
    desk.place("AAPL", "buy", 1)
    gateway.wait_until(lambda: len(gateway.executions) == 3, what="execution")
    assert desk.health().window.words == "daily restart Tue 14:10 to Tue 14:20 UTC"
    assert not any("not connected" in text or "was due back" in text for text in alerts(watcher))


def test_a_restart_that_overruns_its_window_is_one_alarm(play, open_desk, watch) -> None:
    """It overruns the next window too, the login of the week from 10:40 to 10:50."""
    gateway = play(At(10 * MINUTE, LogOff(for_seconds=60 * MINUTE)))
    calendar = CALENDAR.model_copy(update={"weekly_login": "Mon 10:40", "login_minutes": 10.0})
    desk = open_desk(gateway, calendar=calendar)
    watcher = watch(desk)
    gateway.advance(11 * MINUTE)
    watcher.wait_for(Topic.LINK, link="down")

    gateway.advance(10 * MINUTE)
    watcher.wait_for(Topic.ALERTS, severity="error")
    gateway.advance(31 * MINUTE)
    gateway.wait_until(lambda: "daily restart Tue" in desk.health().window.words, what="next window")
    # Back at last.
    gateway.advance(29 * MINUTE)
    watcher.wait_for(Topic.LINK, link="up", count=2)

    overruns = [text for text in alerts(watcher) if "was due back" in text or "not connected" in text]
    assert overruns == [
        f"TWS was due back from its daily restart by {ENDS} and the link is down: check whether TWS runs, and "
        f"whether a login waits for a person"
    ]


def test_a_link_that_breaks_outside_of_a_window_is_told_at_once(play, open_desk, watch) -> None:
    gateway = play(At(MINUTE, Restart(for_seconds=2 * MINUTE)))
    desk = open_desk(gateway)
    watcher = watch(desk)

    gateway.advance(MINUTE)

    (row,) = watcher.wait_for(Topic.ALERTS, severity="warning")
    assert row["text"].startswith("not connected yet: ")


def test_a_desk_that_is_opened_in_a_window_opens_no_position(play, open_desk) -> None:
    gateway = play()
    gateway.advance(12 * MINUTE)
    desk = open_desk(gateway)

    with pytest.raises(OrderDeniedError, match=f"TWS restarts until {ENDS}"):
        desk.place("AAPL", "buy", 1)


def test_a_clock_adrift_opens_no_position_and_everybody_sees_it(play, open_desk, watch) -> None:
    gateway = play()
    desk = open_desk(gateway, clock_check_seconds=0.05)
    watcher = watch(desk)
    desk.place("AAPL", "buy", 10)
    assert desk.health().clock_drift_seconds == -0.5

    gateway.faults.cause(DriftClock(by_seconds=-90))
    watcher.wait_for(Topic.ALERTS, severity="error", origin="clock")

    with pytest.raises(OrderDeniedError, match=r"clock is 89\.5 s ahead of the clock of TWS"):
        desk.place("AAPL", "buy", 1)
    desk.place("AAPL", "sell", 10)
    assert desk.health().clock_drift_seconds == 89.5
    gateway.faults.stop()
    watcher.wait_for(Topic.ALERTS, severity="warning", origin="clock")
    desk.place("AAPL", "buy", 1)


def test_a_market_order_of_the_night_leaves_at_the_open(play, open_desk, watch) -> None:
    """The gateway keeps the hours of New York: its market closes at 16:00, and opens on Tuesday at 9:30."""
    gateway = play(hours="exchange")
    desk = open_desk(gateway, calendar=CalendarSettings(region="none"))
    watcher = watch(desk)
    desk.place("AAPL", "buy", 10)
    gateway.wait_until(lambda: gateway.executions, what="execution")
    gateway.advance(7 * 60 * MINUTE)

    held = desk.place("AAPL", "buy", 5)
    with pytest.raises(OrderDeniedError) as denied:
        desk.place("AAPL", "buy", 5, when_closed="deny")
    leaves = desk.place("AAPL", "sell", 10)

    assert (held.status, held.reason) == ("created", "held until its market opens")
    assert "its market is closed until 2026-04-14 13:30 UTC" in str(denied.value)
    gateway.wait_until(lambda: len(gateway.orders) == 2, what="exit at the venue")
    opens = nanoseconds(STEPPED_START + dt.timedelta(hours=23, minutes=30))
    gateway.advance((opens - gateway.clock.now_ns()) / 1e9 - MINUTE)
    assert order(desk, held.id)["status"] == "created"
    gateway.advance(2 * MINUTE)
    quote(gateway, desk, 101.0)
    watcher.wait_for(Topic.ORDERS, id=held.id, status="filled")
    assert order(desk, leaves.id)["status"] == "filled"
    assert desk.health().link is Link.UP
