"""What pytest loads: the fixtures and the marker. All that is heavy is imported when a test asks for it."""

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
    'gateway(seed=, market=, symbols=, clock="real" | "stepped" | speed, cash=, ...): how the `gateway` of this test '
    "is to be; whatever else ibdesk.gateway.Gateway takes may be given too"
)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture
def gateway(request: pytest.FixtureRequest) -> Iterator[RunningGateway]:
    """A TWS on 127.0.0.1 at `gateway.port`, for this test alone; the marker `gateway` says how it is to be."""
    from ibdesk.testing.gateway import RunningGateway

    marker = request.node.get_closest_marker("gateway")
    if marker is not None and marker.args:
        raise pytest.UsageError(f"{request.node.nodeid}: give the marker gateway its options by name, as in seed=7")
    with RunningGateway(**({} if marker is None else marker.kwargs)) as running:
        yield running


@pytest.fixture
def market(gateway: RunningGateway) -> MarketHand:
    """The market of `gateway`: `market.quote("AAPL", 100.00, 100.02)` happens before it returns."""
    from ibdesk.testing.market import MarketHand

    return MarketHand(gateway)


@pytest.fixture
def faults(gateway: RunningGateway) -> Faults:
    """What can be made to go wrong at `gateway`: `faults.hang_up()`, `faults.lose_connectivity()` and so on."""
    return gateway.faults


@pytest.fixture
def desk(gateway: RunningGateway, tmp_path: Path) -> Iterator[Desk]:
    """An ibdesk desk that trades on `gateway`, by its clock; its journal is in the test's temporary folder.

    On a stepped clock `gateway.advance` returns once the desk has acted on all that happened.
    """
    from ibdesk.desk import Desk, DeskSettings
    from ibdesk.tws import TwsSettings
    from ibdesk.tws.calendar_settings import CalendarSettings

    # Tests run at any hour: the gateway restarts when its faults say so, not when IB's servers do.
    calendar = CalendarSettings(region="none")
    tws = TwsSettings(host=gateway.host, port=gateway.port, account=gateway.account, calendar=calendar)
    # Made directly, settings read neither the environment nor the ibdesk.toml of who runs the tests.
    settings = DeskSettings(mode="paper", tws=tws, state_folder=tmp_path / "ibdesk")
    opened = Desk.open(settings, clock=gateway.clock)
    gateway.follow(opened.catch_up)
    yield opened
    opened.close()
