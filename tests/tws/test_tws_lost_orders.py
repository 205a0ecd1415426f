"""Orders of an earlier desk that the journal lacks are found at TWS and booked to their owners."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ibdesk.engine import MANUAL
from ibdesk.model import (
    Fill,
    HaltTrading,
    Link,
    LinkChanged,
    OrderFound,
    OrderReport,
    OrderStatus,
    OrderType,
    Side,
    Stock,
    TimeInForce,
)

UNKNOWN, WORKING, FILLED, CANCELLED = (
    OrderStatus.UNKNOWN,
    OrderStatus.WORKING,
    OrderStatus.FILLED,
    OrderStatus.CANCELLED,
)
AAPL = Stock("AAPL")
OWNERS: dict[str, Any] = {"instruments": [AAPL], "owners": ["run-a", MANUAL]}


async def test_an_open_order_is_found_with_its_terms_and_then_goes_on_like_any_other(script, start_tws, words) -> None:
    script.answers["16"] = [words.shown("openOrder", 42, "run-a.17"), words.status(42, "Submitted")]
    running = await start_tws(script.port, resume=OWNERS)

    found = await running.heard.next(OrderFound)
    report = await running.heard.next(OrderReport)
    running.service.cancel("run-a.17")

    order = found.order
    assert (order.id, order.owner, order.instrument, order.side, order.quantity) == (
        "run-a.17",
        "run-a",
        "AAPL",
        Side.BUY,
        10.0,
    )
    assert (order.type, order.limit_price, order.stop_price) == (OrderType.LIMIT, 100.0, None)
    assert (order.time_in_force, order.status, order.filled) == (TimeInForce.DAY, UNKNOWN, 0.0)
    assert (order.permanent_id, found.instrument.id) == (7042, "AAPL")
    assert (report.order_id, report.status) == ("run-a.17", WORKING)
    assert (await script.got(4))[2] == "42"
    assert len(running.heard.of(OrderFound)) == 1


async def test_it_is_told_before_its_executions(script, start_tws, words) -> None:
    script.answers["7"] = [words.execution(42, "0001.01", shares=4, ref="run-a.17")]
    script.answers["16"] = [words.shown("openOrder", 42, "run-a.17"), words.status(42, "Submitted", filled=4)]
    running = await start_tws(script.port, resume=OWNERS)

    told: list[Any] = [event for event in running.heard.events if isinstance(event, OrderFound | Fill | OrderReport)]

    assert [type(event) for event in told] == [OrderFound, Fill, OrderReport]
    assert told[1].order_id == "run-a.17"
    assert told[2].status is WORKING


async def test_one_that_filled_meanwhile_is_found_among_the_completed_ones(script, start_tws, words) -> None:
    done = words.shown("completedOrder", 42, "run-a.17", totalQuantity=0.0, filledQuantity=10.0, status="Filled")
    script.answers["99"] = [done]
    script.answers["7"] = [words.execution(42, "0001.01", ref="run-a.17")]
    running = await start_tws(script.port, resume=OWNERS)

    assert [found.order.quantity for found in running.heard.of(OrderFound)] == [10.0]
    assert [fill.order_id for fill in running.heard.of(Fill)] == ["run-a.17"]
    assert [report.status for report in running.heard.of(OrderReport)] == [FILLED]


async def test_one_that_was_cancelled_meanwhile_is_told_so(script, start_tws, words) -> None:
    script.answers["99"] = [words.shown("completedOrder", 42, "run-a.17", filledQuantity=0.0, status="Cancelled")]
    running = await start_tws(script.port, resume=OWNERS)

    assert [report.status for report in running.heard.of(OrderReport)] == [CANCELLED]


async def test_one_of_which_only_executions_are_left_is_as_much_as_those_show(script, start_tws, words) -> None:
    script.answers["7"] = [
        words.execution(42, "0001.01", shares=4, ref="run-a.17"),
        words.execution(42, "0002.01", shares=6, ref="run-a.17"),
    ]
    running = await start_tws(script.port, resume=OWNERS)

    assert [(found.order.id, found.order.quantity) for found in running.heard.of(OrderFound)] == [("run-a.17", 4.0)]
    assert [(fill.order_id, fill.quantity) for fill in running.heard.of(Fill)] == [("run-a.17", 4.0), ("run-a.17", 6.0)]


async def test_an_order_by_hand_is_found_too(script, start_tws, words) -> None:
    script.answers["16"] = [words.shown("openOrder", 42, "manual-abc", orderType="STP", auxPrice=90.0, tif="GTC")]
    running = await start_tws(script.port, resume=OWNERS)

    order = (await running.heard.next(OrderFound)).order

    assert (order.owner, order.type, order.stop_price, order.time_in_force) == (
        MANUAL,
        OrderType.STOP,
        90.0,
        TimeInForce.GTC,
    )


@pytest.mark.parametrize(
    ("reference", "changes", "resume"),
    [
        pytest.param("run-b.17", {}, OWNERS, id="of a run that is not known"),
        pytest.param("run-a.x", {}, OWNERS, id="of no order's name"),
        pytest.param("run-a", {}, OWNERS, id="of a run's name alone"),
        pytest.param("", {}, OWNERS, id="without a name"),
        pytest.param("run-a.17", {"clientId": 2}, OWNERS, id="of another client"),
        pytest.param("run-a.17", {"orderType": "TRAIL"}, OWNERS, id="of a type that we never place"),
        pytest.param("run-a.17", {"totalQuantity": 0.0}, OWNERS, id="of no quantity"),
        pytest.param("run-a.17", {}, {}, id="without an earlier life"),
    ],
)
async def test_other_orders_are_left_alone(
    reference: str, changes: dict[str, Any], resume: dict[str, Any], script, start_tws, words
) -> None:
    script.answers["16"] = [words.shown("openOrder", 42, reference, **changes), words.status(42, "Submitted")]
    running = await start_tws(script.port, resume=resume)

    assert running.heard.of(OrderFound) == []
    assert running.heard.of(OrderReport) == []


async def test_an_execution_of_an_unknown_run_is_nobodys(script, start_tws, words) -> None:
    script.answers["7"] = [words.execution(42, "0001.01", ref="run-b.17")]
    running = await start_tws(script.port, resume=OWNERS)

    assert [fill.order_id for fill in running.heard.of(Fill)] == [""]
    assert running.heard.of(OrderFound) == []


async def test_they_are_looked_for_once_and_known_orders_are_told_of_as_ever(script, start_tws, words) -> None:
    known = words.limit("run-a.16", status=WORKING, owner="run-a")
    script.answers["7"] = [words.execution(41, "0001.01", shares=4, ref="run-a.16")]
    script.answers["99"] = [words.shown("completedOrder", 41, "run-a.16", status="Cancelled")]
    script.answers["61"] = [words.held(4)]
    running = await start_tws(script.port, resume={**OWNERS, "orders": [known]})
    told = [type(event) for event in running.heard.events if isinstance(event, OrderFound | Fill | OrderReport)]

    script.hang_up()
    await running.heard.next(LinkChanged, link=Link.DOWN)
    await running.heard.next(LinkChanged, link=Link.UP)

    # The fill comes before the state that it leads to.
    assert told == [Fill, OrderReport]
    assert [len(script.of(kind)) for kind in (16, 99, 7)] == [3, 3, 2]


async def test_one_that_tws_tells_of_later_is_found_later(script, start_tws, words) -> None:
    running = await start_tws(script.port, resume=OWNERS)
    script.send(*words.execution(42, "0001.01", ref="run-a.17"))

    fill = await running.heard.next(Fill)

    assert fill.order_id == "run-a.17"
    assert [found.order.id for found in running.heard.of(OrderFound)] == ["run-a.17"]


async def test_order_ids_are_above_those_of_an_engine_elsewhere_whatever_tws_proposes(script, start_tws, words) -> None:
    script.first_order_id = 5
    script.answers["16"] = [words.shown("openOrder", 500, "run-z.1"), words.shown("openOrder", 900, "", clientId=2)]
    script.answers["7"] = [words.execution(700, "0001.01", ref="run-z.2")]
    script.answers["61"] = [words.held(10)]
    running = await start_tws(script.port, resume=OWNERS)

    running.service.place(msgspec.structs.replace(words.order("run-a.1"), owner="run-a"))

    assert int((await script.got(3))[1]) == 701


async def test_an_order_of_our_names_that_comes_up_later_halts_trading(script, start_tws, words) -> None:
    running = await start_tws(script.port, resume=OWNERS)

    script.send(*words.shown("openOrder", 43, "run-a.18"))
    halt = await running.heard.next(HaltTrading)
    script.send(*words.shown("openOrder", 43, "run-a.18"))
    script.send(*words.shown("openOrder", 44, "somebody.1"))
    script.send(*words.shown("openOrder", 45, "run-a.19"))
    other = await running.heard.next(HaltTrading)

    assert (halt.by, halt.reason) == (
        "tws",
        "TWS has an order run-a.18 (permanent id 7043, client id 1) that this desk did not send: look for another "
        "program that trades under its names",
    )
    assert "an order run-a.19 " in other.reason
    # Once per order, and never for orders of others.
    assert len(running.heard.of(HaltTrading)) == 2


async def test_one_reference_for_two_orders_halts_trading_and_the_first_one_stands(script, start_tws, words) -> None:
    script.answers["16"] = [words.shown("openOrder", 42, "run-a.17"), words.status(42, "Submitted")]
    running = await start_tws(script.port, resume=OWNERS)
    await running.heard.next(OrderReport)

    script.send(*words.shown("openOrder", 60, "run-a.17", totalQuantity=99.0))
    halt = await running.heard.next(HaltTrading)
    running.service.cancel("run-a.17")

    assert "TWS has an order run-a.17 (permanent id 7060, client id 1) that this desk did not send" in halt.reason
    assert (await script.got(4))[2] == "42"


async def test_what_the_life_before_left_halts_nothing(script, start_tws, words) -> None:
    script.answers["16"] = [words.shown("openOrder", 42, "run-a.17"), words.status(42, "Submitted")]
    script.answers["7"] = [words.execution(42, "0001.01", shares=4, ref="run-a.17")]
    running = await start_tws(script.port, resume=OWNERS)
    await running.heard.next(OrderReport)

    assert running.heard.of(HaltTrading) == []
