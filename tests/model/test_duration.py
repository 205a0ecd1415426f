"""Lengths of time are written in one form everywhere."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.model.duration import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90d", 7_776_000),
        ("12h", 43_200),
        ("1d12h", 129_600),
        ("1d 12h", 129_600),
        ("2w", 1_209_600),
        ("30m", 1_800),
        ("45s", 45),
        ("1.5h", 5_400),
        ("P90D", 7_776_000),
        ("PT12H", 43_200),
        ("P1DT12H", 129_600),
        ("P2W", 1_209_600),
        ("pt90m", 5_400),
        (" 90D ", 7_776_000),
    ],
)
def test_a_length_of_time_is_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["3weeks", "", "d", "90", "-1d", "0d", "P", "PT", "P1H", "1d!", "x1d", "9" * 400 + "d", "1,5d", "nan d"]
)
def test_anything_else_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match=r"Use days or hours, e\.g\. 90d or 12h\."):
        parse_duration(text)


@given(st.text(max_size=20))
def test_no_text_breaks_it(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert parse_duration(text) > 0


@given(st.integers(1, 9_999), st.integers(1, 23))
def test_both_forms_say_the_same(days: int, hours: int) -> None:
    assert parse_duration(f"{days}d{hours}h") == parse_duration(f"P{days}DT{hours}H") == days * 86_400 + hours * 3_600
