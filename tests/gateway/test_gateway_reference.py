"""Reference data, and refused requests: each gets an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ib_async as ib
import pytest

from ibdesk.gateway.handlers.services import SCANNER_PARAMETERS
from ibdesk.gateway.protocol.framing import frame
from ibdesk.gateway.protocol.incoming import INCOMING
from ibdesk.gateway.protocol.unread import UNREAD

FARMS = ("2104", "2106", "2158")
"""TWS's first messages to every client."""


@pytest.fixture
def tolerated() -> set[int]:
    return {162, 165, 200, 430, 10276, 321}


@pytest.fixture
def errors(client: ib.IB) -> list[tuple[int, int, str]]:
    """Return the errors to the client from now on, as id, code and text."""
    heard: list[tuple[int, int, str]] = []
    client.errorEvent += lambda request_id, code, text, _contract: heard.append((request_id, code, text))
    return heard


async def test_symbols_come_with_the_kinds_of_their_derivatives(client: ib.IB) -> None:
    [apple] = await client.reqMatchingSymbolsAsync("AAPL") or []

    assert apple.contract is not None
    assert (apple.contract.conId, apple.contract.primaryExchange, apple.derivativeSecTypes) == (
        265598,
        "NASDAQ",
        ["OPT", "BAG"],
    )


async def test_a_pattern_that_fits_many_symbols_returns_sixteen(client: ib.IB) -> None:
    # Far more than sixteen of the shipped names have an I in them.
    assert len(await client.reqMatchingSymbolsAsync("I") or []) == 16


async def test_every_rule_in_details_can_be_requested(client: ib.IB) -> None:
    contracts = [
        ib.Stock("AAPL", "SMART", "USD"),
        ib.Stock("SAP", "SMART", "EUR"),
        ib.Forex("EURUSD"),
        ib.Forex("USDJPY"),
        ib.Index("SPX", "CBOE"),
        *(ib.Future(symbol) for symbol in ("ES", "YM", "CL", "GC", "ZN")),
        ib.Option("AAPL", right="C", exchange="SMART"),
        ib.Option("SPX", right="C", exchange="SMART"),
    ]
    for contract in contracts:
        details = (await client.reqContractDetailsAsync(contract))[0]
        rules = details.marketRuleIds.split(",")
        assert len(rules) == len(details.validExchanges.split(","))
        rule = await client.reqMarketRuleAsync(int(rules[0])) or []
        assert rule[0].lowEdge == 0.0
        # A US share moves by less than `minTick` below a dollar.
        assert details.minTick in [each.increment for each in rule]


async def test_shares_and_futures_have_venues_that_show_depth(client: ib.IB) -> None:
    venues = {(each.exchange, each.secType) for each in await client.reqMktDepthExchangesAsync()}

    assert {("IEX", "STK"), ("CME", "FUT"), ("IDEALPRO", "CASH")} <= venues


async def test_the_venues_behind_smart_have_different_letters(client: ib.IB) -> None:
    components = await client.reqSmartComponentsAsync("9c0001")

    letters = [component.exchangeLetter for component in components]
    assert len({*letters}) == len(letters) > 3
    assert [component.bitNumber for component in components] == list(range(len(letters)))


async def test_without_news_subscriptions_there_are_no_providers_and_no_articles(
    client: ib.IB, errors: list[tuple[int, int, str]]
) -> None:
    assert await client.reqNewsProvidersAsync() == []

    await client.reqNewsArticleAsync("BZ", "BZ$1")
    await client.reqHistoricalNewsAsync(265598, "BZ", "", "", 10)

    assert [error[1:] for error in errors] == [(10276, "News is not allowed.")] * 2


async def test_a_scanner_finds_nothing_says_so_and_can_be_cancelled(
    client: ib.IB, errors: list[tuple[int, int, str]]
) -> None:
    assert await client.reqScannerParametersAsync() == SCANNER_PARAMETERS
    wanted = ib.ScannerSubscription(instrument="STK", locationCode="STK.US.MAJOR", scanCode="TOP_PERC_GAIN")

    found = await client.reqScannerDataAsync(wanted)
    await client.reqCurrentTimeAsync()

    assert list(found) == []
    # The client cancels by itself once it has its data, which TWS confirms with error 162.
    assert [code for _id, code, _text in errors] == [165, 162]


async def test_fundamentals_are_not_available(
    client: ib.IB, aapl: ib.Contract, errors: list[tuple[int, int, str]]
) -> None:
    client.client.reqFundamentalData(77, aapl, "ReportSnapshot", [])
    await client.reqCurrentTimeAsync()

    assert errors == [(77, 430, "The fundamentals data for the security specified is not available.")]


async def test_details_arrive_before_the_next_answer(dial: Callable[..., Any]) -> None:
    wire = await dial()

    wire.send(9, reqId=5, symbol="AAPL", secType="STK", exchange="SMART", currency="USD")
    wire.send(49)
    told = [name for name, _ in await wire.until("currentTime")]

    assert told[-3:] == ["contractDetails", "contractDetailsEnd", "currentTime"]


@pytest.mark.parametrize("number", sorted(UNREAD))
async def test_what_is_answered_without_being_read_leaves_the_session_alive(
    dial: Callable[..., Any], number: int
) -> None:
    wire = await dial()

    # The id is in the first, second or fourth field; the rest may be anything.
    wire.send_bytes(frame(f"{number}\0004711\0004711\0004711\0004711\000x\0".encode()))
    wire.send(49)
    seen = await wire.until("currentTime")

    told = [fields["id"] for name, fields in seen if name == "errMsg" and fields["errorCode"] not in FARMS]
    is_silent = UNREAD[number].startswith(("cancel", "unsubscribe"))
    assert told == ([] if is_silent else ["4711"])


@pytest.mark.parametrize("number", sorted(UNREAD))
async def test_what_is_answered_without_being_read_still_needs_its_id(dial: Callable[..., Any], number: int) -> None:
    wire = await dial()

    wire.send_bytes(frame(f"{number}\0x\0x\0x\0x\0".encode()))
    wire.send(49)
    seen = await wire.until("currentTime")

    errors = [fields for name, fields in seen if name == "errMsg" and fields["errorCode"] not in FARMS]
    assert [(error["id"], error["errorCode"]) for error in errors] == [("-1", "321")]


async def test_every_request_of_the_table_is_served(dial: Callable[..., Any]) -> None:
    unserved = []
    for number in sorted(INCOMING):
        if number == 71:
            continue
        wire = await dial(number)
        wire.send_bytes(frame(f"{number}\0".encode()))
        wire.send(49)
        seen = await wire.until("currentTime")
        unserved += [number for name, fields in seen if "is not supported" in fields.get("errorMsg", "")]

    assert unserved == []
