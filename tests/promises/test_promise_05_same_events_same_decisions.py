"""Promise 5: the same events give the same decisions: in a backtest, on a desk, and in a replay of its journal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ibdesk.backtest import backtest
from ibdesk.desk import Desk, DeskSettings
from ibdesk.gateway import GatewaySettings, GatewayThread, make_gateway
from ibdesk.model import Bar, Order, PlaceOrder, StartStrategy
from ibdesk.store import AccountHalts, JournalReader, Topic, replay
from ibdesk.strategy import load_strategy

pytestmark = pytest.mark.proof

Watch = Callable[[Desk], Any]


def seen_bars(journal: Path, symbol: str) -> tuple[pl.DataFrame, int]:
    """Every bar of a symbol that the run of a journal has seen, history first, and how many were history."""
    rows: dict[int, tuple[float, ...]] = {}
    warm_up = 0
    with JournalReader(journal) as reader:
        for entry in reader.entries():
            match entry.event:
                case StartStrategy() as start:
                    rows.clear()
                    for past in start.history:
                        if past.instrument == symbol:
                            columns = (past.open, past.high, past.low, past.close, past.volume)
                            rows |= dict(zip(past.opened_ns, zip(*columns, strict=True), strict=True))
                    warm_up = len(rows)
                case Bar(instrument=name) as bar if name == symbol:
                    rows.setdefault(bar.opened_ns, (bar.open, bar.high, bar.low, bar.close, bar.volume))
    names = ["symbol", "opened_at", "open", "high", "low", "close", "volume"]
    frame = pl.DataFrame([(symbol, at, *row) for at, row in rows.items()], schema=names, orient="row")
    return frame.with_columns(pl.col("opened_at").cast(pl.Datetime("ns", "UTC"))).sort("opened_at"), warm_up


def test_a_paper_run_decided_as_the_backtest_does_on_the_same_bars(desk: Desk, watch: Watch, ema_cross: Path) -> None:
    symbols = ["AAPL", "GOOG", "IBM", "MSFT"]
    desk.start(ema_cross, on=symbols, warm_up=200)
    watch(desk).wait_for(Topic.FILLS, count=8)
    journal = Path(desk.journal_path)
    desk.close()

    tested: list[tuple[str, str, float, int]] = []
    for symbol in symbols:
        bars, warm_up = seen_bars(journal, symbol)
        orders = backtest(load_strategy(ema_cross).cls(), bars, warm_up=warm_up).orders
        tested += orders.select("symbol", "side", "quantity", pl.col("created_at").dt.epoch("ns")).rows()

    live = [(o.instrument, o.side.value, o.quantity, o.created_ns) for o in _placed(journal)]
    assert sorted(live) == sorted(tested)
    assert len(live) >= 4


def test_a_journal_replays_equal_when_its_account_was_halted_before_it_began(tmp_path: Path) -> None:
    """The halt is not in the journal before it: it came from the account's own file."""
    with GatewayThread(make_gateway(GatewaySettings(port=0))) as gateway:
        settings = DeskSettings.make("paper", port=gateway.port, state_folder=tmp_path)
        with contextlib.closing(Desk.open(settings)) as desk:
            desk.place("IBM", "buy", 1)
            account, first = desk.account_id, Path(desk.journal_path)
        AccountHalts("paper", account).halt("the loss is too large", by="guardian", at_ns=1)
        with contextlib.closing(Desk.open(settings)) as desk:
            assert [halt.by for halt in desk.risk().halts] == ["guardian"]
            second = Path(desk.journal_path)

    assert replay(second).earlier == first.name


def _placed(journal: Path) -> list[Order]:
    """The orders that a journal says were to be sent."""
    with JournalReader(journal) as reader:
        return [a.order for entry in reader.entries() for a in entry.actions if isinstance(a, PlaceOrder)]
