"""Bar lengths in words, and instants."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.errors import ConfigError
from ibdesk.model import interval_ns, interval_words, moment, nanoseconds

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("words", "seconds"),
    [("5 secs", 5), ("5s", 5), ("1 min", 60), ("15 mins", 900), (" 2 Hours ", 7200), ("1 day", 86_400), ("1d", 86_400)],
)
def test_words_name_a_length(words: str, seconds: int) -> None:
    assert interval_ns(words) == seconds * SECOND


@pytest.mark.parametrize("words", ["", "5", "min", "0 secs", "-1 min", "1.5 mins", "1 month", "5 secs 1", "1e3 s"])
def test_what_names_no_length_is_refused_with_examples(words: str) -> None:
    with pytest.raises(ConfigError, match="write 5 secs, 1 min, 4 hours or 1 day"):
        interval_ns(words)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1, "1 sec"), (5, "5 secs"), (60, "1 min"), (90, "90 secs"), (7200, "2 hours"), (86_400, "1 day")],
)
def test_a_length_is_told_in_its_largest_whole_unit(seconds: int, words: str) -> None:
    assert interval_words(seconds * SECOND) == words


@pytest.mark.parametrize("nanoseconds_", [500_000_000, 1_500_000_000])
def test_a_length_that_is_no_whole_second_is_told_exactly(nanoseconds_: int) -> None:
    assert interval_words(nanoseconds_) == f"{nanoseconds_} ns"


@given(st.integers(1, 999_999))
def test_the_words_of_a_length_name_it_again(seconds: int) -> None:
    assert interval_ns(interval_words(seconds * SECOND)) == seconds * SECOND


@given(st.integers(-(10**18), 4 * 10**18))
def test_a_moment_keeps_the_whole_microseconds(time_ns: int) -> None:
    assert moment(time_ns).tzinfo is dt.UTC
    assert nanoseconds(moment(time_ns)) == time_ns // 1000 * 1000


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        nanoseconds(dt.datetime(2026, 3, 5))  # noqa: DTZ001 - that is the point
