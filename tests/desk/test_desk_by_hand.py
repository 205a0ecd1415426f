"""Orders by hand, over TCP: the gate decides, the venue works them, and a key is used once, also after a restart."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ibdesk.desk import Desk
from ibdesk.errors import DeskError, InstrumentError, OrderDeniedError, OrderError
from ibdesk.gateway import GatewaySettings, GatewayThread, make_gateway
from ibdesk.model import PlaceOrder, PlaceRequest
from ibdesk.store import JournalReader, Topic, replay
from ibdesk.telemetry import correlated

OpenDesk = Callable[..., Desk]
Watch = Callable[[Desk], Any]
WriteStrategy = Callable[[str, str], Path]

HOLD_TEN = "def target(self):\n    return pl.lit(10.0)"


def test_an_order_by_hand_needs_no_strategy_and_has_a_book_of_its_own(desk: Desk, watch: Watch) -> None:
    placed = desk.place("IBM", "buy", 10, by="alice")
    watcher = watch(desk)
    watcher.wait_for(Topic.ORDERS, id=placed.id, status="filled")
    watcher.wait_for(Topic.POSITIONS, owner="manual", symbol="IBM", quantity=10.0)
    journal = Path(desk.journal_path)
    desk.close()

    assert (placed.status, placed.owner, placed.by, placed.type) == ("sent", "manual", "alice", "market")
    assert replay(journal).orders == 1


def test_an_order_waits_at_its_limit_is_changed_and_withdrawn(desk: Desk, watch: Watch) -> None:
    placed = desk.place("IBM", "buy", 10, limit=1.234, time_in_force="gtc")
    watcher = watch(desk)
    watcher.wait_for(Topic.ORDERS, id=placed.id, status="working")

    desk.modify(placed.id, quantity=20, limit=2)
    watcher.wait_for(Topic.ORDERS, id=placed.id, quantity=20.0, limit_price=2.0, status="working")
    desk.cancel(placed.id)
    watcher.wait_for(Topic.ORDERS, id=placed.id, status="cancelled")

    assert (placed.limit_price, placed.type, placed.time_in_force) == (1.23, "limit", "gtc")


def test_an_order_that_the_gate_refuses_raises_with_rule_limit_and_figure(open_desk: OpenDesk) -> None:
    desk = open_desk(risk={"max_order_shares": 5})

    with pytest.raises(OrderDeniedError, match="max_order_shares allows 5 shares, asked 6"):
        desk.place("IBM", "buy", 6)
    placed = desk.place("IBM", "buy", 5, limit=1)
    with pytest.raises(OrderDeniedError, match="max_order_shares allows 5 shares, asked 7"):
        desk.modify(placed.id, quantity=7)

    assert desk.orders()["status"].to_list()[0] == "denied"


def test_a_halt_holds_up_orders_by_hand_too(desk: Desk) -> None:
    halt = desk.halt("enough", by="bob")

    with pytest.raises(OrderDeniedError, match="trading is halted"):
        desk.place("IBM", "buy", 6)
    desk.resume("all is well", id=halt.id, by="bob")

    assert desk.place("IBM", "buy", 6).status == "sent"


def test_the_same_key_of_the_same_caller_is_one_order(desk: Desk) -> None:
    first = desk.place("IBM", "buy", 10, limit=1, client_key="k1", by="alice")
    again = desk.place("IBM", "buy", 10, limit=1, client_key="k1", by="alice")
    other = desk.place("IBM", "buy", 10, limit=1, client_key="k1", by="bob")
    without = [desk.place("IBM", "buy", 10, limit=1, by="alice").id for _ in range(2)]

    assert again.id == first.id
    assert len({first.id, other.id, *without}) == 4
    assert desk.orders().height == 4
    with pytest.raises(OrderError, match=r"key 'k1' was used for order manual-\w+-\w+, which is another one"):
        desk.place("IBM", "sell", 10, client_key="k1", by="alice")


async def test_of_two_requests_at_once_with_one_key_one_places(desk: Desk) -> None:
    asked = [desk.aio.place("IBM", "buy", 1, limit=1, client_key="same") for _ in range(8)]

    placed = await asyncio.gather(*asked)

    assert len({order.id for order in placed}) == 1
    assert (await desk.aio.orders()).height == 1


def test_a_denied_key_stays_denied(open_desk: OpenDesk) -> None:
    desk = open_desk(risk={"max_order_shares": 5})
    with pytest.raises(OrderDeniedError):
        desk.place("IBM", "buy", 6, client_key="big")

    with pytest.raises(OrderError, match="a new try needs a new key"):
        desk.place("IBM", "buy", 6, client_key="big")

    assert desk.orders().height == 1


def test_what_makes_no_sense_is_refused_and_leaves_nothing_on_the_record(desk: Desk) -> None:
    placed = desk.place("IBM", "buy", 1, limit=1)
    before = desk.health().orders

    with pytest.raises(OrderError, match="quantity must be a positive number, got -1"):
        desk.place("IBM", "buy", -1)
    with pytest.raises(OrderError, match="side must be one of buy, sell, got 'hold'"):
        desk.place("IBM", "hold", 1)
    with pytest.raises(OrderError, match="time_in_force must be one of day, gtc, ioc, got 'ever'"):
        desk.place("IBM", "buy", 1, time_in_force="ever")
    with pytest.raises(InstrumentError, match="NOSUCH"):
        desk.place("NOSUCH", "buy", 1)
    with pytest.raises(OrderError, match="give a new quantity, limit or stop price"):
        desk.modify(placed.id)
    with pytest.raises(OrderError, match="takes no stop_price"):
        desk.modify(placed.id, stop=3)
    with pytest.raises(DeskError, match="there is no order 'nobody' on this desk"):
        desk.modify("nobody", quantity=1)

    assert desk.health().orders == before
    replay(Path(desk.journal_path))


def test_an_order_of_a_run_can_be_changed_by_hand(desk: Desk, watch: Watch, write_strategy: WriteStrategy) -> None:
    path = write_strategy(
        "wait_below",
        "def on_bar(self, bar: Bar) -> None:\n"
        "    if not self.open_orders(bar.instrument):\n        self.buy(bar.instrument, 3, limit=1.0)",
    )
    run = desk.start(path, on="IBM")
    watcher = watch(desk)
    [row, *_] = watcher.wait_for(Topic.ORDERS, owner=run, status="working")

    desk.modify(row["id"], quantity=4)

    watcher.wait_for(Topic.ORDERS, id=row["id"], quantity=4.0, owner=run)


def test_all_orders_of_an_owner_in_an_instrument_are_withdrawn(desk: Desk, watch: Watch) -> None:
    ibm, apple = desk.place("IBM", "buy", 1, limit=1), desk.place("AAPL", "buy", 1, limit=1)
    watcher = watch(desk)
    for order in (ibm, apple):
        watcher.wait_for(Topic.ORDERS, id=order.id, status="working")

    assert desk.cancel_all(owner="somebody") == 0
    assert desk.cancel_all(owner="manual", symbol="AAPL") == 1
    watcher.wait_for(Topic.ORDERS, id=apple.id, status="cancelled")
    assert desk.cancel_all() == 1
    watcher.wait_for(Topic.ORDERS, id=ibm.id, status="cancelled")


def test_one_id_leads_from_the_request_to_the_fill(desk: Desk, watch: Watch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="ibdesk.desk.order_log")
    with correlated("request-0001"):
        placed = desk.place("IBM", "buy", 10, by="alice")
    watch(desk).wait_for(Topic.ORDERS, id=placed.id, status="filled")
    journal = Path(desk.journal_path)
    desk.close()

    with JournalReader(journal) as reader:
        [(asked, actions)] = [(e.event, e.actions) for e in reader.entries() if isinstance(e.event, PlaceRequest)]
    lines: list[Any] = [each for each in caplog.records if getattr(each, "correlation_id", "") == "request-0001"]
    assert (asked.by, asked.correlation_id) == ("alice", "request-0001")
    assert [a.order.correlation_id for a in actions if isinstance(a, PlaceOrder)] == ["request-0001"]
    assert {line.order_id for line in lines} == {placed.id}
    assert {line.symbol for line in lines} == {"IBM"}
    assert lines[0].latency_ms > 0
    # On a busy machine a warning that the order was slow is among them.
    told = [line.getMessage() for line in lines if line.levelno == logging.INFO]
    said = [message.removeprefix(f"order {placed.id} ").partition(":")[0] for message in told]
    assert said[0] == "sent"
    assert said[-1] == "filled"


def test_the_times_of_an_order_by_hand_are_not_among_those_that_the_market_caused(desk: Desk, watch: Watch) -> None:
    placed = desk.place("IBM", "buy", 10)
    watch(desk).wait_for(Topic.ORDERS, id=placed.id, status="filled")

    taken = {name: span.counts.count for name, span in desk.performance().items() if name.startswith("order_")}

    assert taken == {"order_command": 1, "order_answer": 1}


def test_a_market_without_a_price_takes_an_order_that_states_one(open_desk: OpenDesk, watch: Watch) -> None:
    desk = open_desk({"speed": 0.01}, first_price_seconds=0)

    placed = desk.place("IBM", "buy", 10, limit=100.0)
    watch(desk).wait_for(Topic.ORDERS, id=placed.id, status="working")

    with pytest.raises(OrderDeniedError, match="max_notional allows 1000000, asked"):
        desk.place("IBM", "buy", 10_000, limit=100.01)


def test_a_market_without_a_price_takes_no_market_order_by_hand(open_desk: OpenDesk) -> None:
    desk = open_desk({"speed": 0.01}, first_price_seconds=0)

    with pytest.raises(DeskError, match="no price of IBM came within 0 s"):
        desk.place("IBM", "buy", 1)


def test_a_key_with_other_terms_is_another_order_also_when_the_first_was_changed(desk: Desk, watch: Watch) -> None:
    first = desk.place("IBM", "buy", 10, limit=1.001, client_key="k")
    watch(desk).wait_for(Topic.ORDERS, id=first.id, status="working")
    desk.modify(first.id, quantity=12, limit=2)
    watch(desk).wait_for(Topic.ORDERS, id=first.id, quantity=12.0)

    assert desk.place("IBM", "buy", 10, limit=1.001, client_key="k").id == first.id
    for other in ({"quantity": 12, "limit": 2}, {"quantity": 10, "limit": 1.5}, {"quantity": 10}):
        with pytest.raises(OrderError, match="was used for order"):
            desk.place("IBM", "buy", client_key="k", **other)


def test_an_instrument_is_followed_without_an_order(desk: Desk) -> None:
    desk.watch("MSFT", by="alice")

    assert desk.quotes()["symbol"].to_list() == ["MSFT"]


def test_what_people_do_is_logged_with_who_and_the_request(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="ibdesk.desk.order_log")
    with correlated("request-0002"):
        halt = desk.halt("enough", by="alice")
        desk.resume("all is well", id=halt.id, by="bob")
        desk.change_limits({"max_order_shares": 5}, by="carol")
    desk.close()

    lines: list[Any] = [line for line in caplog.records if getattr(line, "correlation_id", "") == "request-0002"]
    assert [line.getMessage() for line in lines] == [
        "trading was halted by alice: enough",
        "trading was resumed by bob: all is well",
        "risk was given other limits by carol",
    ]
    assert [line.by for line in lines] == ["alice", "bob", "carol"]


class Asks(logging.Handler):
    """Asks, whenever an order is told to have been sent, until the venue has it; a log that comes first waits long."""

    def __init__(self, gateway: GatewayThread) -> None:
        super().__init__()
        self._gateway = gateway
        self.had: list[bool] = []

    def emit(self, record: logging.LogRecord) -> None:
        if " sent" not in record.getMessage():
            return
        deadline = time.monotonic() + 2
        while not (there := self._gateway.call(lambda: len(self._gateway.gateway.venue.records) > 0)):
            if time.monotonic() > deadline:
                break
        self.had.append(there)


def test_an_order_is_logged_when_its_bytes_have_left(tmp_path: Path) -> None:
    log = logging.getLogger("ibdesk.desk.order_log")
    with GatewayThread(make_gateway(GatewaySettings(port=0, seed=3, speed=50.0))) as gateway:
        asks = Asks(gateway)
        log.addHandler(asks)
        level = log.level
        log.setLevel(logging.INFO)
        try:
            with Desk.open("paper", port=gateway.port, client_id=7, state_folder=tmp_path) as desk:
                desk.place("IBM", "buy", 1, limit=1)
        finally:
            log.removeHandler(asks)
            log.setLevel(level)

    assert asks.had == [True]
