"""The order book: a client's book is the one around the quote, and its limits are TWS's."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import AsyncIterator, Callable
from typing import Any

import ib_async as ib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.clock import ManualClock
from ibdesk.gateway import Gateway
from ibdesk.gateway.handlers.depth import (
    ASK_SIDE,
    BID_SIDE,
    DELETE,
    INSERT,
    VENUES,
    DepthLevel,
    levels_of,
    moves_between,
)
from ibdesk.gateway.market.script import MarketScript
from ibdesk.model import Quote, nanoseconds

T0 = nanoseconds(dt.datetime(2026, 4, 13, 14, 0, tzinfo=dt.UTC))


@pytest.fixture
async def scripted() -> AsyncIterator[Gateway]:
    """A gateway where AAPL is quoted 100.00 to 100.02, 300 by 400 shares."""
    script = MarketScript(["MSFT"]).quote("AAPL", 100.00, 100.02, at=0, bid_size=300, ask_size=400)
    async with Gateway(market=script, clock=ManualClock(T0)) as gateway:
        yield gateway


@pytest.fixture
async def client(scripted: Gateway) -> AsyncIterator[ib.IB]:
    """An ib_async client of that gateway, with its error codes in `client.codes`."""
    client = ib.IB()
    await client.connectAsync("127.0.0.1", scripted.port, clientId=1, timeout=5)
    yield client
    client.disconnect()


@pytest.fixture
def errors(client: ib.IB) -> list[tuple[int, int]]:
    """Request ids and codes of the client's errors from now on."""
    heard: list[tuple[int, int]] = []
    client.errorEvent += lambda request_id, code, *_rest: heard.append((request_id, code))
    return heard


@pytest.fixture
async def aapl(client: ib.IB) -> ib.Contract:
    """AAPL as the gateway qualifies it."""
    [contract] = await client.qualifyContractsAsync(ib.Stock("AAPL", "SMART", "USD"))
    assert isinstance(contract, ib.Contract)
    return contract


def prices(levels: list[ib.DOMLevel]) -> list[float]:
    """Return the prices of one side, best first."""
    return [level.price for level in levels]


SIDE = st.lists(st.tuples(st.integers(1, 12), st.integers(1, 3)), max_size=8).map(
    lambda entries: [DepthLevel(float(price), float(size), "IEX") for price, size in entries]
)


@given(SIDE, SIDE)
def test_a_book_that_follows_the_moves_is_the_new_book(old: list[DepthLevel], new: list[DepthLevel]) -> None:
    # Clients treat an insert differently: it moves later levels, or replaces the present one.
    moved, replaced = list(old), dict(enumerate(old))
    for move in moves_between(old, new):
        if move.operation == DELETE:
            del moved[move.position], replaced[move.position]
            continue
        replaced[move.position] = move.level
        if move.operation == INSERT:
            moved.insert(move.position, move.level)
        else:
            moved[move.position] = move.level

    assert moved == list(replaced.values()) == new


@given(st.integers(1, 40), st.integers(1, 10))
def test_levels_stand_a_tick_apart_behind_the_quote(bid_cents: int, rows: int) -> None:
    quote = Quote("AAPL", T0, bid_cents / 100, (bid_cents + 1) / 100, 300, 400)

    bids, asks = (levels_of(quote, side, rows, 0.01) for side in (BID_SIDE, ASK_SIDE))

    # A bid of one cent has no level behind it.
    assert [round(level.price * 100) for level in bids] == list(range(bid_cents, 0, -1))[:rows]
    assert [round(level.price * 100) for level in asks] == [bid_cents + 1 + place for place in range(rows)]
    assert (bids[0].size, asks[0].size) == (300, 400)
    assert all(level.size % 100 == 0 and level.size > 0 for level in [*bids, *asks])


def test_a_side_without_a_price_is_empty() -> None:
    assert levels_of(Quote("AAPL", T0, math.nan, 1.0), BID_SIDE, 5, 0.01) == []


async def test_a_book_is_shown_and_follows_the_quote(client: ib.IB, aapl: ib.Contract, scripted: Gateway) -> None:
    ticker = client.reqMktDepth(aapl, numRows=3)
    await client.reqCurrentTimeAsync()
    before = prices(ticker.domBids), prices(ticker.domAsks), ticker.domBids[0].size, ticker.domAsks[0].size

    scripted.quote("AAPL", 100.01, 100.02, bid_size=500, ask_size=400)
    await client.reqCurrentTimeAsync()

    assert before == ([100.00, 99.99, 99.98], [100.02, 100.03, 100.04], 300, 400)
    assert (prices(ticker.domBids), prices(ticker.domAsks)) == ([100.01, 100.00, 99.99], [100.02, 100.03, 100.04])
    assert ticker.domBids[0].size == 500


async def test_smart_depth_names_a_venue_for_each_level(
    client: ib.IB, aapl: ib.Contract, errors: list[tuple[int, int]]
) -> None:
    ticker = client.reqMktDepth(aapl, numRows=5, isSmartDepth=True)
    await client.reqCurrentTimeAsync()

    assert [code for _, code in errors] == [2152]
    assert len(ticker.domBids) == 5
    assert {level.marketMaker for level in ticker.domBids} <= set(VENUES)


async def test_a_fourth_book_is_error_309_until_one_is_cancelled(
    client: ib.IB, aapl: ib.Contract, errors: list[tuple[int, int]]
) -> None:
    for request_id in (11, 12, 13, 14):
        client.client.reqMktDepth(request_id, aapl, 5, False, [])
    client.client.cancelMktDepth(11, False)
    client.client.reqMktDepth(15, aapl, 5, False, [])
    client.client.cancelMktDepth(14, False)
    client.client.reqMktDepth(12, aapl, 5, False, [])
    await client.reqCurrentTimeAsync()

    assert errors == [(14, 309), (14, 310), (12, 102)]


@pytest.mark.parametrize("rows", [0, 51])
async def test_a_book_without_rows_or_with_too_many_is_error_321(
    rows: int, client: ib.IB, aapl: ib.Contract, errors: list[tuple[int, int]]
) -> None:
    client.client.reqMktDepth(11, aapl, rows, False, [])
    await client.reqCurrentTimeAsync()

    assert errors == [(11, 321)]


async def test_after_a_lost_link_the_book_is_reset_and_sent_again(
    client: ib.IB, aapl: ib.Contract, scripted: Gateway, errors: list[tuple[int, int]]
) -> None:
    ticker = client.reqMktDepth(aapl, numRows=2)
    await client.reqCurrentTimeAsync()

    scripted.faults.lose_connectivity()
    scripted.quote("AAPL", 90.00, 90.01)
    scripted.faults.restore(data_kept=True)
    await client.reqCurrentTimeAsync()

    assert 317 in [code for _, code in errors]
    # ib_async empties its book on 317, so nothing of the old one is left.
    assert prices(ticker.domBids) == [90.00, 89.99]


async def test_a_halt_is_reported_and_empties_the_book(
    client: ib.IB, aapl: ib.Contract, scripted: Gateway, errors: list[tuple[int, int]]
) -> None:
    ticker = client.reqMktDepth(aapl, numRows=2)
    await client.reqCurrentTimeAsync()

    scripted.tape.halt("AAPL")
    await client.reqCurrentTimeAsync()
    halted = prices(ticker.domBids)
    scripted.tape.resume("AAPL")
    await client.reqCurrentTimeAsync()

    assert (halted, [code for _, code in errors]) == ([], [316])
    assert prices(ticker.domBids) == [100.00, 99.99]


async def test_a_client_that_leaves_takes_its_books_with_it(
    client: ib.IB, aapl: ib.Contract, scripted: Gateway, dial: Callable[..., Any]
) -> None:
    client.reqMktDepth(aapl, numRows=2)
    await client.reqCurrentTimeAsync()
    watched = scripted.tape.watching("AAPL")

    client.disconnect()
    other = await dial(port=scripted.port)
    # The gateway has noticed the end of the first connection once it serves another one that asks for the time.
    other.send(49)
    await other.until("currentTime")

    assert (watched, scripted.tape.watching("AAPL")) == (1, 0)
