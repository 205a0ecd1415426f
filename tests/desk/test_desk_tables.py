"""Tables of orders and fills equal newly built ones after any replacement."""

from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.desk.tables import BlockTable

CHANGES = st.lists(st.tuples(st.integers(0, 700), st.integers(1, 9)), max_size=20)


def frame_of(entries: list[tuple[int, int]]) -> pl.DataFrame:
    return pl.DataFrame({"number": [entry[0] for entry in entries], "value": [entry[1] for entry in entries]})


@given(st.lists(st.tuples(st.integers(0, 700), CHANGES), max_size=6))
def test_a_table_is_what_its_entries_are(steps: list[tuple[int, list[tuple[int, int]]]]) -> None:
    entries: list[tuple[int, int]] = []
    table = BlockTable(frame_of)
    for length, changes in steps:
        entries = entries[:length] + [(number, 0) for number in range(len(entries), length)]
        for place, value in changes:
            if place < length:
                entries[place] = (place, value)

        assert table.of(list(entries)).rows() == entries


def test_only_blocks_with_a_change_are_made_again() -> None:
    made = 0

    def make(entries: list[tuple[int, int]]) -> pl.DataFrame:
        nonlocal made
        made += len(entries)
        return frame_of(entries)

    entries = [(number, 0) for number in range(10_000)]
    table = BlockTable(make)
    table.of(list(entries))
    made = 0
    entries[5_000] = (5_000, 1)
    entries.append((10_000, 0))
    table.of(list(entries))

    assert 2 <= made < 500
