"""Trades of others in the account are followed while the link is up; a late row never undoes an execution of ours."""

from __future__ import annotations

from typing import Any

from ibdesk.model import Fill, Link, PositionReport, Side

GRACE = 0.2


def holds(account: str, quantity: float) -> list[object]:
    """Return message 61: a position in AAPL, at 9."""
    return [61, 3, account, 265598, "AAPL", "STK", "", "0.0", "", "", "", "USD", "AAPL", "NMS", quantity, 9]


async def start(script: Any, start_tws: Any, words: Any, held: float = 100) -> Any:
    script.answers["61"] = [holds(words.account, held)]
    running = await start_tws(script.port, position_grace_seconds=GRACE)
    await running.service.qualify(words.aapl)
    return running


async def test_a_sale_by_hand_is_asked_for_and_told_as_nobodys_execution(
    script: Any, start_tws: Any, words: Any
) -> None:
    running = await start(script, start_tws, words)
    sale = words.execution(0, "0005.01.01", shares=100)
    sale[18] = "SLD"
    sale[22] = 0
    script.answers["7"] = [sale]
    script.answers["61"] = [holds(words.account, 0)]

    script.send(*holds(words.account, 0))

    fill = await running.heard.next(Fill)
    assert (fill.order_id, fill.side, fill.quantity) == ("", Side.SELL, 100)
    assert not any(report.confirmed for report in running.heard.of(PositionReport))


async def test_what_no_execution_explains_is_told_as_confirmed_after_a_second_look(
    script: Any, start_tws: Any, words: Any
) -> None:
    running = await start(script, start_tws, words)
    script.answers["61"] = [holds(words.account, 0)]

    script.send(*holds(words.account, 0))

    told = await running.heard.next(PositionReport, confirmed=True)
    assert (told.instrument, told.quantity) == ("AAPL", 0)
    # Requested at the start, and twice more before anything is concluded: two answers agree. Executions come first.
    assert len(script.of(61)) == 3
    assert len(script.of(7)) >= 3


async def test_a_late_row_does_not_undo_an_execution_of_ours(script: Any, start_tws: Any, words: Any) -> None:
    running = await start(script, start_tws, words)
    running.service.place(words.order())
    number = (await script.got(3))[1]
    script.send(*words.execution(number, "0001.01.01", ref="run-1"))
    await running.heard.next(Fill)
    # TWS is behind: first the row before the execution, and the right one after the next request.
    script.send(*holds(words.account, 100))
    script.answers["61"] = [holds(words.account, 110)]

    await script.got(61, 2)
    await running.heard.next(PositionReport, quantity=110)

    assert not any(report.confirmed for report in running.heard.of(PositionReport))
    assert running.service.link is Link.UP


async def test_a_row_that_comes_before_its_execution_is_explained_by_it(
    script: Any, start_tws: Any, words: Any
) -> None:
    running = await start(script, start_tws, words)
    running.service.place(words.order())
    number = (await script.got(3))[1]

    script.send(*holds(words.account, 110))
    script.send(*words.execution(number, "0001.01.01", ref="run-1"))
    await running.heard.next(Fill)
    script.send(*holds(words.account, 120))
    script.answers["61"] = [holds(words.account, 120)]
    told = await running.heard.next(PositionReport, confirmed=True)

    # Only the second step had no owner.
    assert told.quantity == 120
    assert [report.quantity for report in running.heard.of(PositionReport) if report.confirmed] == [120]


async def test_a_hand_at_the_gateway_is_seen_within_seconds(tws: Any, gateway: Any, words: Any) -> None:
    tws.service.place(words.order())
    await tws.heard.next(Fill)

    gateway.place_by_hand("AAPL", "SELL", 10)

    fill = await tws.heard.next(Fill, side=Side.SELL)
    assert (fill.order_id, fill.quantity) == ("", 10)
