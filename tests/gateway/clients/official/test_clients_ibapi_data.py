"""IBKR's own client receives market data and requests history."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.gateway.clients.official.conftest import Call, MakeContract, Official, Tws

# The script's market opens at 14:00 UTC on 2026-04-13; trades were 20 to 12 seconds before.
OPENED = 1_776_088_800
BID, ASK, LAST, HIGH, LOW = 1, 2, 4, 6, 7


def _prices(calls: list[Call]) -> dict[int, float]:
    return {call["tickType"]: call["price"] for call in calls if call.name == "tickPrice"}


def test_a_line_of_quotes_begins_with_its_parameters_and_continues(
    client: Official, contract: MakeContract, tws: Tws
) -> None:
    tws.advance(0)
    first = client.all_of(lambda: client.api.reqMktData(1, contract("AAPL"), "", False, False, []))

    assert [call.name for call in first[:2]] == ["tickReqParams", "marketDataType"]
    assert (first[0]["minTick"], first[1]["marketDataType"]) == (0.01, 1)
    assert {kind: price for kind, price in _prices(first).items() if kind in (BID, ASK, LAST)} == {
        BID: 99.99,
        ASK: 100.01,
        LAST: 100.0,
    }

    later = client.all_of(lambda: tws.quote(100.09, 100.11))
    assert _prices(later) == {BID: 100.09, ASK: 100.11}

    client.all_of(lambda: client.api.cancelMktData(1))
    assert client.all_of(lambda: tws.quote(100.19, 100.21)) == []


def test_a_side_without_a_price_is_minus_one_and_size_zero(client: Official, contract: MakeContract, tws: Tws) -> None:
    client.all_of(lambda: client.api.reqMktData(1, contract("AAPL"), "", False, False, []))

    gone = client.all_of(lambda: tws.quote(99.99, None))

    assert [(call["price"]) for call in gone if call.name == "tickPrice" and call["tickType"] == ASK] == [-1.0]


def test_a_snapshot_ends(client: Official, contract: MakeContract, tws: Tws) -> None:
    tws.advance(0)
    told = client.ask(
        lambda: client.api.reqMktData(1, contract("AAPL"), "", True, False, []), "tickSnapshotEnd", reqId=1
    )

    assert _prices(told)[BID] == 99.99
    assert client.all_of(lambda: tws.quote(100.09, 100.11)) == []


def test_a_line_whose_id_is_taken_is_error_102(client: Official, contract: MakeContract) -> None:
    client.api.reqMktData(1, contract("AAPL"), "", False, False, [])

    error = client.error_of(lambda: client.api.reqMktData(1, contract("MSFT"), "", False, False, []), request_id=1)

    assert error == (102, "Duplicate ticker ID.")


def test_cancelling_an_unknown_request_is_error_300(client: Official) -> None:
    assert client.error_of(lambda: client.api.cancelMktData(99), request_id=99) == (
        300,
        "Can't find EId with tickerId:99",
    )


def test_every_trade_comes_tick_by_tick(client: Official, contract: MakeContract, tws: Tws) -> None:
    client.all_of(lambda: client.api.reqTickByTickData(1, contract("AAPL"), "AllLast", 0, False))
    tws.advance(2)

    [tick] = client.all_of(lambda: tws.trade(100.01, 40))

    assert tick.name == "tickByTickAllLast"
    assert (tick["reqId"], tick["time"], tick["price"], tick["size"]) == (1, OPENED + 2, 100.01, Decimal(40))
    assert (tick["tickAttribLast"].pastLimit, tick["tickAttribLast"].unreported) == (False, False)


def test_every_quote_and_every_middle_comes_tick_by_tick(client: Official, contract: MakeContract, tws: Tws) -> None:
    client.all_of(lambda: client.api.reqTickByTickData(1, contract("AAPL"), "BidAsk", 0, False))
    client.all_of(lambda: client.api.reqTickByTickData(2, contract("AAPL"), "MidPoint", 0, False))

    ticks = {call.name: call for call in client.all_of(lambda: tws.quote(100.02, 100.04, size=700))}

    quote, middle = ticks["tickByTickBidAsk"], ticks["tickByTickMidPoint"]
    assert (quote["bidPrice"], quote["askPrice"], quote["bidSize"], quote["askSize"]) == (100.02, 100.04, 700, 700)
    assert middle["midPoint"] == pytest.approx(100.03)
    client.all_of(lambda: client.api.cancelTickByTickData(1))
    client.all_of(lambda: client.api.cancelTickByTickData(2))
    assert client.all_of(lambda: tws.quote(100.00, 100.02)) == []


@pytest.mark.parametrize(
    ("what", "closes", "volume", "count"),
    [("TRADES", 100.0, Decimal(100), 1), ("MIDPOINT", 100.0, Decimal(-1), -1), ("BID", 99.99, Decimal(-1), -1)],
)
def test_bars_of_five_seconds_come_as_they_close(
    client: Official, contract: MakeContract, tws: Tws, what: str, closes: float, volume: Decimal, count: int
) -> None:
    client.all_of(lambda: client.api.reqRealTimeBars(1, contract("AAPL"), 5, what, False, []))

    [bar] = client.all_of(lambda: tws.advance(5))

    assert bar.name == "realtimeBar"
    assert (bar["time"], bar["open_"], bar["close"]) == (OPENED, closes, closes)
    assert (bar["volume"], bar["count"]) == (volume, count)


def _history(client: Official, contract: Any, **asked: Any) -> list[Call]:
    options = {
        "endDateTime": "", "durationStr": "30 S", "barSizeSetting": "5 secs", "whatToShow": "TRADES", "useRTH": 0,
        "formatDate": 1, "keepUpToDate": False, "chartOptions": [],
    }  # fmt: skip
    return client.ask(
        lambda: client.api.reqHistoricalData(1, contract, **{**options, **asked}), "historicalDataEnd", reqId=1
    )


def test_history_is_the_bars_of_past_events(client: Official, contract: MakeContract, tws: Tws) -> None:
    tws.advance(0)
    *calls, end = _history(client, contract("AAPL"))

    bars = [call["bar"] for call in calls if call.name == "historicalData"]
    # 200 at 99.00; then 300 at 98.00 and 500 at 99.50; nothing for ten seconds; 100 at 100.00.
    assert [(bar.date, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.barCount) for bar in bars] == [
        ("20260413 09:59:40 US/Eastern", 99.0, 99.0, 99.0, 99.0, 200, 1),
        ("20260413 09:59:45 US/Eastern", 98.0, 99.5, 98.0, 99.5, 800, 2),
        ("20260413 10:00:00 US/Eastern", 100.0, 100.0, 100.0, 100.0, 100, 1),
    ]
    # (300 x 98 + 500 x 99.5) / 800
    assert float(bars[1].wap) == pytest.approx(98.9375)
    assert (end["start"], end["end"]) == ("20260413 09:59:30 US/Eastern", "20260413 10:00:00 US/Eastern")


def test_history_without_trades_has_minus_one_where_trades_would_count(
    client: Official, contract: MakeContract, tws: Tws
) -> None:
    tws.advance(0)
    calls = _history(client, contract("AAPL"), whatToShow="MIDPOINT")

    bars = [call["bar"] for call in calls if call.name == "historicalData"]
    assert {(bar.volume, bar.wap, bar.barCount) for bar in bars} == {(-1, -1, -1)}


def test_history_is_kept_up_to_date_until_it_is_cancelled(client: Official, contract: MakeContract, tws: Tws) -> None:
    tws.advance(0)
    _history(client, contract("AAPL"), keepUpToDate=True)

    tws.trade(100.01, 300)
    updates = client.all_of(lambda: tws.advance(5))

    bars = [call["bar"] for call in updates if call.name == "historicalDataUpdate"]
    assert (bars[-1].date, bars[-1].close, bars[-1].volume) == ("20260413 10:00:00 US/Eastern", 100.01, 400)
    code, text = client.error_of(lambda: client.api.cancelHistoricalData(1), request_id=1)
    assert (code, text.split(":")[0]) == (162, "Historical Market Data Service error message")
    assert client.all_of(lambda: tws.advance(5)) == []


def test_history_that_is_not_there_is_error_162(client: Official, contract: MakeContract) -> None:
    asked: tuple[Any, ...] = ("20250101 00:00:00 UTC", "30 S", "5 secs", "TRADES", 0, 1, False, [])

    code, text = client.error_of(lambda: client.api.reqHistoricalData(1, contract("AAPL"), *asked), request_id=1)

    assert (code, text) == (
        162,
        "Historical Market Data Service error message:HMDS query returned no data: AAPL@SMART Trades",
    )


def test_the_schedule_of_a_contract_is_history_too(client: Official, contract: MakeContract) -> None:
    asked: tuple[Any, ...] = ("", "5 D", "1 day", "SCHEDULE", 1, 1, False, [])

    [told] = client.ask(lambda: client.api.reqHistoricalData(1, contract("AAPL"), *asked), "historicalSchedule")

    sessions = [(each.refDate, each.startDateTime, each.endDateTime) for each in told["sessions"]]
    # The Thursday and Friday before that Monday, which New York trades from half past nine to four.
    assert ("20260409", "20260409-09:30:00", "20260409-16:00:00") in sessions
    assert ("20260410", "20260410-09:30:00", "20260410-16:00:00") in sessions
    assert told["timeZone"] == "US/Eastern"


def test_the_beginning_of_history_is_sent_in_both_formats(client: Official, contract: MakeContract) -> None:
    api = client.api

    [told] = client.ask(lambda: api.reqHeadTimeStamp(1, contract("AAPL"), "TRADES", 0, 1), "headTimestamp")
    assert told["headTimestamp"] == "20260413-13:59:40"
    [told] = client.ask(lambda: api.reqHeadTimeStamp(2, contract("AAPL"), "TRADES", 0, 2), "headTimestamp")
    assert told["headTimestamp"] == str(OPENED - 20)
    assert client.all_of(lambda: api.cancelHeadTimeStamp(2)) == []


def test_a_histogram_has_the_volume_at_each_price(client: Official, contract: MakeContract, tws: Tws) -> None:
    tws.advance(0)
    [told] = client.ask(lambda: client.api.reqHistogramData(1, contract("AAPL"), False, "1 day"), "histogramData")

    assert [(item.price, item.size) for item in told["items"]] == [(98.0, 300), (99.0, 200), (99.5, 500), (100.0, 100)]


def test_past_trades_quotes_and_middles_are_sent_one_by_one(client: Official, contract: MakeContract, tws: Tws) -> None:
    tws.advance(0)
    api, start = client.api, "20260413 09:59:00 US/Eastern"

    def asked(request_id: int, what: str) -> None:
        api.reqHistoricalTicks(request_id, contract("AAPL"), start, "", 10, what, 0, False, [])

    [told] = client.ask(lambda: asked(1, "TRADES"), "historicalTicksLast")
    assert [(tick.time - OPENED, tick.price, tick.size) for tick in told["ticks"]] == [
        (-19, 99.0, 200),
        (-14, 98.0, 300),
        (-12, 99.5, 500),
        (0, 100.0, 100),
    ]
    assert told["done"]
    [told] = client.ask(lambda: asked(2, "BID_ASK"), "historicalTicksBidAsk")
    assert [(tick.time - OPENED, tick.priceBid, tick.priceAsk) for tick in told["ticks"]] == [
        (-20, 98.99, 99.01),
        (0, 99.99, 100.01),
    ]
    [told] = client.ask(lambda: asked(3, "MIDPOINT"), "historicalTicks")
    assert [tick.price for tick in told["ticks"]] == pytest.approx([99.0, 100.0])


@pytest.mark.parametrize("smart", [False, True])
def test_depth_shows_both_sides_from_the_best_price_on(
    client: Official, contract: MakeContract, tws: Tws, smart: bool
) -> None:
    tws.advance(0)
    exchange = "SMART" if smart else "NASDAQ"
    told = client.all_of(lambda: client.api.reqMktDepth(1, contract("AAPL", exchange=exchange), 3, smart, []))

    rows = [call for call in told if call.name in ("updateMktDepth", "updateMktDepthL2")]
    bids, asks = ([row["price"] for row in rows if row["side"] == side] for side in (1, 0))
    assert (bids[0], asks[0]) == (99.99, 100.01)
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert {row["position"] for row in rows} == {0, 1, 2}
    assert {row["operation"] for row in rows} == {0}

    moved = client.all_of(lambda: tws.quote(100.09, 100.11))
    assert any(call["price"] == 100.09 for call in moved if call.name in ("updateMktDepth", "updateMktDepthL2"))
    client.all_of(lambda: client.api.cancelMktDepth(1, smart))
    assert client.all_of(lambda: tws.quote(100.19, 100.21)) == []


def test_cancelling_depth_that_is_not_there_is_error_310(client: Official) -> None:
    assert client.error_of(lambda: client.api.cancelMktDepth(9, False), request_id=9) == (
        310,
        "Can't find the subscribed market depth with tickerId:9",
    )


def test_an_option_shows_what_it_is_worth_and_its_greeks(client: Official, contract: MakeContract, tws: Tws) -> None:
    tws.advance(0)
    chain = client.ask(
        lambda: client.api.reqSecDefOptParams(10, "AAPL", "", "STK", 265598), "securityDefinitionOptionParameterEnd"
    )[0]
    strike = min(chain["strikes"], key=lambda each: abs(each - 100))
    expiry = sorted(chain["expirations"])[-1]
    option = contract("AAPL", "OPT", "SMART", lastTradeDateOrContractMonth=expiry, strike=strike, right="C")

    client.api.reqMktData(11, option, "", False, False, [])
    told = client.wait_for("tickOptionComputation", reqId=11)

    # At the money a call moves about half as much as the share.
    assert 0.4 < told["delta"] < 0.75
    assert told["undPrice"] == pytest.approx(100, abs=0.02)
    assert told["gamma"] > 0
    assert told["vega"] > 0
    assert told["theta"] < 0
