"""The fixtures and the marker that pytest loads; heavy imports wait until a test needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ibdesk.desk import Desk
    from ibdesk.gateway import Faults
    from ibdesk.testing.gateway import RunningGateway
    from ibdesk.testing.market import MarketHand

_MARKER = (
    'gateway(seed=, market=, symbols=, clock="real" | "stepped" | speed, cash=, ...): options of the `gateway` of this '
    "test, including any option of ibdesk.gateway.Gateway"
)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture
def gateway(request: pytest.FixtureRequest) -> Iterator[RunningGateway]:
    """Run a TWS on 127.0.0.1 at `gateway.port`, for this test alone; the marker `gateway` sets its options."""
    from ibdesk.testing.gateway import RunningGateway

    marker = request.node.get_closest_marker("gateway")
    if marker is not None and marker.args:
        raise pytest.UsageError(f"{request.node.nodeid}: give the marker gateway its options by name, as in seed=7")
    with RunningGateway(**({} if marker is None else marker.kwargs)) as running:
        yield running


@pytest.fixture
def market(gateway: RunningGateway) -> MarketHand:
    """Return the market of `gateway`: `market.quote("AAPL", 100.00, 100.02)` happens before it returns."""
    from ibdesk.testing.market import MarketHand

    return MarketHand(gateway)


@pytest.fixture
def faults(gateway: RunningGateway) -> Faults:
    """Return the faults of `gateway`: `faults.hang_up()`, `faults.lose_connectivity()` and so on."""
    return gateway.faults


@pytest.fixture
def desk(gateway: RunningGateway, tmp_path: Path) -> Iterator[Desk]:
    """Open an ibdesk desk that trades on `gateway`, by its clock; its journal is in the test's temporary folder.

    On a stepped clock `gateway.advance` returns once the desk has acted on all events.
    """
    from ibdesk.desk import Desk, DeskSettings
    from ibdesk.tws import TwsSettings
    from ibdesk.tws.calendar_settings import CalendarSettings

    # Tests run at any hour: the gateway restarts when its faults say so, not at IB's hours.
    calendar = CalendarSettings(region="none")
    tws = TwsSettings(host=gateway.host, port=gateway.port, account=gateway.account, calendar=calendar)
    # Settings created directly read neither the environment nor an ibdesk.toml.
    settings = DeskSettings(mode="paper", tws=tws, state_folder=tmp_path / "ibdesk")
    opened = Desk.open(settings, clock=gateway.clock)
    gateway.follow(opened.catch_up)
    yield opened
    opened.close()
