"""Every order type beyond the exchange's four, over the wire, in a market that each test sets quote by quote."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.clock import ManualClock
from ibdesk.gateway import Gateway
from ibdesk.gateway.market.script import MarketScript
from ibdesk.gateway.venue.kinds import KINDS, Shape
from ibdesk.gateway.venue.terms import OrderTerms
from ibdesk.model import Quote, Side, Stock, nanoseconds

# The gateway of these tests starts on Monday, 13 April 2026 at 10:00 New York; the close is six hours later.
TO_THE_CLOSE = 6 * 3600


@pytest.fixture
def market() -> MarketScript:
    return MarketScript().quote("AAPL", 100.00, 100.02, at=0)


# ---- trailing stops -------------------------------------------------------------------------------------------


async def test_a_trailing_sale_follows_the_bid_up_and_sells_when_it_turns(trader: Any, gateway: Gateway) -> None:
    trader.place(1, "TRAIL", "SELL", auxPrice=1.0)
    assert await trader.told() == ["order 1 PreSubmitted", "status 1 PreSubmitted trigger"] * 2

    # The stop begins at 100 - 1 = 99; a bid of 103 takes it to 102, and there it stays when the bid falls to 102.50.
    gateway.quote("AAPL", 103.00, 103.02)
    gateway.quote("AAPL", 102.50, 102.52)
    trader.wire.send(5)
    await trader.told()
    assert (trader.shown[-1]["auxPrice"], trader.shown[-1]["trailStopPrice"]) == ("1.0", "102.0")

    gateway.quote("AAPL", 101.90, 101.92)

    assert (await trader.told())[2:3] == ["execution 1 SLD 10 @ 101.9"]


async def test_a_trailing_purchase_in_per_cent_follows_the_ask_down(trader: Any, gateway: Gateway) -> None:
    trader.place(1, "TRAIL", trailingPercent=2)
    await trader.told()

    # 50.00 and two per cent are 51.00; the ask that follows is no higher, the one after is.
    gateway.quote("AAPL", 49.98, 50.00)
    gateway.quote("AAPL", 50.97, 50.99)
    assert await trader.status(1) == "PreSubmitted"
    gateway.quote("AAPL", 50.98, 51.00)

    assert await trader.status(1) == "Filled 10"
    assert trader.executions[0]["price"] == "51"


async def test_a_trailing_stop_begins_at_its_own_stop_price(trader: Any, gateway: Gateway) -> None:
    trader.place(1, "TRAIL", "SELL", auxPrice=5.0, trailStopPrice=99.50)
    await trader.told()

    gateway.quote("AAPL", 99.50, 99.52)

    assert await trader.status(1) == "Filled 10"


async def test_a_trailing_stop_limit_rests_at_its_limit_once_triggered(trader: Any, gateway: Gateway) -> None:
    trader.place(1, "TRAIL LIMIT", "SELL", auxPrice=1.0, lmtPriceOffset=0.5)
    await trader.told()

    # The bid of 102 takes the stop to 101 and the limit to 100.50; at 100.20 it is triggered and cannot trade.
    gateway.quote("AAPL", 102.00, 102.02)
    gateway.quote("AAPL", 100.20, 100.22)
    assert await trader.status(1) == "Submitted"
    assert (trader.shown[-1]["lmtPrice"], trader.shown[-1]["lmtPriceOffset"]) == ("100.5", "0.5")
    gateway.quote("AAPL", 100.60, 100.62)

    assert await trader.status(1) == "Filled 10"
    assert trader.executions[0]["price"] == "100.6"


@given(
    side=st.sampled_from(Side),
    amount=st.integers(1, 500),
    bids=st.lists(st.integers(1_000, 20_000), min_size=1, max_size=20),
)
def test_a_trailing_stop_never_moves_away_from_the_market(side: Side, amount: int, bids: list[int]) -> None:
    kind, terms, before = KINDS["TRAIL"], OrderTerms(kind="TRAIL", aux=amount / 100), None
    for bid in bids:
        quote = Quote("AAPL", 0, bid / 100, (bid + 2) / 100)
        shape = kind.shape(terms, side, Stock("AAPL"), quote, before)
        assert shape is not None
        assert shape.stop is not None
        if before is not None and before.stop is not None:
            assert side.sign * (before.stop - shape.stop) >= 0
        # It is never farther away than its distance plus half a tick of rounding.
        market = quote.ask if side is Side.BUY else quote.bid
        assert side.sign * (shape.stop - market) <= amount / 100 + 0.0051
        before = Shape(shape.type, stop=shape.stop)


# ---- if touched -----------------------------------------------------------------------------------------------


async def test_a_market_if_touched_purchase_waits_for_the_market_to_fall(trader: Any, gateway: Gateway) -> None:
    trader.place(1, "MIT", auxPrice=99.00)
    assert await trader.told() == ["order 1 PreSubmitted", "status 1 PreSubmitted trigger"] * 2

    gateway.quote("AAPL", 98.99, 99.01)
    assert await trader.told() == []
    gateway.quote("AAPL", 98.90, 98.92)

    assert (await trader.told())[:3] == ["order 1 Submitted", "status 1 Submitted", "execution 1 BOT 10 @ 98.92"]


async def test_a_limit_if_touched_sale_becomes_a_limit_order(trader: Any, gateway: Gateway) -> None:
    trader.place(1, "LIT", "SELL", auxPrice=101.00, lmtPrice=101.50)
    await trader.told()

    gateway.quote("AAPL", 101.00, 101.02)
    assert await trader.status(1) == "Submitted"
    gateway.quote("AAPL", 101.60, 101.62)

    assert await trader.status(1) == "Filled 10"
    assert trader.executions[0]["price"] == "101.6"


# ---- the closing auction --------------------------------------------------------------------------------------


async def test_a_market_on_close_order_trades_at_the_close(trader: Any, gateway: Gateway) -> None:
    trader.place(1, "MOC")
    assert await trader.told() == ["order 1 PreSubmitted", "status 1 PreSubmitted"]

    gateway.advance(TO_THE_CLOSE - 1)
    gateway.quote("AAPL", 105.00, 105.02)
    assert await trader.told() == []
    gateway.advance(1)

    assert (await trader.told())[0] == "execution 1 BOT 10 @ 105.02"
    assert trader.executions[0]["time"] == "20260413 16:00:00 US/Eastern"


@pytest.mark.parametrize(("limit", "status"), [(100.02, "Filled 10"), (100.01, "Cancelled")])
async def test_a_limit_on_close_order_trades_within_its_limit_or_ends(
    trader: Any, gateway: Gateway, limit: float, status: str
) -> None:
    trader.place(1, "LOC", lmtPrice=limit)
    await trader.told()

    gateway.advance(TO_THE_CLOSE)

    assert await trader.status(1) == status


# ---- pegged ---------------------------------------------------------------------------------------------------


async def test_a_relative_purchase_stays_ahead_of_the_bid_and_does_not_follow_it_down(
    trader: Any, gateway: Gateway
) -> None:
    trader.place(1, "REL", auxPrice=0.01, lmtPrice=100.50)
    assert await trader.status(1) == "Submitted"

    # Its limit is 100.01; a bid of 100.30 takes it to 100.31, one of 101.00 no farther than 100.50.
    gateway.quote("AAPL", 100.30, 100.34)
    gateway.quote("AAPL", 99.00, 100.32)
    assert await trader.status(1) == "Submitted"
    gateway.quote("AAPL", 99.00, 100.31)

    assert await trader.status(1) == "Filled 10"


async def test_a_relative_order_stops_at_its_limit(trader: Any, gateway: Gateway) -> None:
    trader.place(1, "REL", auxPrice=0.01, lmtPrice=100.50)
    await trader.told()

    gateway.quote("AAPL", 101.00, 101.10)
    gateway.quote("AAPL", 100.40, 100.51)
    assert await trader.status(1) == "Submitted"
    gateway.quote("AAPL", 100.40, 100.50)

    assert await trader.status(1) == "Filled 10"


async def test_a_midprice_order_follows_the_middle_both_ways(trader: Any, gateway: Gateway) -> None:
    trader.place(1, "MIDPRICE")
    await trader.told()

    # The middles are 100.01, 110.00 and 109.92: an ask of 109.99 does not meet it any more, one of 109.92 does.
    gateway.quote("AAPL", 109.90, 110.10)
    gateway.quote("AAPL", 109.80, 110.04)
    gateway.quote("AAPL", 109.85, 109.99)
    assert await trader.status(1) == "Submitted"
    gateway.quote("AAPL", 109.85, 109.92)

    assert await trader.status(1) == "Filled 10"
    assert trader.executions[0]["price"] == "109.92"


# ---- market to limit ------------------------------------------------------------------------------------------


class TestDisplayedSize:
    """With `partial` an execution takes at most the displayed size, whatever the type."""

    @pytest.fixture
    async def gateway(self, market: MarketScript) -> AsyncIterator[Gateway]:
        opened_at = dt.datetime(2026, 4, 13, 14, 0, tzinfo=dt.UTC)
        async with Gateway(market=market, clock=ManualClock(nanoseconds(opened_at)), partial=True) as running:
            yield running

    async def test_the_rest_of_a_market_to_limit_order_rests_at_the_price_it_got(
        self, trader: Any, gateway: Gateway
    ) -> None:
        gateway.quote("AAPL", 100.00, 100.02, ask_size=4)
        trader.place(1, "MTL")
        assert await trader.status(1) == "Submitted 4"

        gateway.quote("AAPL", 100.03, 100.05, ask_size=100)
        assert await trader.status(1) == "Submitted 4"
        gateway.quote("AAPL", 100.00, 100.02, ask_size=100)

        assert await trader.status(1) == "Filled 10"

    async def test_a_triggered_stop_takes_the_displayed_size_quote_by_quote(
        self, trader: Any, gateway: Gateway
    ) -> None:
        trader.place(1, "TRAIL", "SELL", auxPrice=1.0)
        await trader.told()
        gateway.quote("AAPL", 98.90, 98.92, bid_size=3)
        gateway.quote("AAPL", 98.80, 98.82, bid_size=5)

        assert await trader.status(1) == "Submitted 8"
        assert trader.statuses[-1]["remaining"] == "2"
        # Three at 98.90 and five at 98.80 are 790.70 for eight.
        assert float(trader.statuses[-1]["avgFillPrice"]) == pytest.approx(98.8375)

    async def test_a_fill_or_kill_order_fills_only_whole(self, trader: Any, gateway: Gateway) -> None:
        gateway.quote("AAPL", 100.00, 100.02, ask_size=9)

        trader.place(1, "LMT", tif="FOK", lmtPrice=100.02)
        trader.place(2, "LMT", size=9, tif="FOK", lmtPrice=100.02)

        assert await trader.status(1) == "Inactive"
        assert await trader.status(2) == "Filled 9"

    async def test_the_rest_of_an_immediate_order_is_cancelled(self, trader: Any, gateway: Gateway) -> None:
        gateway.quote("AAPL", 100.00, 100.02, ask_size=4)

        trader.place(1, "MKT", tif="IOC")

        assert await trader.status(1) == "Cancelled 4"


# ---- refusals -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "more", "code"),
    [
        ("PEG MID", {}, 387),
        ("TRAIL", {}, 321),
        ("TRAIL LIMIT", {"auxPrice": 1.0}, 321),
        ("MIT", {}, 321),
        ("LIT", {"auxPrice": 1.0}, 321),
        ("MIT", {"auxPrice": 99.995}, 110),
        ("MOC", {"tif": "GTC"}, 113),
        ("STP", {"auxPrice": 99.0, "tif": "OPG"}, 111),
        ("LMT", {"lmtPrice": 99.0, "tif": "GTD"}, 334),
        ("LMT", {"lmtPrice": 99.0, "tif": "NEVER"}, 321),
        ("LMT", {"lmtPrice": 99.0, "ocaType": 7, "ocaGroup": "x"}, 321),
    ],
)
async def test_terms_that_make_no_order_are_refused(trader: Any, kind: str, more: dict[str, Any], code: int) -> None:
    trader.place(1, kind, **more)

    assert await trader.told() == [f"error 1 {code}"]


async def test_an_order_becomes_another_type_unless_one_of_them_is_pegged_or_for_an_auction(trader: Any) -> None:
    trader.place(1, "LMT", "SELL", lmtPrice=200)
    await trader.told()

    trader.place(1, "TRAIL", "SELL", auxPrice=1.0)
    assert await trader.told() == ["order 1 PreSubmitted", "status 1 PreSubmitted trigger"] * 2
    trader.place(1, "REL", "SELL", auxPrice=0.01)
    assert await trader.told() == ["error 1 329"]
    trader.place(1, "MKT", "SELL")

    assert await trader.status(1) == "Filled 10"
