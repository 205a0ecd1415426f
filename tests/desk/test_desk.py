"""A desk on the embedded gateway, over real TCP."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ibdesk.desk import AioDesk, Desk, DeskSettings, DeskState
from ibdesk.errors import (
    ClientIdInUseError,
    ConfigError,
    DeskError,
    InstrumentError,
    LinkError,
    StrategyError,
)
from ibdesk.store import Topic, replay

OpenDesk = Callable[..., Desk]
Watch = Callable[[Desk], Any]
WriteStrategy = Callable[[str, str], Path]


def test_a_strategy_trades_and_its_journal_replays_equal(desk: Desk, watch: Watch, ema_cross: Path) -> None:
    desk.start(ema_cross, on=["AAPL", "GOOG", "IBM", "MSFT"])
    watch(desk).wait_for(Topic.FILLS, count=3, commission=1.0)
    journal, fills = Path(desk.journal_path), desk.fills().height
    desk.close()

    report = replay(journal)

    assert report.orders >= fills >= 3


def test_positions_add_up_from_the_fills(desk: Desk, watch: Watch, ema_cross: Path) -> None:
    run = desk.start(ema_cross, on=["AAPL", "IBM"])
    watch(desk).wait_for(Topic.FILLS, count=2)

    desk.stop(run)
    fills, positions = desk.fills(), desk.positions()

    for symbol in ("AAPL", "IBM"):
        mine = fills.filter(fills["symbol"] == symbol)
        signs = {"buy": 1, "sell": -1}
        held = sum(signs[side] * quantity for side, quantity in mine.select("side", "quantity").iter_rows())
        booked = positions.filter(positions["symbol"] == symbol)["quantity"].sum()
        assert booked == held


def test_stopping_with_flatten_leaves_no_position(desk: Desk, watch: Watch, write_strategy: WriteStrategy) -> None:
    path = write_strategy("hold_ten", "def target(self):\n    return pl.lit(10.0)")
    run = desk.start(path, on="IBM")
    watcher = watch(desk)
    watcher.wait_for(Topic.FILLS, side="buy")

    desk.stop(run, flatten=True)
    watcher.wait_for(Topic.FILLS, side="sell")

    assert desk.positions()["quantity"].to_list() == [0.0]
    assert desk.runs()[0].state == "stopped"


def test_trading_goes_on_while_the_caller_computes(desk: Desk, ema_cross: Path) -> None:
    desk.start(ema_cross, on=["AAPL", "IBM"])
    before = desk.health().events
    until = time.monotonic() + 1.0

    while time.monotonic() < until:
        sum(range(1000))

    assert desk.health().events > before + 20


async def test_every_method_has_an_awaitable_twin(desk: Desk, ema_cross: Path) -> None:
    run = await desk.aio.start(ema_cross, on="AAPL")
    bars, runs = await asyncio.gather(desk.aio.history("IBM", count=10), desk.aio.runs())

    assert bars.height == 10
    assert [info.run_id for info in runs] == [run]


async def test_a_desk_can_be_opened_and_closed_without_holding_up_the_loop(tmp_path: Path) -> None:
    aio = await AioDesk.open("embedded", state_folder=tmp_path)
    health = await aio.health()
    await aio.close()

    assert health.mode == "embedded"
    assert aio.desk.state is DeskState.CLOSED


def test_history_ends_where_the_live_bars_begin(desk: Desk, watch: Watch, ema_cross: Path) -> None:
    desk.start(ema_cross, on="AAPL", warm_up=50)
    watch(desk).wait_for(Topic.BARS, count=60, symbol="AAPL")

    opened = desk.bars("AAPL", count=60)["opened_at"]

    steps = opened.diff().drop_nulls().unique().to_list()
    assert [step.total_seconds() for step in steps] == [5.0]


def test_a_second_run_has_a_book_of_its_own(desk: Desk, watch: Watch, write_strategy: WriteStrategy) -> None:
    long = write_strategy("hold_ten", "def target(self):\n    return pl.lit(10.0)")
    short = write_strategy("owe_four", "def target(self):\n    return pl.lit(-4.0)")
    first, second = desk.start(long, on="IBM"), desk.start(short, on="IBM")
    watcher = watch(desk)
    watcher.wait_for(Topic.FILLS, owner=first)
    watcher.wait_for(Topic.FILLS, owner=second)

    held = {row["owner"]: row["quantity"] for row in desk.positions().iter_rows(named=True)}

    assert held == {first: 10.0, second: -4.0}


def test_a_denied_order_names_rule_limit_and_figure(
    open_desk: OpenDesk, watch: Watch, write_strategy: WriteStrategy
) -> None:
    desk = open_desk(risk={"max_position_shares": 5})
    desk.start(write_strategy("hold_ten", "def target(self):\n    return pl.lit(10.0)"), on="IBM")

    [alert] = watch(desk).wait_for(Topic.ALERTS, origin="risk")
    orders = desk.orders()

    assert alert["text"].endswith("denied: max_position_shares allows 5 shares, asked 10")
    assert orders["status"].to_list() == ["denied"]
    assert desk.fills().is_empty()


def test_a_halt_denies_new_risk_and_lets_positions_be_closed(
    desk: Desk, watch: Watch, write_strategy: WriteStrategy
) -> None:
    run = desk.start(write_strategy("hold_ten", "def target(self):\n    return pl.lit(10.0)"), on="IBM")
    watcher = watch(desk)
    watcher.wait_for(Topic.FILLS, side="buy")

    halt = desk.halt("testing the halt")
    desk.start(write_strategy("hold_two", "def target(self):\n    return pl.lit(2.0)"), on="IBM")
    watcher.wait_for(Topic.ORDERS, status="denied")
    desk.stop(run, flatten=True)
    watcher.wait_for(Topic.FILLS, side="sell")
    halted = desk.health().halted
    desk.resume("the test is over", id=halt.id)

    assert halted == "testing the halt"
    assert desk.health().halted == ""


def test_a_strategy_that_raises_is_stopped_and_the_others_trade_on(
    desk: Desk, watch: Watch, write_strategy: WriteStrategy
) -> None:
    broken = write_strategy("divide_by_zero", "def on_bar(self, bar: Bar) -> None:\n    1 / 0")
    sound = write_strategy("hold_ten", "def target(self):\n    return pl.lit(10.0)")
    failing, running = desk.start(broken, on="IBM"), desk.start(sound, on="IBM")

    watch(desk).wait_for(Topic.RUNS, run_id=failing, state="failed")
    watch(desk).wait_for(Topic.FILLS, owner=running)

    states = {info.run_id: (info.state, info.note) for info in desk.runs()}
    assert states == {failing: ("failed", "ZeroDivisionError: division by zero"), running: ("running", "")}


def test_a_dropped_link_comes_back_and_no_fill_is_lost_or_doubled(
    desk: Desk, watch: Watch, write_strategy: WriteStrategy
) -> None:
    body = "def on_bar(self, bar: Bar) -> None:\n    self.buy(bar.instrument, 1)"
    run = desk.start(write_strategy("buy_each_bar", body), on="IBM")
    watcher = watch(desk)
    watcher.wait_for(Topic.FILLS, count=5)

    desk.faults.hang_up()
    watcher.wait_for(Topic.LINK, link="down")
    watcher.wait_for(Topic.LINK, link="up")
    watcher.wait_for(Topic.FILLS, count=30)
    desk.stop(run)
    watcher.wait_for(Topic.RUNS, run_id=run, state="stopped")

    fills = desk.fills()
    sent = {"filled", "sent", "working", "held", "unknown"}
    orders = desk.orders().filter(desk.orders()["status"].is_in(list(sent)))
    assert fills["execution_id"].n_unique() == fills.height
    assert orders["filled"].sum() == fills["quantity"].sum() == desk.positions()["quantity"].sum()


def test_a_run_builds_longer_bars_from_ticks(desk: Desk, watch: Watch, ema_cross: Path) -> None:
    desk.start(ema_cross, on="AAPL", bar="15 secs", bars_from="ticks", warm_up=0)

    watch(desk).wait_for(Topic.BARS, count=3, symbol="AAPL", interval_ns=15_000_000_000)

    with pytest.raises(ConfigError, match="bars_from must be one of bars, ticks, quotes, got 'news'"):
        desk.start(ema_cross, on="AAPL", bars_from="news")


def test_a_journal_can_be_found_once_its_desk_is_closed(desk: Desk) -> None:
    before = desk.journal_path

    desk.close()

    assert desk.journal_path == before
    assert replay(Path(before)).orders == 0


def test_a_timer_comes_due_in_the_market_s_time_and_may_trade(
    desk: Desk, watch: Watch, write_strategy: WriteStrategy
) -> None:
    body = """
def on_start(self) -> None:
    self.after(20, "look")

def on_timer(self, name: str) -> None:
    self.buy("IBM", 3)
    self.log(f"{name} came due")
"""
    desk.start(write_strategy("wait_and_buy", body), on="IBM")
    [run] = desk.runs()
    watcher = watch(desk)

    [alert] = watcher.wait_for(Topic.ALERTS, text="look came due")
    [fill] = watcher.wait_for(Topic.FILLS, quantity=3.0)[:1]
    journal = Path(desk.journal_path)
    desk.close()

    assert alert["at_ns"] == run.started_ns + 20_000_000_000
    assert fill["at_ns"] >= alert["at_ns"]
    assert replay(journal).orders == 1


def test_order_ids_are_set_aside_before_the_first_order(desk: Desk, tmp_path: Path) -> None:
    desk.history("IBM", count=1)

    [mark] = tmp_path.glob("order-ids-*")
    assert int(mark.read_text()) > 1


def test_an_unknown_symbol_is_named_and_changes_nothing(desk: Desk, ema_cross: Path) -> None:
    with pytest.raises(InstrumentError, match="NOSUCH"):
        desk.start(ema_cross, on=["AAPL", "NOSUCH"])

    assert desk.runs() == []
    assert desk.history("AAPL", count=3).height == 3


def test_wrong_parameters_are_named_and_change_nothing(desk: Desk, ema_cross: Path) -> None:
    with pytest.raises(StrategyError, match=r"fast: Input should be greater than or equal to 1.*"):
        desk.start(ema_cross, on="AAPL", parameters={"fast": 0})
    with pytest.raises(StrategyError, match=r"speed: Extra inputs.*its parameters: fast, slow, size"):
        desk.start(ema_cross, on="AAPL", parameters={"speed": 3})

    assert desk.runs() == []


def test_a_program_that_ends_without_closing_its_desk_ends_quietly(tmp_path: Path) -> None:
    code = f"from ibdesk import Desk; Desk.open('embedded', state_folder={str(tmp_path)!r})"

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_a_closed_desk_says_so(desk: Desk) -> None:
    desk.close()
    desk.close()

    assert desk.state is DeskState.CLOSED
    with pytest.raises(DeskError, match=r"the desk is closed: open one with Desk\.open"):
        desk.positions()


def test_opening_where_no_tws_listens_names_the_address(tmp_path: Path, unused_tcp_port: int) -> None:
    settings = DeskSettings.make("paper", port=unused_tcp_port, state_folder=tmp_path)

    with pytest.raises(LinkError, match=f"127.0.0.1:{unused_tcp_port}"):
        Desk.open(settings)


def test_a_client_id_in_use_is_told_apart(desk: Desk, tmp_path: Path) -> None:
    port = int(desk.address.rpartition(":")[2])
    settings = DeskSettings.make("paper", port=port, client_id=1, state_folder=tmp_path / "other")

    with pytest.raises(ClientIdInUseError, match=r"client id 1 is already in use at 127\.0\.0\.1"):
        Desk.open(settings)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"mode": "demo"}, "mode cannot be 'demo' .* it should be 'embedded', 'paper' or 'live'"),
        ({"port": 0}, "tws.port"),
        ({"risk": {"max_position_shares": -1}}, "risk.max_position_shares cannot be -1 .* it must be positive"),
        (
            {"risk": {"max_position_share": 1}},
            "there is no setting risk.max_position_share .*: did you mean risk.max_position_shares",
        ),
        ({"gateway": {"speeed": 2}}, "there is no setting gateway.speeed"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        DeskSettings.make(**settings)  # type: ignore[arg-type]


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IBDESK_TWS__PORT", "4002")
    monkeypatch.setenv("IBDESK_RISK__MAX_POSITION_SHARES", "500")

    settings = DeskSettings.make("paper")

    assert settings.tws.port == 4002
    assert settings.risk.max_position_shares == 500
