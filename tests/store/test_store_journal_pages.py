"""Pages of a journal: filtered, in order, one bounded stretch at a time, while the desk continues to write."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from ibdesk.model import Bar, HaltTrading, Quote, Restore
from ibdesk.store import JournalFilter, JournalPage, journal_infos, read_page

ALL = JournalFilter()


def every_page(path: Path, wanted: JournalFilter, *, limit: int = 7, newest_first: bool = False) -> list[int]:
    """The numbers of all rows, page after page."""
    numbers: list[int] = []
    page = read_page(path, wanted, limit=limit, newest_first=newest_first)
    while True:
        numbers += [row.number for row in page.rows]
        if not page.next:
            return numbers
        bounds = {"before": page.next} if newest_first else {"after": page.next}
        page = read_page(path, wanted, limit=limit, newest_first=newest_first, **bounds)


def test_pages_follow_each_other_without_gap_or_repeat(recorded) -> None:
    numbers = list(range(1, len(recorded.events) + 1))

    assert every_page(recorded.path, ALL) == numbers
    assert every_page(recorded.path, ALL, newest_first=True) == numbers[::-1]


def test_a_long_journal_is_read_a_stretch_at_a_time(recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ibdesk.store.journal_pages._STRETCH", 10)
    halts = JournalFilter(kinds=("halt_trading",))

    assert read_page(recorded.path, halts) == JournalPage(rows=[], next=10)
    assert every_page(recorded.path, halts) == every_page(recorded.path, halts, newest_first=True) == []
    assert every_page(recorded.path, ALL) == list(range(1, len(recorded.events) + 1))


def test_a_row_is_plain_data(recorded) -> None:
    fills = read_page(recorded.path, JournalFilter(kinds=("fill",)), limit=1)
    start = read_page(recorded.path, JournalFilter(kinds=("start_strategy",)), limit=1)

    [row] = fills.rows
    assert (row.kind, row.event["price"], row.event["side"]) == ("fill", 100.0, "buy")
    assert row.actions[0]["kind"] == "alert"
    assert (start.rows[0].event["history"], start.rows[0].event["by"]) == ({}, "operator")


@pytest.mark.parametrize("order_id", ["run.7", "manual-3"])
def test_all_events_of_one_order(recorded, order_id: str) -> None:
    numbers = every_page(recorded.path, JournalFilter(order_id=order_id))

    expected = [
        number
        for number, (event, actions) in enumerate(zip(recorded.events, recorded.caused, strict=True), 1)
        if f"'{order_id}'" in f"{event} {actions}" and "Alert" not in f"{event}"
    ]
    assert numbers == expected
    assert numbers


def test_a_run_and_the_book_by_hand_are_told_apart(recorded) -> None:
    run = set(every_page(recorded.path, JournalFilter(run_id="run")))
    manual = set(every_page(recorded.path, JournalFilter(run_id="manual")))

    kinds = {type(recorded.events[number - 1]).__name__ for number in manual}
    assert kinds == {"PlaceRequest", "ModifyRequest", "CancelRequest"}
    assert 1 in run
    assert not run & manual


def test_times_bound_a_page(recorded) -> None:
    at_ns = recorded.events[30].at_ns
    numbers = every_page(recorded.path, JournalFilter(since_ns=at_ns, until_ns=at_ns))

    assert numbers == [number for number, event in enumerate(recorded.events, 1) if event.at_ns == at_ns]


def test_what_is_no_number_is_none_and_a_snapshot_is_told_by_its_sizes(make_journal) -> None:
    journal = make_journal()
    journal.record(Restore(account="DU1", at_ns=1), ())
    journal.record(Quote("AAPL", 2, math.nan, 1.0), ())
    journal.commit()

    takeover, quote = read_page(journal.path, ALL).rows

    assert takeover.event["snapshot"] == {"books": 0, "orders": 0, "fills": 0, "runs": 0}
    assert (quote.event["bid"], quote.event["ask"]) == (None, 1.0)


def test_reading_does_not_hold_up_the_writer(make_journal) -> None:
    journal = make_journal()
    for number in range(1, 2_000):
        journal.record(Bar("AAPL", number, 5, 1.0, 1.0, 1.0, 1.0, 1.0), ())
    journal.commit()
    from ibdesk.store import stretch

    reading = stretch(journal.path, ALL)
    assert next(reading)
    for number in range(100):
        journal.record(HaltTrading("stop", number), ())
        journal.commit()

    # Who reads sees the journal as it was when he began.
    assert sum(1 for _ in reading) == 1_998
    assert len(every_page(journal.path, JournalFilter(kinds=("halt_trading",)), limit=1_000)) == 100


def test_journals_are_listed_newest_first_and_a_strange_file_is_named(make_journal, tmp_path: Path) -> None:
    make_journal("paper-20260101-000000-000000.sqlite")
    make_journal("embedded-20260102-000000-000000.sqlite")
    (tmp_path / "paper-20260103-000000-000000.sqlite").write_text("something else")

    infos = journal_infos(tmp_path, current="paper-20260101-000000-000000.sqlite", limit=3)

    assert [info.name[:5] for info in infos] == ["paper", "embed", "paper"]
    assert "is not a journal of ibdesk" in infos[0].note
    assert [info.is_current for info in infos] == [False, False, True]
    assert infos[2].account == "DU1"
