"""A journal without a desk: an engine whose every event is journaled."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ibdesk.engine import Engine, RiskLimits
from ibdesk.model import (
    Action,
    Bar,
    CancelOrder,
    CancelRequest,
    ChangeLimits,
    Event,
    Fill,
    ModifyRequest,
    OrderReport,
    OrderStatus,
    OrderType,
    PlaceOrder,
    PlaceRequest,
    Quote,
    Side,
    StartStrategy,
    Stock,
    StopStrategy,
)
from ibdesk.store import Journal, JournalHeader
from ibdesk.store.redis import RedisSettings
from ibdesk.store.redis.pool import RedisPool
from ibdesk.strategy import StrategyRegistry, load_strategy

SECOND = 1_000_000_000
TEN = 1_773_151_200 * SECOND
CODE = '''
import polars as pl
from ibdesk import Bar, Fill, Strategy, ema


class Follower(Strategy):
    """Holds more the further the price is above its average."""

    def features(self) -> dict[str, pl.Expr]:
        return {"average": ema("close", 3)}

    def on_bar(self, bar: Bar) -> None:
        average = self.feature("average", bar.instrument)
        if average is not None:
            self.order_target(bar.instrument, round(10 * (bar.close - average)))
            self.buy(bar.instrument, 100, limit=90)

    def on_fill(self, fill: Fill) -> None:
        self.log(f"{self.cash:.2f}")
'''


@pytest.fixture
def strategy_file(tmp_path: Path) -> Path:
    path = tmp_path / "follower.py"
    path.write_text(CODE)
    return path


@pytest.fixture
def make_header() -> Callable[..., JournalHeader]:
    def make(limits: RiskLimits | None = None, client_id: int = 0) -> JournalHeader:
        return JournalHeader(
            program="ibdesk 0",
            mode="paper",
            account="DU1",
            started_ns=TEN,
            limits=limits or RiskLimits(),
            client_id=client_id,
        )

    return make


@pytest.fixture
def make_journal(tmp_path: Path, make_header) -> Iterator[Callable[..., Journal]]:
    made: list[Journal] = []

    def make(name: str = "journal.sqlite", limits: RiskLimits | None = None) -> Journal:
        made.append(Journal.create(tmp_path / name, make_header(limits)))
        return made[-1]

    yield make
    for journal in made:
        journal.close()


@pytest.fixture
def recorded(make_journal, strategy_file: Path) -> SimpleNamespace:
    """A short run, journaled: its path, its events and what each one caused."""
    journal = make_journal("run.sqlite")
    engine = Engine(strategies=StrategyRegistry().find, limits=RiskLimits())
    events: list[Event] = []
    caused: list[Sequence[Action]] = []

    def turn(event: Event) -> None:
        actions = engine.handle(event)
        journal.record(event, actions)
        journal.commit()
        events.append(event)
        caused.append(actions)
        for action in actions:
            if isinstance(action, PlaceOrder) and action.order.limit_price is None:
                turn(fill_of(action, len(events)))
            elif isinstance(action, CancelOrder) and isinstance(event, Bar):
                turn(OrderReport(order_id=action.order_id, status=OrderStatus.CANCELLED, at_ns=event.at_ns))

    turn(
        StartStrategy(
            run_id="run",
            source=load_strategy(strategy_file).source,
            parameters={},
            instruments=[Stock("AAPL")],
            interval_ns=5 * SECOND,
            at_ns=TEN,
            cash=1000,
        )
    )
    for number in range(40):
        close = 100.0 + (number * 37 % 11) / 4
        opened_ns = TEN + number * 5 * SECOND
        turn(Bar("AAPL", opened_ns, 5 * SECOND, close, close + 1, close - 1, close, 10.0))
        turn(Quote("AAPL", opened_ns + 6 * SECOND, close - 0.01, close + 0.01, 1.0, 1.0))
    for number in range(8):
        turn(
            PlaceRequest(
                order_id=f"manual-{number}",
                instrument=Stock("GOOG"),
                side=Side.BUY,
                quantity=1.0 if number % 2 else 1e9,
                at_ns=TEN,
                order_type=OrderType.LIMIT if number % 4 else OrderType.MARKET,
                limit_price=100.0 if number % 4 else None,
                client_key=f"key {number // 2}" if number < 4 else "",
            )
        )
    turn(ModifyRequest(order_id="manual-5", at_ns=TEN, quantity=2.0))
    turn(ChangeLimits(limits=RiskLimits().by_name | {"max_order_shares": 7.0}, at_ns=TEN))
    turn(CancelRequest("", TEN, owner="manual"))
    turn(StopStrategy("run", TEN + 1000 * SECOND, flatten=True))
    return SimpleNamespace(journal=journal, path=journal.path, events=events, caused=caused, engine=engine)


def fill_of(action: PlaceOrder, number: int) -> Fill:
    order = action.order
    return Fill(
        execution_id=f"e{number}",
        order_id=order.id,
        instrument=order.instrument,
        side=order.side,
        quantity=order.quantity,
        price=100.0,
        at_ns=order.updated_ns,
    )


@pytest.fixture
async def make_pool() -> AsyncIterator[Callable[..., RedisPool]]:
    """Makes pools that lose patience soon: `make_pool(redis_server.url, connections=4)`."""
    made: list[RedisPool] = []

    def make(url: str, **settings: Any) -> RedisPool:
        values = {"timeout_seconds": 0.2, "rest_seconds": 0.2, "url": url} | settings
        made.append(RedisPool(RedisSettings.model_validate(values)))
        return made[-1]

    yield make
    for pool in made:
        await pool.close()
