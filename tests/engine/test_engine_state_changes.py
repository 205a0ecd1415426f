"""A state is journaled by its changes, and applying the changes gives the state, byte for byte."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ibdesk.engine.state_changes import apply_changes, changes_between, decode_state, encode_state

PLAIN: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(max_size=4)
    | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=2), inner, max_size=5),
    max_leaves=25,
)
STATES = st.dictionaries(st.text(max_size=2), PLAIN, max_size=6)


def canonical(state: dict[str, Any]) -> dict[str, Any]:
    return decode_state(encode_state(state))


def size(changes: list[Any]) -> int:
    return len(encode_state(changes))


@pytest.mark.slow
@settings(max_examples=500)
@given(STATES, STATES)
def test_changes_applied_give_the_state(before: dict[str, Any], after: dict[str, Any]) -> None:
    changes = changes_between(canonical(before), canonical(after))

    assert encode_state(apply_changes(canonical(before), changes)) == encode_state(canonical(after))
    assert (changes == []) == (encode_state(before) == encode_state(after))
    # Through the journal and back they are the same.
    assert encode_state(apply_changes(canonical(before), decode_state(encode_state({"c": changes}))["c"])) == (
        encode_state(canonical(after))
    )


@settings(max_examples=300)
@given(
    st.lists(st.integers(0, 3) | st.sampled_from([0.0, -0.0, math.nan, True, None]), max_size=12),
    st.lists(st.integers(0, 3) | st.sampled_from([0.0, -0.0, math.nan, False]), max_size=12),
    st.integers(0, 14),
    st.integers(0, 14),
)
def test_lists_that_are_cut_moved_and_grown_come_out_right(
    values: list[Any], more: list[Any], start: int, end: int
) -> None:
    before, after = {"x": values}, {"x": values[:start] + more + values[end:]}

    assert encode_state(apply_changes(canonical(before), changes_between(canonical(before), canonical(after)))) == (
        encode_state(after)
    )


def window(first: int) -> dict[str, Any]:
    return {"closes": [100.0 + number / 7 for number in range(first, first + 6_000)], "bars": first, "sum": first / 3}


def test_a_window_that_moves_costs_what_has_come() -> None:
    changes = changes_between(window(0), window(1))

    # The whole state is 54 kB.
    assert len(encode_state(window(0))) > 54_000
    assert size(changes) < 150
    assert apply_changes(window(0), changes) == window(1)


@pytest.mark.parametrize("index", [0, 1, 2_999, 5_999])
def test_one_element_of_many_costs_one(index: int) -> None:
    after = window(0)
    after["closes"][index] = -1.0

    assert changes_between(window(0), after) == [["splice", ["closes"], index, 1, [-1.0]]] or (
        changes_between(window(0), after) == [["set", ["closes", index], -1.0]]
    )


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ({}, {}, []),
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 1.0}, [["set", ["a"], 1.0]]),
        ({"a": 1}, {"a": True}, [["set", ["a"], True]]),
        ({"a": 0.0}, {"a": -0.0}, [["set", ["a"], -0.0]]),
        ({"a": 1, "b": 2}, {"b": 2}, [["drop", ["a"]]]),
        ({"a": 1}, {"a": 1, "b": [2]}, [["set", ["b"], [2]]]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, [["set", [], {"b": 2, "a": 1}]]),
        ({"x": [1, 2, 3]}, {"x": [1, 2, 3, 4]}, [["splice", ["x"], 3, 0, [4]]]),
    ],
)
def test_what_changes_look_like(before: dict[str, Any], after: dict[str, Any], changes: list[Any]) -> None:
    assert changes_between(before, after) == changes
    assert list(apply_changes(before, changes).items()) == list(after.items())


@pytest.mark.parametrize(
    "change", [["set", ["a", "b"], 1], ["drop", ["z"]], ["splice", ["a"], 0, 1, []], ["move", ["a"]]]
)
def test_changes_of_another_state_are_refused(change: list[Any]) -> None:
    with pytest.raises(ValueError, match="is not a change of this state"):
        apply_changes({"a": 1}, [change])
