"""The first connection: refusals and their messages."""

from __future__ import annotations

import asyncio
import socket

import pytest

from ibdesk.clock import SystemClock
from ibdesk.errors import ClientIdInUseError, ConfigError, LinkError
from ibdesk.model import AccountReport, Link, LinkChanged
from ibdesk.tws import TwsService


def service_for(words, port, **settings):
    return TwsService(words.settings(port, **settings), clock=SystemClock(), on_event=lambda event: None)


async def test_the_books_are_compared_before_the_link_is_up(tws) -> None:
    links = [event.link for event in tws.heard.of(LinkChanged)]

    assert links == [Link.SYNCING, Link.UP]
    assert tws.service.account_id == "DU9000001"
    assert tws.heard.of(AccountReport)[0].account.net_liquidation == 1_000_000


async def test_a_port_without_tws_is_named(words) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

        with pytest.raises(LinkError, match=rf"cannot connect to TWS at 127\.0\.0\.1:{port} .*start TWS"):
            await service_for(words, port).connect()


async def test_a_port_that_accepts_and_says_nothing_times_out(words, start_server) -> None:
    port = await start_server(b"")

    with pytest.raises(LinkError, match=r"did not answer within 0\.2 s"):
        await service_for(words, port, connect_timeout_seconds=0.2).connect()


async def test_a_server_that_is_no_tws_is_told_at_once(words, start_server) -> None:
    port = await start_server(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with pytest.raises(LinkError, match="does not speak the TWS API"):
        await service_for(words, port).connect()


async def test_a_tws_that_is_too_old_is_told(script, words) -> None:
    script.version = 142

    with pytest.raises(LinkError, match=r"too old .API version 142, 157 is the least"):
        await service_for(words, script.port).connect()


async def test_a_second_connection_of_one_service_is_refused(tws) -> None:
    with pytest.raises(LinkError, match="already connected"):
        await tws.service.connect()


async def test_figures_over_all_currencies_come_before_those_of_one(scripted, script, words) -> None:
    for tag, value, currency in [
        ("NetLiquidation", "5000.5", "EUR"),
        ("UnrealizedPnL", "7", "USD"),
        ("UnrealizedPnL", "10", "BASE"),
        ("UnrealizedPnL", "3", "EUR"),
        ("AccountType", "INDIVIDUAL", ""),
    ]:
        script.send(6, 2, tag, value, currency, words.account)
    script.send(6, 2, "BuyingPower", "1", "EUR", "DU-OTHER")
    await scripted.service.qualify(words.aapl)

    account = scripted.heard.of(AccountReport)[-1].account

    assert (account.net_liquidation, account.currency, account.unrealized_pnl) == (5000.5, "EUR", 10)
    assert account.buying_power != 1


async def test_a_client_id_in_use_is_told_from_other_refusals(tws, gateway, words) -> None:
    with pytest.raises(ClientIdInUseError, match="client id 1 is already in use"):
        await service_for(words, gateway.port).connect()


async def test_a_failed_connection_can_be_tried_again(gateway, start_tws) -> None:
    gateway.faults.refuse()
    with pytest.raises(LinkError):
        await start_tws(gateway.port)
    gateway.faults.refuse(False)

    running = await start_tws(gateway.port)

    assert running.service.link is Link.UP


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"mode": "live"}, "spell out the account"),
        ({"account": "U1234567"}, "not a paper account"),
        ({"reserved_for_orders": 45}, "must be less than"),
    ],
)
def test_settings_that_contradict_each_other_stop_the_start(words, settings, sentence) -> None:
    with pytest.raises(ConfigError, match=sentence):
        service_for(words, 7497, **settings)


async def test_order_ids_never_go_below_the_persisted_mark(script, start_tws) -> None:
    script.first_order_id = 7
    below = await start_tws(script.port, first_order_id=500)
    above = await start_tws(script.port, first_order_id=3, client_id=2)

    assert below.service.next_order_id > 500
    assert 7 < above.service.next_order_id < 500


async def test_a_missing_end_of_executions_delays_the_start_and_is_noticed(script, start_tws) -> None:
    script.silent = {"7"}

    running = await start_tws(script.port, request_timeout_seconds=0.1)

    assert running.service.link is Link.UP
    assert any("the day's executions" in event.text for event in running.heard.events if hasattr(event, "text"))


async def test_a_start_up_question_without_an_answer_fails_the_connection(script, words) -> None:
    script.silent = {"61"}

    with pytest.raises(LinkError, match=r"did not answer within 0\.1 s: the positions"):
        await service_for(words, script.port, request_timeout_seconds=0.1).connect()


async def test_stopping_closes_the_socket_and_the_link(scripted, script) -> None:
    scripted.life.cancel()
    with pytest.raises(asyncio.CancelledError):
        await scripted.life

    assert scripted.service.link is Link.CLOSED
    async with asyncio.timeout(2):
        await script.left.wait()
