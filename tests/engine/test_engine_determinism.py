"""The same events give the same actions, byte for byte: here, there, and in another process."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ibdesk.engine import Engine, RiskLimits
from ibdesk.model import (
    Bar,
    CancelRequest,
    ChangeLimits,
    ChangeParameters,
    Commission,
    Event,
    Fill,
    HaltTrading,
    Link,
    LinkChanged,
    ModifyRequest,
    OrderReport,
    OrderStatus,
    OrderType,
    PlaceRequest,
    PositionReport,
    Quote,
    ResumeTrading,
    Side,
    StartStrategy,
    Stock,
    StopStrategy,
    TimerFired,
    WatchMarket,
    decode_event,
    encode_actions,
    encode_event,
    moment,
)
from ibdesk.strategy import StrategyRegistry, load_strategy

SECOND = 1_000_000_000
TEN = 1_773_151_200 * SECOND
BUSY = '''
import polars as pl
from ibdesk import Bar, Field, Fill, Order, Quote, Severity, Strategy, ema


class Busy(Strategy):
    """Does something of everything."""

    span: int = Field(3, ge=1)

    def features(self) -> dict[str, pl.Expr]:
        return {"average": ema("close", self.span)}

    def on_start(self) -> None:
        self.state["bars"] = {symbol: 0 for symbol in self.symbols}
        self.after(5.0, "first")

    def on_bar(self, bar: Bar) -> None:
        self.state["bars"][bar.instrument] += 1
        for symbol in set(self.symbols) | {"more", bar.instrument}:
            self.log(symbol)
        average = self.feature("average", bar.instrument)
        for order in self.open_orders(bar.instrument):
            if order.stop_price is None:
                self.cancel(order.id)
            else:
                self.modify(order.id, stop=bar.close * 0.9)
        if average is not None:
            self.order_target(bar.instrument, round(100 * (bar.close - average)))
            self.buy(bar.instrument, 10, limit=bar.close * 0.99)

    def on_fill(self, fill: Fill) -> None:
        self.sell(fill.instrument, fill.quantity, stop=fill.price * 0.95)
        self.log(f"{fill.execution_id} {self.cash:.6f} {self.position(fill.instrument).average_price:.6f}")

    def on_order(self, order: Order) -> None:
        if order.status.is_final:
            self.log(order.reason or order.status.value, severity=Severity.WARNING)

    def on_timer(self, name: str) -> None:
        self.after(7.5, name)

    def on_stop(self) -> None:
        self.log(str(self.state))
'''
SYMBOLS = ("AAPL", "GOOG")
LIMITS = RiskLimits(max_order_shares=500, max_position_shares=800, max_orders_per_second=15, max_daily_loss=400)


def events_of(draws: Sequence[tuple[int, int, int]], start: StartStrategy) -> list[Event]:
    """A history made of numbers: the kind of event, the instrument or order, and a figure."""
    events: list[Event] = [start]
    first_halt = ""
    for number, (what, which, figure) in enumerate(draws):
        at_ns, symbol, order_id = TEN + number * SECOND, SYMBOLS[which % 2], f"busy.{which + 1}"
        price = 100.0 + figure / 8
        made: list[Event] = [
            Bar(symbol, at_ns - 5 * SECOND, 5 * SECOND, price, price + 1, price - 1, price, 10.0),
            Bar(symbol, at_ns - 5 * SECOND, 5 * SECOND, price, price + 2, price - 2, price + 1, 10.0),
            Quote(symbol, at_ns, price - 0.01, price + 0.01, 1.0, 1.0),
            OrderReport(order_id=order_id, status=list(OrderStatus)[2 + figure % 8], at_ns=at_ns, permanent_id=which),
            Fill(
                execution_id=str(figure),
                order_id=order_id,
                instrument=symbol,
                side=Side.BUY if figure % 2 else Side.SELL,
                quantity=float(1 + figure),
                price=price,
                at_ns=at_ns,
            ),
            Commission(execution_id=str(figure), amount=figure / 100, at_ns=at_ns),
            PositionReport(symbol, float(figure), price, at_ns),
            LinkChanged(list(Link)[figure % 3], at_ns),
            TimerFired(f"busy/{'first' if figure % 2 else 'second'}", at_ns),
            HaltTrading("news", at_ns) if figure % 2 else ResumeTrading(first_halt, "calm", at_ns),
            CancelRequest(order_id if figure % 2 else "", at_ns),
            PlaceRequest(
                order_id=f"manual-{number}",
                instrument=Stock(symbol),
                side=Side.BUY if figure % 2 else Side.SELL,
                quantity=1.0 + figure,
                at_ns=at_ns,
                order_type=OrderType.LIMIT,
                limit_price=price,
                client_key="" if figure % 3 else f"key {which}",
                correlation_id=str(number),
            ),
            ModifyRequest(
                order_id=order_id if figure % 2 else f"manual-{which}", at_ns=at_ns, quantity=1.0 + 30 * figure
            ),
            CancelRequest("", at_ns, owner="manual" if figure % 2 else "busy", symbol=symbol),
            WatchMarket(Stock("IBM", tick_size=0.05), at_ns),
            ChangeParameters(run_id="busy", parameters={"span": 1 + figure}, at_ns=at_ns),
            ChangeLimits(limits=LIMITS.by_name | {"max_order_shares": 10.0 + 20 * figure}, at_ns=at_ns),
        ]
        events.append(made[what])
        if isinstance(made[what], HaltTrading) and not first_halt:
            first_halt = f"{moment(at_ns):%Y%m%d-%H%M%S}-1"
    return [*events, StopStrategy("busy", TEN + 10_000 * SECOND, flatten=True)]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> StartStrategy:
    path = tmp_path_factory.mktemp("strategies") / "busy.py"
    path.write_text(BUSY)
    return StartStrategy(
        run_id="busy",
        source=load_strategy(path).source,
        parameters={"span": 2},
        instruments=[Stock(symbol) for symbol in SYMBOLS],
        interval_ns=5 * SECOND,
        at_ns=TEN - SECOND,
        cash=10_000.0,
    )


def decisions(events: Sequence[Event]) -> bytes:
    engine = Engine(strategies=StrategyRegistry().find, limits=LIMITS)
    return b"|".join(encode_actions(engine.handle(event)) for event in events)


draws = st.lists(st.tuples(st.integers(0, 16), st.integers(0, 12), st.integers(0, 40)), max_size=60)


@settings(max_examples=60)
@given(draws)
def test_two_engines_decide_alike(start: StartStrategy, draws: list[tuple[int, int, int]]) -> None:
    events = events_of(draws, start)

    assert decisions(events) == decisions(events)


@settings(max_examples=30)
@given(draws)
def test_events_from_a_journal_are_decided_on_alike(start: StartStrategy, draws: list[tuple[int, int, int]]) -> None:
    events = events_of(draws, start)

    assert decisions([decode_event(encode_event(event)) for event in events]) == decisions(events)


OTHER_PROCESS = """
import hashlib, sys
from pathlib import Path
from ibdesk.engine import Engine, RiskLimits
from ibdesk.model import decode_event, encode_actions
from ibdesk.strategy import StrategyRegistry
limits = RiskLimits(max_order_shares=500, max_position_shares=800, max_orders_per_second=15, max_daily_loss=400)
engine = Engine(strategies=StrategyRegistry().find, limits=limits)
events = [decode_event(bytes.fromhex(line)) for line in Path(sys.argv[1]).read_text().split()]
print(hashlib.sha256(b"|".join(encode_actions(engine.handle(event)) for event in events)).hexdigest())
"""


@pytest.mark.process
def test_another_process_with_another_hash_seed_decides_alike(start: StartStrategy, tmp_path: Path) -> None:
    kinds = [0, 1, 2, 4, 0, 5, 1, 3, 4, 8] * 20 + list(range(17)) * 3 + [0, 1, 4] * 60
    events = events_of([(kind, n * 5 % 13, n * n % 41) for n, kind in enumerate(kinds)], start)
    here = decisions(events)
    assert here.count(b"place_order") > 50
    (tmp_path / "events").write_text("\n".join(encode_event(event).hex() for event in events))

    done = subprocess.run(
        [sys.executable, "-c", OTHER_PROCESS, str(tmp_path / "events")],
        env=os.environ | {"PYTHONHASHSEED": "4242"},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )

    assert done.stdout.strip() == hashlib.sha256(here).hexdigest()
