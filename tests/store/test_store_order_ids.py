"""No order id is used twice, whatever happens between two processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ibdesk.errors import JournalError
from ibdesk.store import OrderIdMark


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "order-ids-127.0.0.1-4002-1"


def test_the_first_desk_begins_at_one(path: Path) -> None:
    assert OrderIdMark(path).reserved == 1
    assert not path.exists()


def test_a_used_id_lies_below_the_mark_of_the_next_desk(path: Path) -> None:
    mark = OrderIdMark(path)
    for order_id in range(1, 250):
        mark.cover(order_id)

        assert OrderIdMark(path).reserved > order_id


def test_the_file_is_written_once_in_a_hundred_ids(path: Path) -> None:
    mark = OrderIdMark(path)
    mark.cover(1)
    written = path.stat().st_ino

    for order_id in range(2, 101):
        mark.cover(order_id)
    assert path.stat().st_ino == written

    mark.cover(101)
    assert OrderIdMark(path).reserved > 101


def test_a_smaller_id_does_not_move_the_mark_back(path: Path) -> None:
    mark = OrderIdMark(path)
    mark.cover(5_000)

    mark.cover(3)

    assert OrderIdMark(path).reserved > 5_000


@settings(max_examples=40)
@given(ids=st.lists(st.integers(1, 10_000), max_size=20), processes=st.integers(1, 4))
def test_the_mark_never_goes_back(tmp_path_factory: pytest.TempPathFactory, ids: list[int], processes: int) -> None:
    path = tmp_path_factory.mktemp("ids") / "mark"
    highest = 0
    for _ in range(processes):
        mark = OrderIdMark(path)
        assert mark.reserved > highest
        for order_id in ids:
            mark.cover(order_id)
            highest = max(highest, order_id)
            assert mark.reserved > highest


@pytest.mark.parametrize("content", ["", "many", "1.5", "\xff"])
def test_a_file_without_a_number_is_named_with_what_to_do(path: Path, content: str) -> None:
    path.parent.mkdir()
    path.write_text(content)

    with pytest.raises(
        JournalError, match=f"{path} cannot be read .*: write a number above the last used order id there"
    ):
        OrderIdMark(path)


def test_an_id_that_could_not_be_noted_is_not_taken_for_noted(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    mark = OrderIdMark(tmp_path / "state" / "mark")

    for order_id in (1, 2):
        with pytest.raises(JournalError, match=f"the mark of order ids in {tmp_path}/state/mark cannot be written: "):
            mark.cover(order_id)


def test_two_marks_in_one_folder_do_not_touch_each_other(path: Path) -> None:
    other = path.with_name("order-ids-127.0.0.1-7497-2")
    path.parent.mkdir()
    # What another desk has not finished to write lies in the way of nobody.
    path.with_name("order-ids-127.0.0.new").mkdir()

    OrderIdMark(path).cover(5)
    OrderIdMark(other).cover(900)

    assert (OrderIdMark(path).reserved, OrderIdMark(other).reserved) == (105, 1000)


TAKER = """
import sys
from pathlib import Path
from ibdesk.store import OrderIdMark

mark = OrderIdMark(Path(sys.argv[1]))
order_id = mark.reserved
while True:
    mark.cover(order_id)
    print(order_id, flush=True)
    order_id += 37
"""


@pytest.mark.proof
def test_killed_processes_never_use_an_id_again(path: Path) -> None:
    highest = 0
    for lines in (1, 100):
        with subprocess.Popen([sys.executable, "-c", TAKER, str(path)], stdout=subprocess.PIPE, text=True) as taker:
            assert taker.stdout is not None
            first = int(taker.stdout.readline())
            for _ in range(lines):
                taker.stdout.readline()
            os.kill(taker.pid, signal.SIGKILL)
            used = [first, *map(int, taker.stdout.read().splitlines())]
        assert first > highest
        highest = max(highest, *used, first + 37 * lines)
