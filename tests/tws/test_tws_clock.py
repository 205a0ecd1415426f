"""Our clock is compared with TWS's; a drift beyond its limit is reported, and so is its end."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.gateway.faults import DriftClock
from ibdesk.model import ClockChecked, Link, LinkChanged, Notice
from ibdesk.tws.drift import Drift

SECOND = 1_000_000_000


@given(
    drift_ns=st.integers(-(10**12), 10**12),
    tws_ns=st.integers(10**18, 2 * 10**18),
    way_out_ns=st.integers(0, 5 * SECOND),
    way_back_ns=st.integers(0, 5 * SECOND),
)
def test_the_truth_lies_between_the_bounds(drift_ns, tws_ns, way_out_ns, way_back_ns) -> None:
    """TWS reads its clock at `tws_ns`, between a request and its answer, and reports whole seconds."""
    ours_ns = tws_ns + drift_ns

    drift = Drift.measured(
        asked_ns=ours_ns - way_out_ns, answered_ns=ours_ns + way_back_ns, told_seconds=tws_ns // SECOND
    )

    slack = 1e-6
    assert drift.low - slack <= drift_ns / SECOND <= drift.high + slack
    assert drift.low <= drift.likely <= drift.high
    # A drift within the limit is never reported as beyond it, however long the round trip.
    assert drift.beyond(abs(drift_ns) / SECOND + slack) == 0.0


@pytest.mark.parametrize(
    ("low", "high", "beyond"),
    [(5.0, 6.0, 0.0), (5.1, 6.1, 5.6), (-6.0, -5.0, 0.0), (-6.1, -5.1, -5.6), (-20.0, 20.0, 0.0), (-1.0, 0.0, 0.0)],
)
def test_only_what_is_certain_is_beyond_a_limit(low, high, beyond) -> None:
    assert Drift(low, high).beyond(5.0) == pytest.approx(beyond)


async def test_clocks_that_agree_are_told_of_in_the_figures_only(start_tws, gateway, clock) -> None:
    running = await start_tws(gateway.port, clock=clock)

    # The gateway reports the current whole second: the drift may be one second more.
    assert running.service.health.clock_drift_seconds == -0.5
    assert running.heard.of(ClockChecked) == []


@pytest.mark.parametrize(("by_seconds", "drift"), [(-30, 29.5), (30, -30.5), (5, 0.0), (7, -7.5)])
async def test_a_drift_is_known_before_any_order_may_leave(start_tws, gateway, clock, by_seconds, drift) -> None:
    gateway.faults.cause(DriftClock(by_seconds=by_seconds))

    running = await start_tws(gateway.port, clock=clock, max_clock_drift_seconds=5.9)

    checked = [event.drift_seconds for event in running.heard.of(ClockChecked)]
    assert checked == ([drift] if drift else [])
    kinds = [type(each) for each in running.heard.events if isinstance(each, ClockChecked | LinkChanged)]
    assert kinds[-1] is LinkChanged
    assert running.service.link is Link.UP


async def test_a_drift_is_told_once_and_its_end_too(start_tws, gateway, clock) -> None:
    running = await start_tws(gateway.port, clock=clock, clock_check_seconds=0.01)

    gateway.faults.cause(DriftClock(by_seconds=-60))
    beyond = await running.heard.next(ClockChecked)
    gateway.faults.stop()
    again = await running.heard.next(ClockChecked)

    assert (beyond.drift_seconds, beyond.limit_seconds, beyond.is_beyond) == (59.5, 5.0, True)
    assert (again.drift_seconds, again.is_beyond) == (0.0, False)


async def test_nothing_is_measured_without_a_limit(start_tws, script) -> None:
    running = await start_tws(script.port, max_clock_drift_seconds=math.inf)

    assert running.service.health.clock_drift_seconds is None
    assert script.of(49) == []


async def test_a_tws_that_does_not_tell_its_time_is_traded_with_a_warning(start_tws, script) -> None:
    script.silent.add("49")

    running = await start_tws(script.port, request_timeout_seconds=0.2)

    (notice,) = [each for each in running.heard.of(Notice) if "clock" in each.text]
    assert notice.text == "the clocks could not be compared: TWS did not answer within 0.2 s: its time"
    assert running.service.link is Link.UP
