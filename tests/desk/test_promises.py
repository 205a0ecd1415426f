"""What the design promises of a desk, each promise seen to hold on real processes and sockets."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from ibdesk.backtest import backtest, sample_daily_bars
from ibdesk.desk import Desk
from ibdesk.gateway import GatewaySettings, GatewayThread, make_gateway
from ibdesk.model import Bar, Order, PlaceOrder, StartStrategy
from ibdesk.store import JournalReader, Topic, replay
from ibdesk.strategy import load_strategy

Watch = Callable[[Desk], Any]
REPLAY: dict[str, Any] = {"play_each_over_seconds": 5, "start": 1500, "speed": 50.0, "replay": Path("sample")}

_TRADE_UNTIL_KILLED = """
import sys
from pathlib import Path
from ibdesk.desk import Desk, DeskSettings

desk = Desk.open(DeskSettings.make("paper", port=int(sys.argv[1]), client_id=33, state_folder=Path(sys.argv[2])))
desk.start(sys.argv[3], on=["AAPL", "IBM"])
print(desk.journal_path, flush=True)
sys.stdin.read()
"""


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


def test_after_a_kill_every_order_at_the_venue_is_in_the_journal(
    tmp_path: Path, write_strategy: Callable[[str, str], Path]
) -> None:
    body = "def on_bar(self, bar: Bar) -> None:\n    self.buy(bar.instrument, 1)"
    settings = GatewaySettings(port=0, **REPLAY)
    with GatewayThread(make_gateway(settings, bars=sample_daily_bars())) as gateway:
        arguments = [str(gateway.port), str(tmp_path), str(write_strategy("buy_each_bar", body))]
        process = subprocess.Popen(
            [sys.executable, "-c", _TRADE_UNTIL_KILLED, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        journal = Path(process.stdout.readline().strip())
        while len(_placed(journal)) < 12:
            assert process.poll() is None

        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=10)
        records = gateway.call(lambda: list(gateway.gateway.venue.records.values()))

    at_venue = {record.request.text("orderRef") for record in records}
    recorded = {order.id for order in _placed(journal)}
    assert len(at_venue) >= 12
    assert at_venue <= recorded
    assert replay(journal).orders == len(recorded)


def _placed(journal: Path) -> list[Order]:
    """The orders that a journal says were to be sent."""
    with JournalReader(journal) as reader:
        return [a.order for entry in reader.entries() for a in entry.actions if isinstance(a, PlaceOrder)]
