"""The order in which a bar reaches orders, and the fills of orders that arrive inside it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.exchange.conftest import fills, meet, order_of, statuses

from ibdesk.exchange import Exchange, NoCommission, TickSlippage, VenueEvent
from ibdesk.model import Bar, Fill, Order, OrderStatus, Side, Stock, TimeInForce

BUY, SELL = Side.BUY, Side.SELL
MINUTE = 60_000_000_000

MakeOrder = Callable[..., Order]


def bar(open_: float, high: float, low: float, close: float, *, symbol: str = "AAPL") -> Bar:
    return Bar(symbol, 0, MINUTE, open_, high, low, close, 1000)


def test_each_way_is_met_from_its_near_end(exchange: Exchange, make_order: MakeOrder) -> None:
    for limit in (97, 99, 98):
        exchange.place_order(make_order(BUY, limit=limit), 0)

    assert fills(meet(exchange, bar(100, 100, 96, 99))) == [(100, 99), (100, 98), (100, 97)]


def test_an_entry_on_the_way_to_a_stop_comes_before_it(exchange: Exchange, make_order: MakeOrder) -> None:
    exchange.place_order(make_order(SELL, stop=97), 0)
    exchange.place_order(make_order(BUY, limit=99), 0)

    assert fills(meet(exchange, bar(100, 100, 96, 99))) == [(100, 99), (100, 97)]


def test_a_way_with_a_stop_comes_before_one_without(exchange: Exchange, make_order: MakeOrder) -> None:
    exchange.place_order(make_order(SELL, limit=103), 0)
    exchange.place_order(make_order(BUY, limit=99), 0)
    exchange.place_order(make_order(SELL, stop=98.5), 0)

    # Down to the stop; the limit of the same side then waits, so that stop and target do not both fill.
    assert fills(meet(exchange, bar(100, 104, 98, 100))) == [(100, 99), (100, 98.5)]


def test_of_two_limits_the_one_that_looks_worse_at_the_close_comes_first(
    exchange: Exchange, make_order: MakeOrder
) -> None:
    exchange.place_order(make_order(SELL, limit=103), 0)
    exchange.place_order(make_order(BUY, limit=99), 0)

    # At the close of 100 the purchase has gained 1 and the sale 3.
    assert fills(meet(exchange, bar(100, 104, 98, 100))) == [(100, 99), (100, 103)]


@pytest.mark.parametrize(
    ("side", "terms", "expected"),
    [
        # The fill before was at 99 on the way from 100 to 95; the close is 98.
        (SELL, {"stop": 97}, 97),
        (SELL, {"stop": 95}, 95),
        (SELL, {"stop": 94}, None),
        (SELL, {"stop": 99.5}, 98),  # over already: at the worse of 99 and 98
        (SELL, {}, 98),
        (BUY, {}, 99),
        (BUY, {"stop": 100.5}, 100.5),  # the high may have come after
        (BUY, {"stop": 101}, None),
        (BUY, {"limit": 99.5}, 99),  # better than asked already
        (BUY, {"limit": 98.5}, 98.5),  # the close is through it
        (BUY, {"limit": 98}, None),
        (BUY, {"limit": 96}, None),  # the low of 95 may have come before
        (SELL, {"limit": 97}, 98),
        (SELL, {"limit": 100}, None),  # the high may have come before
        (SELL, {"stop": 97.5, "limit": 97}, 97.5),
        (SELL, {"stop": 97.5, "limit": 98.5}, None),
        (BUY, {"stop": 99.2, "limit": 99.1}, 99.1),  # up to 99.2, and down to the close through 99.1
    ],
)
def test_an_order_that_answers_a_fill_meets_the_rest_of_the_bar(
    exchange: Exchange, make_order: MakeOrder, side: Side, terms: dict[str, float], expected: float | None
) -> None:
    exchange.place_order(make_order(BUY, limit=99), 0)
    happenings = exchange.meet_bars([bar(100, 100.5, 95, 98)])
    assert fills(next(happenings)) == [(100, 99)]

    exchange.place_order(make_order(side, **terms), MINUTE)

    rest = [event for happening in happenings for event in happening]
    assert fills(rest) == ([] if expected is None else [(100, expected)])


def test_other_prices_meet_the_rest_of_the_bar_as_a_new_order_does(exchange: Exchange, make_order: MakeOrder) -> None:
    exchange.place_order(make_order(BUY, limit=99), 0)
    waiting = make_order(BUY, limit=90)
    exchange.place_order(waiting, 0)
    happenings = exchange.meet_bars([bar(100, 100.5, 95, 98)])
    next(happenings)

    exchange.modify_order(waiting.id, quantity=100, limit_price=96, stop_price=None, at_ns=MINUTE)

    # The low of 95 may have come before the change.
    assert list(happenings) == []


def test_another_size_takes_nothing_from_an_order(exchange: Exchange, make_order: MakeOrder) -> None:
    exchange.place_order(make_order(BUY, limit=99), 0)
    waiting = make_order(BUY, limit=96)
    exchange.place_order(waiting, 0)
    happenings = exchange.meet_bars([bar(100, 100.5, 95, 98)])
    next(happenings)

    exchange.modify_order(waiting.id, quantity=50, limit_price=96, stop_price=None, at_ns=MINUTE)
    exchange.place_order(make_order(BUY, limit=90), MINUTE)

    assert fills(next(happenings)) == [(50, 96)]


def test_a_way_that_was_gone_does_not_come_again(exchange: Exchange, make_order: MakeOrder) -> None:
    exchange.place_order(make_order(BUY, limit=99), 0)
    happenings = exchange.meet_bars([bar(100, 103, 95, 100)])
    next(happenings)
    # Stop and reverse: down to 97, up to 102, and then only the close of 100 is still to come.
    exchange.place_order(make_order(SELL, 200, stop=97), MINUTE)
    assert fills(next(happenings)) == [(200, 97)]
    exchange.place_order(make_order(BUY, 200, stop=102), MINUTE)
    assert fills(next(happenings)) == [(200, 102)]
    exchange.place_order(make_order(SELL, 200, stop=97), MINUTE)
    exchange.place_order(make_order(SELL, 200, stop=101), MINUTE)

    assert fills(next(happenings)) == [(200, 101)]
    assert list(happenings) == []


def test_immediate_or_cancel_inside_a_bar_trades_at_once_or_never(exchange: Exchange, make_order: MakeOrder) -> None:
    exchange.place_order(make_order(BUY, limit=99), 0)
    happenings = exchange.meet_bars([bar(100, 100.5, 95, 98)])
    next(happenings)

    exchange.place_order(make_order(BUY, limit=98.5, time_in_force=TimeInForce.IOC), MINUTE)
    exchange.place_order(make_order(SELL, time_in_force=TimeInForce.IOC), MINUTE)

    rest = [event for happening in happenings for event in happening]
    assert statuses(rest) == [OrderStatus.CANCELLED, OrderStatus.FILLED]
    assert fills(rest) == [(100, 98)]


def test_bars_of_several_instruments_open_before_anything_happens_inside(make_order: MakeOrder) -> None:
    exchange = Exchange(commissions=NoCommission())
    for symbol in ("AAPL", "MSFT"):
        exchange.add_instrument(Stock(symbol))
    exchange.place_order(make_order(BUY, limit=9.5), 0)
    exchange.place_order(make_order(BUY, instrument="MSFT"), 0)

    bars = [bar(10, 12, 9, 11), bar(20, 22, 19, 21, symbol="MSFT")]
    met = [event.instrument for events in exchange.meet_bars(bars) for event in events if isinstance(event, Fill)]

    assert met == ["MSFT", "AAPL"]


# --- laws

TICKS = st.integers(9_000, 11_000)


@st.composite
def any_bar(draw: st.DrawFn) -> Bar:
    low, high = sorted((draw(TICKS), draw(TICKS)))
    inside = st.integers(low, high)
    return bar(draw(inside) / 100, high / 100, low / 100, draw(inside) / 100)


ANY_TERMS = st.fixed_dictionaries(
    {
        "side": st.sampled_from(Side),
        "limit": st.none() | TICKS.map(lambda ticks: ticks / 100),
        "stop": st.none() | TICKS.map(lambda ticks: ticks / 100),
        "time_in_force": st.sampled_from(TimeInForce),
    }
)


@pytest.mark.slow
@settings(deadline=None, max_examples=300)
@given(bars=st.lists(any_bar(), min_size=1, max_size=4), waiting=st.lists(ANY_TERMS, max_size=5), data=st.data())
def test_every_fill_lies_inside_its_bar_and_keeps_its_limit(
    bars: list[Bar], waiting: list[dict[str, Any]], data: st.DataObject
) -> None:
    numbers = itertools.count(1)
    exchange = Exchange(commissions=NoCommission(), slippage=TickSlippage(data.draw(st.integers(0, 400))))
    exchange.add_instrument(Stock("AAPL"))
    # An answer to each of the first fills.
    answers = data.draw(st.lists(st.lists(ANY_TERMS, max_size=2), max_size=6))

    def place(terms: dict[str, Any], at_ns: int) -> None:
        exchange.place_order(order_of(f"run.{next(numbers)}", **terms), at_ns)

    for terms in waiting:
        place(terms, 0)
    for met in bars:
        for events in exchange.meet_bars([met]):
            for fill in events:
                if not isinstance(fill, Fill):
                    continue
                assert met.low <= fill.price <= met.high
                order = exchange.order(fill.order_id)
                assert order is not None
                if order.limit_price is not None:
                    assert (fill.price - order.limit_price) * fill.side.sign <= 0
                for terms in answers.pop() if answers else ():
                    place(terms, fill.at_ns)


@settings(deadline=None, max_examples=100, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(met=any_bar(), first=ANY_TERMS, again=st.lists(ANY_TERMS, min_size=1, max_size=3))
def test_a_bar_ends_although_every_fill_is_answered(
    met: Bar, first: dict[str, Any], again: list[dict[str, Any]]
) -> None:
    numbers, exchange = itertools.count(2), Exchange(commissions=NoCommission())
    exchange.add_instrument(Stock("AAPL"))
    exchange.place_order(order_of("run.1", **first), 0)
    happened: list[list[VenueEvent]] = []
    for events in exchange.meet_bars([met]):
        happened.append(events)
        assert len(happened) < 1_000
        for terms in again if fills(events) else ():
            exchange.place_order(order_of(f"run.{next(numbers)}", **terms), MINUTE)
