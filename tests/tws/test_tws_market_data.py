"""Bars, quotes, trade prints and history, as TWS sends them and as we report them."""

from __future__ import annotations

import asyncio
import datetime as dt
import math

import polars as pl
import pytest

from ibdesk.errors import HistoryError, InstrumentError
from ibdesk.model import Bar, Forex, Index, MarketHalted, Notice, Quote, Stock, Tick, instrument_of

SECOND = 10**9


async def quotes_of(scripted, script, words):
    """Subscribe to quotes of AAPL and return the request id."""
    scripted.service.subscribe_quotes(words.aapl)
    return (await script.got(1))[2]


async def test_a_quote_is_told_when_it_changed_and_only_then(scripted, script, words) -> None:
    request = await quotes_of(scripted, script, words)
    script.send(1, 6, request, 1, 100.0, 5, 1)
    first = await scripted.heard.next(Quote)
    script.send(2, 6, request, 0, 5)
    script.send(1, 6, request, 1, 100.0, 5, 1)
    script.send(1, 6, request, 2, 100.02, 3, 1)
    second = await scripted.heard.next(Quote)

    assert (first.bid, first.bid_size) == (100.0, 5)
    assert math.isnan(first.ask)
    assert (second.bid, second.ask, second.ask_size) == (100.0, 100.02, 3)


async def test_ticks_that_arrive_together_make_one_quote(scripted, script, words) -> None:
    request = await quotes_of(scripted, script, words)
    script.send(1, 6, request, 1, 100.0, 5, 1)
    script.send(1, 6, request, 2, 100.02, 5, 1)
    script.send(1, 6, request, 1, 100.03, 5, 1)
    script.send(1, 6, request, 2, 100.05, 5, 1)

    quote = await scripted.heard.next(Quote)

    assert (quote.bid, quote.ask) == (100.03, 100.05)
    assert len(scripted.heard.of(Quote)) == 1


async def test_minus_one_means_that_there_is_no_quote(scripted, script, words) -> None:
    request = await quotes_of(scripted, script, words)
    script.send(1, 6, request, 1, -1, 0, 1)
    script.send(1, 6, request, 2, 100.0, 4, 1)

    quote = await scripted.heard.next(Quote)

    assert math.isnan(quote.bid)
    assert (quote.bid_size, quote.ask) == (0, 100.0)


async def test_a_halt_is_told_when_it_begins_and_when_it_ends(scripted, script, words) -> None:
    """Tick 49: 0 means not halted, 1 and 2 are halts, -1 is unknown."""
    request = await quotes_of(scripted, script, words)
    for value in (0, -1, 1, 2, -1, 0):
        script.send(45, 6, request, 49, value)
    script.send(1, 6, request, 1, 100.0, 5, 1)
    await scripted.heard.next(Quote)

    assert [(each.instrument, each.is_halted) for each in scripted.heard.of(MarketHalted)] == [
        ("AAPL", True),
        ("AAPL", False),
    ]


async def test_the_echo_of_a_trades_size_is_no_second_trade(scripted, script, words) -> None:
    request = await quotes_of(scripted, script, words)
    script.send(1, 6, request, 4, 100.0, 7, 1)
    script.send(2, 6, request, 5, 7)
    script.send(2, 6, request, 5, 9)
    script.send(1, 6, request, 1, 99.9, 1, 1)
    await scripted.heard.next(Quote)

    assert [(tick.price, tick.size) for tick in scripted.heard.of(Tick)] == [(100.0, 7), (100.0, 9)]


async def test_delayed_ticks_are_read_like_live_ones(scripted, script, words) -> None:
    request = await quotes_of(scripted, script, words)
    script.send(4, 2, request, 10167, "Requested market data is not subscribed. Displaying delayed market data.", "")
    script.send(1, 6, request, 66, 100.0, 5, 1)
    notice = await scripted.heard.next(Notice)
    quote = await scripted.heard.next(Quote)

    assert notice.text.startswith("quotes of AAPL: Requested market data is not subscribed")
    assert quote.bid == 100.0


async def test_one_contract_has_one_subscription(scripted, script, words) -> None:
    scripted.service.subscribe_quotes(words.aapl)
    scripted.service.subscribe_quotes(words.aapl)
    scripted.service.unsubscribe_quotes(words.aapl)

    assert (await script.got(2))[2] == script.of(1)[0][2]
    assert len(script.of(1)) == 1


async def test_unknown_ticks_are_passed_over(scripted, script, words) -> None:
    request = await quotes_of(scripted, script, words)
    script.send(1, 6, request, 999, 1.0, 1, 1)
    script.send(2, 6, request, 999, 1)
    script.send(46, 6, request, 45, "1795446000")
    script.send(1, 6, request, 1, 100.0, 5, 1)

    assert (await scripted.heard.next(Quote)).bid == 100.0


async def test_bars_carry_the_start_of_their_interval(tws, gateway, words) -> None:
    tws.service.subscribe_bars(words.aapl)
    await tws.service.qualify(words.aapl)
    gateway.advance(10)

    first, second = (await tws.heard.count(Bar, 2))[:2]

    assert first.interval_ns == 5 * SECOND
    assert second.opened_ns - first.opened_ns == 5 * SECOND
    assert first.low <= first.open <= first.high


async def test_deactivated_bars_are_asked_for_again(scripted, script, words) -> None:
    scripted.service.subscribe_bars(words.aapl)
    first = (await script.got(50))[2]
    script.send(4, 2, first, 10225, "Bust event occurred, current subscription is deactivated.", "")
    second = (await script.got(50, 2))[2]
    script.send(50, 3, second, 1795446000, 1, 2, 0.5, 1.5, 100, 1.2, 3)

    bar = await scripted.heard.next(Bar)

    scripted.service.unsubscribe_bars(words.aapl)
    assert (await script.got(51, 2))[2] == second != first
    assert (bar.opened_ns, bar.close, bar.volume) == (1795446000 * SECOND, 1.5, 100)


async def test_history_ends_with_the_last_complete_bar(tws, gateway, words) -> None:
    gateway.advance(7)

    frame = await tws.service.history(words.aapl, interval_ns=5 * SECOND, count=20)

    assert frame.height == 20
    last = frame["opened_at"].dt.epoch("ns")[-1]
    assert last + 5 * SECOND <= gateway.schedule.now_ns < last + 10 * SECOND
    assert frame["opened_at"].is_sorted()


async def test_history_by_time_reaches_back_so_far(tws, gateway, words) -> None:
    now = gateway.schedule.now_ns

    frame = await tws.service.history(words.aapl, interval_ns=60 * SECOND, seconds=3600)

    opened = frame["opened_at"].dt.epoch("ns")
    assert opened.min() == now - 3600 * SECOND
    assert frame.height == 60


async def test_history_that_needs_many_answers_is_asked_for_in_pages(tws, gateway, words) -> None:
    before = tws.service.health.messages_sent

    frame = await tws.service.history(words.aapl, interval_ns=5 * SECOND, count=2000)

    assert frame.height == 2000
    assert frame["opened_at"].n_unique() == 2000
    # 2,000 bars of five seconds are 10,000 s, and TWS gives 3,600 s of them at once.
    assert tws.service.health.messages_sent - before >= 3


async def test_a_night_without_bars_is_not_the_end_of_a_history(scripted, script, words) -> None:
    # Tuesday 2024-01-09, half an hour from 09:00 in New York: the pages lie in the morning and the night before.
    end = int(dt.datetime(2024, 1, 9, 14, 30, 2, tzinfo=dt.UTC).timestamp()) * SECOND
    asking = asyncio.create_task(scripted.service.history(words.aapl, interval_ns=SECOND, count=3, end_ns=end))
    first = await script.got(20)
    script.send(17, first[1], "", "", 2, *_bar(1704810600), *_bar(1704810601))
    second = await script.got(20, 2)
    script.send(4, 2, second[1], 162, "Historical Market Data Service error message:HMDS query returned no data", "")
    third = await script.got(20, 3)
    script.send(17, third[1], "", "", 1, *_bar(1704747599))

    frame = await asking

    # The third page ends at Monday's close, 16:00 in New York.
    assert "20240108-21:00:00" in third
    assert frame["opened_at"].dt.epoch("s").to_list() == [1704747599, 1704810600, 1704810601]


async def test_a_history_that_begins_ends_after_a_few_empty_pages(scripted, script, words) -> None:
    end = int(dt.datetime(2024, 1, 9, 20, 0, 1, tzinfo=dt.UTC).timestamp()) * SECOND
    asking = asyncio.create_task(scripted.service.history(words.aapl, interval_ns=SECOND, seconds=80_000, end_ns=end))
    first = await script.got(20)
    script.send(17, first[1], "", "", 1, *_bar(1704830400))
    for number in range(2, 6):
        page = await script.got(20, number)
        script.send(4, 2, page[1], 162, "Historical Market Data Service error message:HMDS query returned no data", "")

    assert (await asking)["opened_at"].dt.epoch("s").to_list() == [1704830400]
    assert len(script.of(20)) == 5


def _bar(opened: int) -> list[object]:
    return [opened, 100.0, 101.0, 99.0, 100.5, 7, 100.2, 3]


async def test_history_before_an_instant_ends_there(tws, gateway, words) -> None:
    end = gateway.schedule.now_ns - 600 * SECOND

    frame = await tws.service.history(words.aapl, interval_ns=60 * SECOND, count=5, end_ns=end)

    assert frame["opened_at"].dt.epoch("ns").to_list() == [end - (5 - i) * 60 * SECOND for i in range(5)]


async def test_a_day_that_is_not_over_is_left_out(tws, words) -> None:
    frame = await tws.service.history(words.aapl, interval_ns=86_400 * SECOND, count=5)

    # It is Monday; the last complete day is Friday.
    assert frame["opened_at"].dt.date().to_list()[-1].isoformat() == "2026-11-20"
    assert frame.select(pl.col("symbol").unique()).item() == "AAPL"


async def test_bars_that_tws_does_not_serve_are_refused_before_asking(tws, words) -> None:
    with pytest.raises(HistoryError, match=r"bars of 7 s: it has 1 secs, 5 secs"):
        await tws.service.history(words.aapl, interval_ns=7 * SECOND, count=5)
    with pytest.raises(HistoryError, match="either count or seconds"):
        await tws.service.history(words.aapl, interval_ns=5 * SECOND)


async def test_an_instrument_must_be_qualified_first(tws) -> None:
    with pytest.raises(InstrumentError, match="MSFT is not qualified"):
        tws.service.subscribe_bars(Stock("MSFT"))


async def test_qualifying_fills_in_what_tws_knows(tws) -> None:
    stock = await tws.service.qualify(Stock("AAPL", tick_size=1.0))
    pair = await tws.service.qualify(instrument_of("EUR.USD"))

    assert (stock.tick_size, stock.exchange, stock.session.opens, stock.session.closes) == (0.01, "SMART", 570, 960)
    assert isinstance(pair, Forex)
    assert (pair.id, pair.exchange) == ("EUR.USD", "IDEALPRO")


async def test_an_unknown_instrument_is_named(tws) -> None:
    with pytest.raises(InstrumentError, match=r"no index NOSUCH-IND in USD on CBOE: .*\(TWS error 200\)"):
        await tws.service.qualify(Index("NOSUCH"))


async def test_an_ambiguous_instrument_is_told_with_its_candidates(scripted, script) -> None:
    script.answers["9"] = [[10, scripted.service.next_order_id, *two] for two in _two_contracts()]

    with pytest.raises(InstrumentError, match="ES is ambiguous, TWS knows 3 of it"):
        await scripted.service.qualify(Stock("ES"))


def _two_contracts() -> list[list[object]]:
    head = ["ES", "STK", "", "0", "", "SMART", "USD", "ES", "NMS", "NMS"]
    tail = ["0.01", "", "", "SMART", 1, 0, "ES", "NYSE", "", "", "", "", "US/Eastern", "", "", "", "0", 0, 1]
    return [[*head, number, *tail, "", "", "26", "", "COMMON", "1", "1", "100"] for number in (1, 2)]
