"""Queries and commands of a desk, over TCP: runs, risk, instruments, and their journal."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.stack import eventually

from ibdesk.desk import Desk
from ibdesk.errors import (
    ConfigError,
    DataError,
    DeskError,
    InstrumentError,
    JournalError,
    OrderDeniedError,
    StrategyError,
)
from ibdesk.store import Topic, replay

OpenDesk = Callable[..., Desk]
Watch = Callable[[Desk], Any]
WriteStrategy = Callable[[str, str], Path]

HOLD = "size: float = 10.0\n\ndef target(self):\n    return pl.lit(self.size)"
TALK = """
def on_bar(self, bar: Bar) -> None:
    self.state["bars"] = self.state.get("bars", 0) + 1
    if self.state["bars"] <= 3:
        self.log(f"bar {self.state['bars']}")
    if self.state["bars"] == 3:
        self.buy(bar.instrument, 1_000_000)
"""


def test_a_run_goes_on_with_other_parameters_and_its_journal_replays(
    desk: Desk, watch: Watch, write_strategy: WriteStrategy
) -> None:
    run = desk.start(write_strategy("hold", HOLD), on="IBM")
    watcher = watch(desk)
    watcher.wait_for(Topic.POSITIONS, owner=run, quantity=10.0)

    info = desk.change_parameters(run, {"size": 25}, by="alice")
    watcher.wait_for(Topic.POSITIONS, owner=run, quantity=25.0)
    with pytest.raises(StrategyError, match="size: Input should be a valid number"):
        desk.change_parameters(run, {"size": "many"})
    with pytest.raises(DeskError, match="there is no run 'nobody'"):
        desk.change_parameters("nobody", {"size": 1})
    journal = Path(desk.journal_path)
    desk.close()

    assert info.parameters == {"size": 25.0}
    assert watcher.wait_for(Topic.RUNS, run_id=run)[-1]["parameters"] == {"size": 25.0}
    replay(journal)


def test_a_run_shows_what_it_keeps_holds_and_sees(desk: Desk, watch: Watch, ema_cross: Path) -> None:
    run = desk.start(ema_cross, on=["IBM", "AAPL"], cash=50_000)
    watch(desk).wait_for(Topic.FILLS, owner=run)

    detail = desk.run_state(run)

    lanes = {lane.symbol: lane for lane in detail.lanes}
    assert (detail.run.run_id, detail.run.state, list(lanes)) == (run, "running", ["IBM", "AAPL"])
    assert set(lanes["IBM"].features) == {"fast", "slow"}
    held = {symbol: lane.quantity for symbol, lane in lanes.items() if lane.quantity}
    assert held
    assert all(lane.bar is not None and lane.last_price is not None for lane in lanes.values())
    assert detail.cash != 50_000
    assert detail.orders_made >= len(held)
    with pytest.raises(DeskError, match="there is no run 'nobody'"):
        desk.run_state("nobody")


def test_the_log_of_a_run_is_read_from_its_journal(desk: Desk, watch: Watch, write_strategy: WriteStrategy) -> None:
    run = desk.start(write_strategy("talk", TALK), on="IBM", by="alice")
    watcher = watch(desk)
    watcher.wait_for(Topic.ORDERS, owner=run, status="denied")
    desk.stop(run, by="bob")
    # Whatever else the run's last bars were, the stop has been written once this has.
    desk.halt("done")

    log = desk.run_log(run)

    said = [line.text for line in log.lines]
    assert said[:4] == ["started on IBM by alice", "bar 1", "bar 2", "bar 3"]
    assert said[4] == f"order {run}.1 denied: max_order_shares allows 10000 shares, asked 1000000"
    assert said[-1] == "stopped by bob"
    assert [line.severity for line in log.lines[:5]] == ["info"] * 4 + ["warning"]
    newest = desk.run_log(run, limit=2)
    older = desk.run_log(run, limit=100, before=newest.next)
    assert older.lines + newest.lines == log.lines
    with pytest.raises(JournalError, match=r"there is no earlier journal '../x'"):
        desk.run_log(run, journal="../x")


def test_the_log_of_a_run_that_never_was_is_refused(open_desk: OpenDesk, ema_cross: Path) -> None:
    first = open_desk()
    before = first.start(ema_cross, on="IBM", warm_up=0)
    first.stop(before)
    first.close()
    desk = open_desk()
    run = desk.start(ema_cross, on="AAPL", warm_up=0)
    [earlier] = [each.name for each in desk.journals() if not each.is_current]

    with pytest.raises(DeskError, match=rf"there is no run 'zz': the runs are .*{run}"):
        desk.run_log("zz")
    with pytest.raises(DeskError, match=rf"there is no run 'zz' in the journal '{earlier}'"):
        desk.run_log("zz", journal=earlier)
    assert desk.run_log(before, journal=earlier).lines[0].text.startswith("started on IBM")
    assert desk.run_log("manual").lines == []


def test_the_journal_is_asked_for_pages_by_kind_order_and_run(desk: Desk, watch: Watch) -> None:
    placed = desk.place("IBM", "buy", 10, by="alice")
    watch(desk).wait_for(Topic.ORDERS, id=placed.id, status="filled")
    desk.halt("enough")

    page = desk.journal(order_id=placed.id)
    [request] = desk.journal(kinds=["place_request"]).rows

    assert [row.kind for row in page.rows][:1] == ["place_request"]
    assert {"order_report", "fill"} <= {row.kind for row in page.rows}
    assert (request.event["by"], request.event["quantity"], request.event["order_id"]) == ("alice", 10.0, placed.id)
    assert [action["kind"] for action in request.actions] == ["place_order"]
    assert desk.journal(newest_first=True, limit=1, kinds=["halt_trading"]).rows[0].event["reason"] == "enough"
    assert desk.journal(run_id="manual", after=request.number).rows[0].number > request.number
    with pytest.raises(
        DataError, match="there are no events of kind trades: there are accept_external, account_report, bar"
    ):
        desk.journal(kinds=["trades"])
    with pytest.raises(DataError, match="limit must be at least 1"):
        desk.journal(limit=0)


def test_the_journals_of_earlier_desks_are_listed_and_read(open_desk: OpenDesk) -> None:
    first = open_desk()
    first.halt("the first desk")
    name = Path(first.journal_path).name
    first.close()

    second = open_desk()
    infos = second.journals()

    assert [(info.name == name, info.is_current, info.mode) for info in infos] == [
        (False, True, "embedded"),
        (True, False, "embedded"),
    ]
    assert second.journal(kinds=["halt_trading"], journal=name).rows[0].event["reason"] == "the first desk"
    assert second.journal(kinds=["halt_trading"]).rows == []


def test_risk_shows_limits_what_is_used_of_them_and_the_halt(desk: Desk, watch: Watch) -> None:
    placed = desk.place("IBM", "buy", 10)
    watch(desk).wait_for(Topic.POSITIONS, owner="manual", quantity=10.0)
    desk.place("IBM", "buy", 5, limit=1)

    risk = desk.risk()
    desk.halt("enough", by="alice")
    [halt] = desk.risk().halts

    [exposure] = risk.exposures
    assert placed.status == "sent"
    assert (exposure.owner, exposure.symbol, exposure.held, exposure.pending) == ("manual", "IBM", 10.0, 5.0)
    assert exposure.exposure == 15.0
    assert exposure.value == pytest.approx(15 * (exposure.mark_price or 0))
    assert (risk.limits["max_order_shares"], risk.changed, risk.halts, risk.link_up) == (10_000.0, False, [], True)
    assert risk.day_loss is not None
    assert halt is not None
    assert (halt.reason, halt.by) == ("enough", "alice")


def test_limits_are_changed_on_the_way_and_outlive_the_desk(open_desk: OpenDesk, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"gateway": {"state": tmp_path / "gateway.state", "speed": 50.0}}
    desk = open_desk(**settings)
    desk.place("IBM", "buy", 6, limit=1)

    changed = desk.change_limits({"max_order_shares": 5, "price_collar": None}, by="alice")
    with pytest.raises(OrderDeniedError, match="max_order_shares allows 5 shares, asked 6"):
        desk.place("IBM", "buy", 6, limit=1)
    with pytest.raises(ConfigError, match=r"risk.max_position_shares: Value error, it must be positive"):
        desk.change_limits({"max_position_shares": -1, "max_order_shares": 50})
    with pytest.raises(ConfigError, match=r"there is no limit max_fun: the limits are .*max_order_shares"):
        desk.change_limits({"max_fun": 1})
    first = Path(desk.journal_path)
    desk.close()

    again = open_desk(**settings)
    kept = again.risk()
    second = Path(again.journal_path)
    again.close()

    assert (changed.limits["max_order_shares"], changed.limits["price_collar"], changed.changed) == (5.0, None, True)
    assert (kept.limits, kept.changed) == (changed.limits, True)
    replay(first)
    assert replay(second).earlier == first.name


def test_instruments_are_searched_for_and_known_by_their_facts(desk: Desk) -> None:
    found = desk.search_instruments("apple")
    sent = desk.health().messages_sent
    again = desk.search_instruments(" apple ")
    asked = time.monotonic()
    desk.search_instruments("ibm")
    pair = next(match for match in desk.search_instruments("EUR") if match.kind == "forex")
    apple = desk.instrument("AAPL")

    assert ("AAPL", "stock", "USD") in [(match.name, match.kind, match.currency) for match in found]
    # Two searches, the details of AAPL and its market rule.
    assert (again, desk.health().messages_sent - sent) == (found, 4)
    # TWS takes one search a second.
    assert time.monotonic() - asked >= 1.0
    assert pair.name == "EUR.USD"
    assert (apple.name, apple.kind, apple.currency, apple.tick_size) == ("AAPL", "stock", "USD", 0.01)
    assert apple.session == "09:30-16:00"
    with pytest.raises(InstrumentError, match="search for 1 to 64 letters"):
        desk.search_instruments("  ")
    with pytest.raises(InstrumentError, match="NOSUCH"):
        desk.instrument("NOSUCH")


def test_everything_works_on_a_desk_in_another_process(desk: Desk) -> None:
    """Each answer over the port equals the desk's own."""
    from ibdesk.desk.port.values import decode_value, encode_value

    desk.place("IBM", "buy", 1, limit=1)
    answers = {
        "place": desk.place("IBM", "buy", 1, limit=1),
        "risk": desk.risk(),
        "journal": desk.journal(kinds=["place_request"]),
        "journals": desk.journals(),
        "instrument": desk.instrument("IBM"),
        "search_instruments": desk.search_instruments("IBM"),
    }

    for name, answer in answers.items():
        operation = getattr(type(desk), name)
        assert decode_value(operation, encode_value(answer)) == answer


def test_the_journal_of_an_earlier_desk_is_packed_and_read_as_before(open_desk: OpenDesk) -> None:
    first = open_desk()
    first.halt("the first desk")
    first.close()
    name = Path(first.journal_path).name

    desk = open_desk()
    packed = Path(first.journal_path).with_name(f"{name}.gz")
    eventually(packed.exists, "it is packed")
    page = desk.journal(journal=name, kinds=["halt_trading"])

    assert not Path(first.journal_path).exists()
    assert [row.event["reason"] for row in page.rows] == ["the first desk"]
    assert [(info.name, info.note) for info in desk.journals() if not info.is_current] == [(name, "")]
    assert replay(packed).events == replay(Path(first.journal_path)).events > 0
