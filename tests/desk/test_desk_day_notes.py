"""The prices at which the day's loss counts are journaled each minute, and when a desk ends."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest

from ibdesk.clock import ManualClock
from ibdesk.desk.day_notes import DayNotes
from ibdesk.engine import Engine, RiskLimits
from ibdesk.model import (
    DayBegan,
    Event,
    Fill,
    PlaceOrder,
    PlaceRequest,
    Quote,
    Side,
    Stock,
    WatchMarket,
    nanoseconds,
)
from ibdesk.strategy import Strategy

SECOND = 1_000_000_000
TUESDAY = nanoseconds(dt.datetime(2026, 3, 10, 14, tzinfo=dt.UTC))


class Table:
    """An engine, a clock moved by hand, and what is noted."""

    def __init__(self, limits: RiskLimits) -> None:
        self.engine = Engine(strategies=lambda _: Strategy(), limits=limits)
        self.clock = ManualClock(TUESDAY)
        self.noted: list[DayBegan] = []
        self.notes = DayNotes(self.engine, self.clock, self._turn)
        self.engine.handle(WatchMarket(Stock("AAPL"), TUESDAY))

    def _turn(self, event: Event) -> None:
        assert isinstance(event, DayBegan)
        self.noted.append(event)
        self.engine.handle(event)

    def hold(self, quantity: float, price: float) -> None:
        at_ns = self.clock.now_ns()
        order = PlaceRequest(order_id="m1", instrument=Stock("AAPL"), side=Side.BUY, quantity=quantity, at_ns=at_ns)
        [placed] = [action.order for action in self.engine.handle(order) if isinstance(action, PlaceOrder)]
        self.engine.handle(
            Fill(
                execution_id="e1",
                order_id=placed.id,
                instrument="AAPL",
                side=Side.BUY,
                quantity=quantity,
                price=price,
                at_ns=at_ns,
            )
        )

    def after(self, seconds: int, price: float) -> list[dict[str, float]]:
        """Return which prices are noted after a quote that comes so much later."""
        self.noted.clear()
        self.clock.advance(seconds * SECOND)
        self.engine.handle(Quote("AAPL", self.clock.now_ns(), price, price, 1.0, 1.0))
        self.notes.look()
        return [day.valuation.prices for day in self.noted]


@pytest.fixture
def table() -> Table:
    return Table(dataclasses.replace(RiskLimits.none(), max_daily_loss=1_000.0))


def test_the_price_of_what_is_held_is_noted_each_minute(table: Table) -> None:
    assert table.after(1, 10.0) == [{}]
    table.hold(10, 10.0)

    assert table.after(59, 11.0) == []
    assert table.after(1, 12.0) == [{"AAPL": 12.0}]
    assert table.after(59, 13.0) == []
    assert table.after(1, 14.0) == [{"AAPL": 14.0}]


def test_one_that_has_not_changed_is_not_noted_again(table: Table) -> None:
    table.after(1, 10.0)
    table.hold(10, 10.0)
    assert table.after(60, 11.0) == [{"AAPL": 11.0}]

    assert table.after(60, 11.0) == []
    assert table.after(60, 11.5) == [{"AAPL": 11.5}]


def test_nothing_is_noted_by_the_minute_while_nothing_is_held(table: Table) -> None:
    table.after(1, 10.0)

    assert table.after(120, 11.0) == []


def test_prices_are_noted_when_a_desk_ends(table: Table) -> None:
    table.after(1, 10.0)
    table.hold(10, 10.0)
    table.after(60, 11.0)
    table.after(5, 12.0)

    table.notes.close()

    assert [day.valuation.prices for day in table.noted] == [{"AAPL": 12.0}]


def test_nothing_is_noted_where_no_day_is_counted() -> None:
    table = Table(RiskLimits.none())
    table.hold(10, 10.0)

    assert table.after(60, 11.0) == []
    table.notes.close()
    assert table.noted == []
