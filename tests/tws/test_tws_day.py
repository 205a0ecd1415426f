"""The day of an order: its instrument's hours, orders that end with the day, and TWS's changes overnight."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ib_async.contract import ContractDetails

from ibdesk.clock import ManualClock
from ibdesk.model import (
    Notice,
    OrderReport,
    OrderStatus,
    Severity,
    Stock,
    TimeInForce,
    TradingHours,
    nanoseconds,
)
from ibdesk.tws.trading_hours import hours_from

AAPL = Stock("AAPL")
# Monday, 10:00 in New York.
MONDAY = nanoseconds(dt.datetime(2026, 11, 23, 15, tzinfo=dt.UTC))
HOUR = 3600 * 1_000_000_000


def utc(text: str) -> int:
    return nanoseconds(dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC))


def hours(regular: str, extended: str = "", zone: str = "US/Eastern") -> TradingHours | None:
    return hours_from(AAPL, ContractDetails(liquidHours=regular, tradingHours=extended, timeZoneId=zone), 7)


def test_the_sessions_of_a_week_with_thanksgiving() -> None:
    told = hours(
        "20261125:0930-20261125:1600;20261126:CLOSED;20261127:0930-20261127:1300",
        "20261125:0400-20261125:2000;20261126:CLOSED;20261127:0400-20261127:1700",
    )

    assert told == TradingHours(
        "AAPL",
        regular=[
            (utc("2026-11-25 14:30"), utc("2026-11-25 21:00")),
            (utc("2026-11-27 14:30"), utc("2026-11-27 18:00")),
        ],
        extended=[
            (utc("2026-11-25 09:00"), utc("2026-11-26 01:00")),
            (utc("2026-11-27 09:00"), utc("2026-11-27 22:00")),
        ],
        known_until_ns=utc("2026-11-27 18:00"),
        at_ns=7,
    )


def test_days_that_touch_are_one_session() -> None:
    told = hours("20261130:0000-20261201:0000;20261201:0000-20261202:0000", zone="UTC")

    assert told is not None
    assert told.regular == told.extended == [(utc("2026-11-30 00:00"), utc("2026-12-02 00:00"))]


def test_a_closed_day_at_the_end_is_known_to_be_closed() -> None:
    told = hours("20261127:0930-20261127:1300;20261128:CLOSED")

    assert told is not None
    assert told.known_until_ns == utc("2026-11-29 05:00")


@pytest.mark.parametrize(
    ("regular", "zone"),
    [
        ("", "US/Eastern"),
        ("20261127:0930-20261127:1300", "Nowhere/Land"),
        ("20261327:0930-20261327:1300", "US/Eastern"),
        ("20261127:0960-20261127:1300", "US/Eastern"),
        ("20261127:1600-20261127:0930", "US/Eastern"),
    ],
)
def test_hours_that_make_no_sense_are_none(regular, zone) -> None:
    assert hours(regular, zone=zone) is None


pieces = st.lists(
    st.one_of(st.sampled_from([":", "-", ";", "CLOSED", "2400"]), st.from_regex(r"\d{4}|\d{8}", fullmatch=True)),
    max_size=20,
).map("".join)


@given(pieces, pieces, st.sampled_from(["US/Eastern", "Asia/Tokyo", "UTC"]))
def test_any_hours_are_read_in_order_or_not_at_all(regular, extended, zone) -> None:
    told = hours(regular, extended, zone)

    for spans in [told.regular, told.extended] if told else []:
        flat = [instant for span in spans for instant in span]
        assert flat == sorted(set(flat))


# ---- orders that end with their day -------------------------------------------------------------------------------


@pytest.fixture
def monday() -> ManualClock:
    return ManualClock(MONDAY)


@pytest.fixture
async def overnight(start_tws, script, words, monday):
    """Returns what has a DAY order work on Monday, and TWS come back on Tuesday without a word of it."""

    async def overnight(**terms):
        running = await start_tws(script.port, clock=monday, answer_timeout_seconds=0.2, settle_seconds=0.2)
        await running.service.qualify(AAPL)
        running.service.place(words.limit("run-1", **terms))
        placed = await script.got(3)
        script.send(*words.status(placed[1], "Submitted"))
        await running.heard.next(OrderReport, status=OrderStatus.WORKING)
        monday.advance(24 * HOUR)
        script.hang_up()
        return running

    return overnight


async def test_a_day_order_that_is_nowhere_on_the_next_day_has_expired(overnight) -> None:
    running = await overnight()

    report = await running.heard.next(OrderReport, status=OrderStatus.EXPIRED)

    assert report.reason == "its day is over: TWS lists it nowhere, and the account holds what its executions say"


async def test_a_day_order_is_left_unknown_where_the_position_says_that_it_may_have_filled(overnight, script) -> None:
    share = [265598, "AAPL", "STK", "", "0.0", "", "", "NASDAQ", "USD", "AAPL", "NMS"]
    script.answers["61"] = [[61, 3, "DU9000001", *share, 10, 100.0]]

    running = await overnight()

    notice = await running.heard.next(Notice, severity=Severity.ERROR)
    while "it stays unknown" not in notice.text:
        notice = await running.heard.next(Notice, severity=Severity.ERROR)
    assert [each.status for each in running.heard.of(OrderReport)][-1] is OrderStatus.UNKNOWN


async def test_an_order_that_is_good_till_cancelled_and_is_gone_is_an_alarm(overnight) -> None:
    running = await overnight(time_in_force=TimeInForce.GTC)

    notice = await running.heard.next(Notice, severity=Severity.ERROR)
    while "it stays unknown" not in notice.text:
        notice = await running.heard.next(Notice, severity=Severity.ERROR)
    assert [each.status for each in running.heard.of(OrderReport)][-1] is OrderStatus.UNKNOWN


# ---- what TWS has changed -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, []),
        ({"tif": "GTC"}, ["is worked as GTC, where DAY was asked for"]),
        ({"lmtPrice": 99.5}, ["is worked at the limit 99.5 instead of 100, which was not asked for here"]),
        ({"totalQuantity": 7.0}, ["is worked at the quantity 7 instead of 10, which was not asked for here"]),
    ],
)
async def test_what_tws_has_changed_of_an_order_is_told_once(scripted, script, words, changes, told) -> None:
    scripted.service.place(words.limit("run-1"))
    placed = await script.got(3)
    for _ in range(2):
        script.send(*words.shown("openOrder", placed[1], "run-1", **changes))
        script.send(*words.status(placed[1], "Submitted"))
    await scripted.service.round_trip()

    texts = [notice.text for notice in scripted.heard.of(Notice) if "order run-1" in notice.text]
    assert texts == [f"order run-1: {each}" for each in told]


async def test_terms_that_were_asked_for_are_no_news(scripted, script, words) -> None:
    scripted.service.place(words.limit("run-1"))
    placed = await script.got(3)
    script.send(*words.shown("openOrder", placed[1], "run-1"))
    script.send(*words.status(placed[1], "Submitted"))
    await scripted.heard.next(OrderReport)
    scripted.service.modify(words.limit("run-1", 101.0))
    await script.got(3, 2)
    script.send(*words.shown("openOrder", placed[1], "run-1"))
    script.send(*words.shown("openOrder", placed[1], "run-1", lmtPrice=101.0))
    await scripted.service.round_trip()

    assert [notice.text for notice in scripted.heard.of(Notice) if "order run-1" in notice.text] == []


@pytest.mark.parametrize("outside", [False, True])
async def test_an_order_says_whether_it_may_trade_outside_regular_hours(tws, gateway, words, outside) -> None:
    for number in range(3):
        # ib_async writes the first, a template writes later ones.
        tws.service.place(words.limit(f"run-{number}", 50.0, outside_regular_hours=outside))
        await tws.service.round_trip()

    asked = [record.request.flag("outsideRth") for record in gateway.venue.records.values()]
    assert asked == [outside] * 3
