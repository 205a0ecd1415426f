"""What the guardian says to TWS is, byte for byte, what ib_async says; and what TWS says is read as it is meant."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import ib_async
import pytest
from ib_async.client import Client

from ibdesk.errors import LinkError
from ibdesk.gateway.protocol.codec import Fields
from ibdesk.gateway.protocol.framing import split
from ibdesk.guardian.account import Contract
from ibdesk.guardian.link import TwsLink
from ibdesk.guardian.messages import market_order, request
from ibdesk.testing.gateway import RunningGateway
from ibdesk.tws.encoding import encoded

VERSIONS = (157, 163, 170, 176, 178)


class Scribe(Client):
    """ib_async's encoder without a socket: `text` is the message written last."""

    def __init__(self, version: int) -> None:
        super().__init__(None)
        self.connState, self._serverVersion = Client.CONNECTED, version
        self.text = ""

    def send(self, *fields: Any, makeEmpty: bool = True) -> None:  # noqa: N803 - ib_async's name
        self.text = encoded(fields)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("quantity", [100, -100])
def test_a_market_order_is_written_as_ib_async_writes_it(version: int, quantity: int) -> None:
    scribe = Scribe(version)
    contract = ib_async.Contract(conId=265598, symbol="AAPL", secType="STK", exchange="SMART", currency="USD")
    order = ib_async.MarketOrder(
        "BUY" if quantity > 0 else "SELL",
        abs(quantity),
        tif="DAY",
        account="DU1",
        orderRef="guardian-1.1",
        outsideRth=True,
    )
    scribe.placeOrder(12, contract, order)

    written = market_order(
        version,
        12,
        Contract(265598, "AAPL", "STK", "", "0", "", "", "NASDAQ", "USD", "AAPL", "NMS"),
        exchange="SMART",
        account="DU1",
        quantity=quantity,
        reference="guardian-1.1",
        outside_regular_hours=True,
    )

    assert split(written[4:]) == scribe.text.removesuffix("\0").split("\0")


@pytest.mark.parametrize(
    ("name", "values", "call"),
    [
        ("reqGlobalCancel", {}, lambda scribe: scribe.reqGlobalCancel()),
        ("reqAllOpenOrders", {}, lambda scribe: scribe.reqAllOpenOrders()),
        ("reqPositions", {}, lambda scribe: scribe.reqPositions()),
        (
            "reqAccountUpdates",
            {"subscribe": True, "acctCode": "DU1"},
            lambda scribe: scribe.reqAccountUpdates(True, "DU1"),
        ),
        (
            "reqPnL",
            {"reqId": 7, "account": "DU1", "modelCode": ""},
            lambda scribe: scribe.reqPnL(7, "DU1", ""),
        ),
        (
            "reqExecutions",
            {"reqId": 7, "clientId": 0, "acctCode": "DU1"},
            lambda scribe: scribe.reqExecutions(7, ib_async.ExecutionFilter(acctCode="DU1")),
        ),
        ("cancelOrder", {"orderId": 12}, lambda scribe: scribe.cancelOrder(12)),
        (
            "reqContractDetails",
            {"reqId": 7, "conId": 265598, "strike": "0.0", "includeExpired": False},
            lambda scribe: scribe.reqContractDetails(7, ib_async.Contract(conId=265598)),
        ),
    ],
)
def test_a_request_is_written_as_ib_async_writes_it(name: str, values: dict[str, Any], call: Any) -> None:
    scribe = Scribe(178)
    call(scribe)

    written = request(name, 178, **values)

    assert split(written[4:]) == scribe.text.removesuffix("\0").split("\0")


# ---- a connection -------------------------------------------------------------------------------------------------


@pytest.fixture
def tws() -> Iterator[RunningGateway]:
    """A gateway whose market stands still."""
    with RunningGateway() as gateway:
        yield gateway


async def test_a_client_id_that_is_taken_is_said_with_the_setting(tws: RunningGateway) -> None:
    first = await TwsLink.open(tws.host, tws.port, 90, lambda _name, _found: None)

    with pytest.raises(LinkError, match=r"guardian\.client_id"):
        await TwsLink.open(tws.host, tws.port, 90, lambda _name, _found: None)
    first.close()


async def test_a_tws_that_does_not_answer_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(LinkError, match=r"not ready within 0\.2 s"):
        await TwsLink.open("127.0.0.1", server.getsockname()[1], 90, lambda _name, _found: None, timeout_seconds=0.2)


async def test_a_link_that_breaks_says_so(tws: RunningGateway) -> None:
    heard: list[str] = []

    def hear(name: str, _found: Fields) -> None:
        heard.append(name)

    link = await TwsLink.open(tws.host, tws.port, 90, hear)
    tws.faults.hang_up()

    with pytest.raises(LinkError):
        await link.run()
    link.close()
    assert {"managedAccounts", "nextValidId"} <= set(heard)
