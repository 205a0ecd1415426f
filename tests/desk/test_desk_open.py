"""Opening a desk returns that desk, or an error that lists the differences; never another open desk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.stack import LIVE_LIMITS

from ibdesk.desk import AioDesk, Desk, DeskSettings
from ibdesk.desk.port.addresses import SocketAddress
from ibdesk.desk.port.host import PortHost
from ibdesk.desk.port.socket_transport import SocketTransport
from ibdesk.errors import DeskError
from ibdesk.gateway import Gateway, GatewaySettings, GatewayThread, make_gateway

STILL = {"port": 0}


@pytest.fixture
def port() -> Iterator[int]:
    """The port of a TWS with the account DU9000001."""
    with GatewayThread(make_gateway(GatewaySettings(port=0))) as thread:
        gateway: Gateway = thread.gateway
        yield gateway.port


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Desk]:
    with Desk.open("embedded", state_folder=tmp_path, gateway=STILL) as desk:
        yield desk


def test_the_same_cell_run_again_gets_the_desk_it_opened(port: int, tmp_path: Path) -> None:
    with Desk.open("paper", port=port, client_id=7, state_folder=tmp_path) as first:
        assert Desk.open("paper", port=port, client_id=7, state_folder=tmp_path) is first
        # The account is the only one there is, named or not.
        settings = DeskSettings.make("paper", port=port, client_id=7, state_folder=tmp_path, account="DU9000001")
        assert Desk.open(settings) is first


def test_an_embedded_desk_is_opened_once_too(embedded: Desk, tmp_path: Path) -> None:
    assert Desk.open("embedded", state_folder=tmp_path, gateway=STILL) is embedded


def test_a_desk_that_was_closed_is_opened_anew(port: int, tmp_path: Path) -> None:
    with Desk.open("paper", port=port, client_id=7, state_folder=tmp_path) as first:
        pass
    with Desk.open("paper", port=port, client_id=7, state_folder=tmp_path, risk={"max_position_shares": 7}) as second:
        assert second is not first


def test_a_paper_desk_is_not_answered_with_the_embedded_one(embedded: Desk, tmp_path: Path) -> None:
    with pytest.raises(DeskError, match=r"another desk is open in this process \(mode is embedded, not paper\)"):
        Desk.open("paper", state_folder=tmp_path)
    assert embedded.health().mode == "embedded"


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({"mode": "live", "account": "U1234567", "risk": LIVE_LIMITS}, "mode is paper, not live"),
        ({"account": "DU1111111"}, "tws.account is DU9000001, not DU1111111"),
        ({"risk": {"max_position_shares": 500}}, "risk.max_position_shares is 50000.0, not 500.0"),
        ({"client_id": 8}, "tws.client_id is 7, not 8"),
        ({"first_price_seconds": 1}, "first_price_seconds is 3.0, not 1.0"),
    ],
    ids=str,
)
def test_another_mode_account_or_setting_is_an_error_that_says_what_differs(
    port: int, tmp_path: Path, changes: dict[str, Any], differs: str
) -> None:
    with Desk.open("paper", port=port, client_id=7, state_folder=tmp_path), pytest.raises(DeskError) as raised:
        Desk.open(
            **{"settings": changes.pop("mode", "paper"), "port": port, "client_id": 7} | changes,
            state_folder=tmp_path,
        )

    assert differs in str(raised.value)
    assert "close it with desk.close(), or give the new one its own state_folder and client_id" in str(raised.value)


def test_the_same_client_id_at_the_same_tws_is_the_same_place(port: int, tmp_path: Path) -> None:
    first = Desk.open("paper", port=port, client_id=7, state_folder=tmp_path)
    with first, pytest.raises(DeskError, match="state_folder is"):
        Desk.open("paper", port=port, client_id=7, state_folder=tmp_path / "other")


def test_a_desk_elsewhere_is_opened_beside_it(port: int, tmp_path: Path, embedded: Desk) -> None:
    with Desk.open("paper", port=port, state_folder=tmp_path / "other") as paper:
        assert (paper.health().mode, embedded.health().mode) == ("paper", "embedded")


def test_a_desk_of_a_child_process_is_the_same_desk_when_asked_again(tmp_path: Path, port: int) -> None:
    asked: dict[str, Any] = {"port": port, "client_id": 9, "state_folder": tmp_path}
    with Desk.open("paper", process=True, **asked) as first:
        assert Desk.open("paper", process=True, **asked) is first
        with pytest.raises(DeskError, match="only one of them is in its own process"):
            Desk.open("paper", **asked)
        with pytest.raises(DeskError, match=r"risk\.max_position_shares"):
            Desk.open("paper", process=True, risk={"max_position_shares": 5}, **asked)
    with Desk.open("paper", **asked) as second:
        assert second.health().link.value == "up"


async def test_two_cells_at_once_get_one_desk(port: int, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"port": port, "client_id": 7, "state_folder": tmp_path}

    first, second = await asyncio.gather(AioDesk.open("paper", **asked), AioDesk.open("paper", **asked))

    assert first.desk is second.desk
    with pytest.raises(DeskError, match=r"risk\.max_position_shares"):
        await AioDesk.open("paper", risk={"max_position_shares": 5}, **asked)
    await first.close()


@pytest.fixture
async def served(embedded: Desk, tmp_path: Path) -> Any:
    """The address at which the embedded desk is reached from other processes."""
    address = SocketAddress(tmp_path / "desk.sock")
    host = PortHost(embedded, embedded.feed, SocketTransport(address.path))
    task = asyncio.create_task(host.run())
    await host.answering.wait()
    yield str(address)
    task.cancel()
    await asyncio.wait([task])


async def test_a_desk_of_another_mode_or_account_is_not_attached_to(
    served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    attach: Callable[..., Any] = Desk.attach
    with pytest.raises(DeskError, match=r"is not the one asked for \(mode is embedded, not paper"):
        await asyncio.to_thread(attach, served, mode="paper")
    with pytest.raises(DeskError, match="account is DU9000001, not DU7"):
        await asyncio.to_thread(attach, served, account="DU7")
    monkeypatch.setenv("IBDESK_PORT_ADDRESS", served)
    monkeypatch.setenv("IBDESK_MODE", "paper")
    with pytest.raises(DeskError, match="mode is embedded, not paper"):
        await asyncio.to_thread(attach)
    monkeypatch.setenv("IBDESK_MODE", "embedded")
    attached = await asyncio.to_thread(attach)
    assert (await attached.aio.health()).mode == "embedded"
    await asyncio.to_thread(attached.close)
