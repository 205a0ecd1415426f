"""Booking what was traded outside the desk, from any terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.desk.test_desk_port import Host
from tests.stack import eventually

from ibdesk.desk import Desk, DeskSettings
from ibdesk.desk.port.addresses import SocketAddress
from ibdesk.gateway import GatewaySettings, GatewayThread, make_gateway
from ibdesk.store.redis import RedisSettings


def test_what_somebody_sold_is_accepted_from_a_terminal(
    cli: Callable[..., Any], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    address = SocketAddress(tmp_path_factory.mktemp("s") / "d")
    with GatewayThread(make_gateway(GatewaySettings(port=0))) as venue:
        settings = DeskSettings.make("paper", port=venue.gateway.port, client_id=33, state_folder=tmp_path)
        with Desk.open(settings) as desk:
            host = Host(desk, address, RedisSettings())
            host.start()
            try:
                order = desk.place("AAPL", "buy", 20)
                wait(lambda: desk.orders().filter(id=order.id)["status"].item() == "filled")
                venue.call(lambda: venue.gateway.place_by_hand("AAPL", "SELL", 20))
                wait(lambda: desk.risk().uncovered == {"AAPL": 20.0})

                first = cli("accept", "AAPL", "--desk", str(address))
                second = cli("accept", "AAPL", "--desk", str(address))

                assert (first.code, "AAPL is booked to the runs that held it" in first.out) == (0, True)
                assert desk.risk().uncovered == {}
                assert (second.code, "AAPL has no position" in second.err) == (1, True)
            finally:
                host.stop()


def wait(holds: Callable[[], bool], seconds: float = 30) -> None:
    """Ask again and again until it holds; each question goes to another thread."""
    eventually(holds, "it holds", seconds=seconds)
