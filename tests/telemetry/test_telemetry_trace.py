"""One id follows a request through everything it causes."""

from __future__ import annotations

import asyncio

import pytest

from ibdesk.telemetry import correlated, correlation_id, new_correlation_id
from ibdesk.telemetry.trace import is_tame


async def test_a_task_inherits_the_id_and_its_neighbor_has_its_own() -> None:
    async def seen() -> str:
        await asyncio.sleep(0)
        return correlation_id.get()

    with correlated("order-0001"):
        first = asyncio.create_task(seen())
    with correlated("order-0002"):
        second = asyncio.create_task(seen())

    assert [await first, await second, await seen()] == ["order-0001", "order-0002", ""]


def test_an_id_is_kept_inside_and_gone_outside() -> None:
    with correlated() as outer, correlated() as inner, correlated("another-one") as given:
        assert (inner, given, correlation_id.get()) == (outer, "another-one", "another-one")

    assert len(outer) == 32
    assert correlation_id.get() == ""


@pytest.mark.parametrize(
    ("given", "tame"),
    [
        ("abc-12345", True),
        ("0123456789abcdef0123456789abcdef", True),
        ("short", False),
        ("a" * 65, False),
        ("line\nbreak", False),
    ],
)
def test_an_id_made_up_by_somebody_else_must_be_tame(given: str, *, tame: bool) -> None:
    assert is_tame(given) is tame


def test_ids_of_our_own_are_tame_and_never_the_same() -> None:
    made = {new_correlation_id() for _ in range(100)}

    assert len(made) == 100
    assert all(map(is_tame, made))
