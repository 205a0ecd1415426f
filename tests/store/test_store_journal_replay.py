"""A replay proves that a fresh engine does what the journal records; at the first difference it reports the place."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest

from ibdesk.engine import RiskLimits
from ibdesk.errors import JournalError, ReplayMismatchError, StrategyError
from ibdesk.model import PlaceOrder, decode_actions, encode_actions
from ibdesk.store import replay


def change(path: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement, values)
    connection.close()


def position_of_order(recorded, at_least: int = 10) -> int:
    """The number of an event that caused an order."""
    return next(
        number
        for number, actions in enumerate(recorded.caused, 1)
        if number >= at_least and any(isinstance(action, PlaceOrder) for action in actions)
    )


def test_a_run_replays_equal(recorded) -> None:
    report = replay(recorded.path)

    orders = sum(isinstance(action, PlaceOrder) for actions in recorded.caused for action in actions)
    assert orders > 20
    assert (report.events, report.orders, report.runs) == (len(recorded.events), orders, ("run",))
    assert report.actions == sum(map(len, recorded.caused))


def test_an_action_that_was_changed_is_told_with_its_position_and_both_sides(recorded) -> None:
    number = position_of_order(recorded)
    actions = list(recorded.caused[number - 1])
    index = next(i for i, action in enumerate(actions) if isinstance(action, PlaceOrder))
    order = msgspec.structs.replace(actions[index].order, quantity=12_345.0)
    actions[index] = PlaceOrder(order)
    change(recorded.path, "UPDATE events SET actions = ? WHERE number = ?", encode_actions(actions), number)

    with pytest.raises(ReplayMismatchError, match=f"replay differs at event {number}: recorded PlaceOrder") as caught:
        replay(recorded.path)

    assert caught.value.position == number
    assert "12345" in caught.value.recorded
    assert "12345" not in caught.value.replayed


def test_an_action_that_was_left_out_is_told(recorded) -> None:
    number = position_of_order(recorded)
    change(recorded.path, "UPDATE events SET actions = NULL WHERE number = ?", number)

    with pytest.raises(ReplayMismatchError, match=f"replay differs at event {number}: recorded nothing, replayed "):
        replay(recorded.path)


def test_an_action_that_was_added_is_told(recorded) -> None:
    number = next(number for number, actions in enumerate(recorded.caused, 1) if not actions)
    extra = encode_actions(recorded.caused[position_of_order(recorded) - 1])
    change(recorded.path, "UPDATE events SET actions = ? WHERE number = ?", extra, number)

    with pytest.raises(ReplayMismatchError, match=rf"differs at event {number}: recorded .*, replayed nothing"):
        replay(recorded.path)


def test_an_event_that_is_missing_is_told(recorded) -> None:
    change(recorded.path, "DELETE FROM events WHERE number = 5")

    with pytest.raises(JournalError, match="lacks event 5: it is damaged"):
        replay(recorded.path)


def test_an_event_that_was_taken_out_without_a_trace_shows_in_the_decisions(recorded) -> None:
    """The numbers are closed up, so that only what the engine does can tell."""
    number = position_of_order(recorded)
    change(recorded.path, "DELETE FROM events WHERE number = ?", number)
    change(recorded.path, "UPDATE events SET number = -number WHERE number > ?", number)
    change(recorded.path, "UPDATE events SET number = -number - 1 WHERE number < 0")

    with pytest.raises(ReplayMismatchError) as caught:
        replay(recorded.path)

    assert caught.value.position >= number


def test_a_strategy_file_that_has_changed_is_refused(recorded, strategy_file: Path) -> None:
    strategy_file.write_text(strategy_file.read_text() + "\n# a remark\n")

    with pytest.raises(StrategyError, match=r"follower.py has changed: it was run as"):
        replay(recorded.path)


def test_a_strategy_file_that_is_gone_is_refused(recorded, strategy_file: Path) -> None:
    strategy_file.unlink()

    with pytest.raises(StrategyError, match=r"follower.py cannot be read: No such file"):
        replay(recorded.path)


def test_other_limits_give_other_decisions(make_journal, recorded) -> None:
    """The limits of the header count: with tight ones the same events place no order."""
    tight = make_journal("tight.sqlite", RiskLimits(max_order_shares=0.5))
    for event, actions in zip(recorded.events, recorded.caused, strict=True):
        tight.record(event, actions)
    tight.close()

    with pytest.raises(ReplayMismatchError, match="replayed OrderDenied"):
        replay(tight.path)


def test_progress_is_told_by_the_thousand(make_journal) -> None:
    from ibdesk.model import Quote

    journal = make_journal()
    for number in range(1, 2_501):
        journal.record(Quote("AAPL", number, 1.0, 2.0), ())
    journal.close()
    seen: list[int] = []

    report = replay(journal.path, progress=seen.append)

    assert (seen, report.events, report.runs) == ([1000, 2000], 2500, ())


def test_recorded_actions_are_told_apart_byte_for_byte(recorded) -> None:
    for actions in recorded.caused:
        assert encode_actions(decode_actions(encode_actions(actions))) == encode_actions(actions)
