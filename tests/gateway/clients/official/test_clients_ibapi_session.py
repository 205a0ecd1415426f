"""IBKR's own client connects, receives TWS's first messages, and shares the gateway with others."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import ibapi
import pytest

from ibdesk.gateway.bursts import LOST_BURST
from ibdesk.gateway.protocol.codec import encode
from ibdesk.gateway.protocol.outgoing import OUTGOING_BY_NAME

if TYPE_CHECKING:
    from tests.gateway.clients.official.conftest import Dial, MakeContract, MakeOrder, Official, Tws


def test_the_client_is_the_one_that_was_installed() -> None:
    assert "site-packages" in str(ibapi.__file__)


def test_it_agrees_on_178_and_receives_accounts_order_id_and_farms(client: Official) -> None:
    client.wait_for("error", errorCode=2158)

    told = [(call.name, call.values.get("errorCode")) for call in client.calls if call.name != "connectAck"]
    assert told == [
        ("managedAccounts", None),
        ("nextValidId", None),
        ("error", 2104),
        ("error", 2106),
        ("error", 2158),
    ]
    assert client.api.serverVersion() == 178
    assert client.wait_for("managedAccounts")["accountsList"] == "DU9000001"
    assert client.wait_for("nextValidId")["orderId"] == 1


def test_the_small_questions_are_answered(client: Official) -> None:
    api = client.api

    [told] = client.ask(lambda: api.reqIds(1), "nextValidId")[-1:]
    assert told["orderId"] == 1
    [told] = client.ask(api.reqManagedAccts, "managedAccounts")[-1:]
    assert told["accountsList"] == "DU9000001"
    [told] = client.ask(api.reqFamilyCodes, "familyCodes")[-1:]
    assert [(code.accountID, code.familyCodeStr) for code in told["familyCodes"]] == [("*", "")]
    # 14:00 UTC on 2026-04-13.
    [told] = client.ask(api.reqCurrentTime, "currentTime")[-1:]
    assert told["time"] == 1_776_088_800
    [told] = client.ask(lambda: api.reqUserInfo(5), "userInfo")[-1:]
    assert (told["reqId"], told["whiteBrandingId"]) == (5, "")
    [told] = client.ask(lambda: api.reqSoftDollarTiers(6), "softDollarTiers")[-1:]
    assert (told["reqId"], told["tiers"]) == (6, [])
    assert client.all_of(lambda: api.setServerLogLevel(5)) == []


def test_a_client_id_in_use_is_refused_and_the_first_client_stays(dial: Dial, tws: Tws, official: type) -> None:
    first = dial(1)

    second = official(tws.port, 1)
    refusal = second.wait_for("error")
    second.end()

    assert (refusal["errorCode"], refusal["errorString"]) == (
        326,
        "Unable to connect as the client id is already in use. Retry with a unique client id.",
    )
    assert first.ask(first.api.reqCurrentTime, "currentTime")
    assert first.api.isConnected()


def test_two_clients_see_their_own_orders_and_each_others_only_when_they_ask(
    dial: Dial, contract: MakeContract, order: MakeOrder
) -> None:
    first, second = dial(1), dial(2)

    first.ask(
        lambda: first.api.placeOrder(1, contract("AAPL"), order("BUY", "LMT", lmtPrice=90)),
        "orderStatus",
        status="Submitted",
    )

    assert [call.name for call in second.all_of(second.api.reqOpenOrders)] == ["openOrderEnd"]
    [seen, *_] = second.ask(second.api.reqAllOpenOrders, "openOrderEnd")
    assert (seen.name, seen["orderId"], seen["order"].clientId) == ("openOrder", 1, 1)


def test_a_client_that_is_hung_up_on_notices_it_and_may_reconnect(dial: Dial, tws: Tws) -> None:
    client = dial(1)

    tws.thread.faults.hang_up(1)
    client.wait_for("connectionClosed")

    again = dial(1)
    assert again.api.isConnected()


@pytest.mark.parametrize("times", [1, 2])
def test_bursts_of_every_length_near_the_lost_ones_arrive(client: Official, tws: Tws, times: int) -> None:
    empty = len(encode(OUTGOING_BY_NAME["errMsg"], {"id": -1, "errorCode": 2100, "errorMsg": ""}, 178))
    client.wait_for("error", errorCode=2158)

    for length in range(times * LOST_BURST - 15, times * LOST_BURST + 16):
        text = "x" * (length - empty)
        tell = functools.partial(tws.gateway.tell_all, 2100, text)
        client.ask(functools.partial(tws.do, tell), "error", errorString=text)
