"""An unknown name is refused on the embedded market unless a setting allows it, and the message helps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ibdesk.desk import Desk
from ibdesk.errors import InstrumentError

OpenDesk = Callable[..., Desk]
REMEDY = r"the embedded market has it if gateway\.symbols names it, or with gateway\.invent = true"


@pytest.fixture
def walk(open_desk: OpenDesk) -> Desk:
    """A desk on the market that never was, as it is without any setting."""
    return open_desk(gateway={"port": 0})


def test_a_name_that_nobody_lists_is_refused_everywhere(walk: Desk, ema_cross: Path) -> None:
    for ask in (
        lambda: walk.start(ema_cross, on="NOPE", warm_up=0),
        lambda: walk.place("NOPE", "buy", 1),
        lambda: walk.watch("NOPE"),
        lambda: walk.history("NOPE"),
        lambda: walk.instrument("NOPE"),
    ):
        with pytest.raises(InstrumentError, match=rf"NOPE.*{REMEDY}"):
            ask()
    assert walk.runs() == []
    assert walk.orders().is_empty()


def test_several_names_in_one_are_told_apart(walk: Desk, ema_cross: Path) -> None:
    with pytest.raises(InstrumentError, match="several instruments are given apart: AAPL, MSFT"):
        walk.start(ema_cross, on="AAPL MSFT", warm_up=0)


@pytest.mark.parametrize("name", ["BRK B", "BRK-B", "brk.b", " BRK/B "])
def test_a_share_class_that_is_not_listed_is_one_name(walk: Desk, name: str) -> None:
    with pytest.raises(InstrumentError, match=rf"TWS knows no stock BRK\.B .*{REMEDY}") as raised:
        walk.place(name, "buy", 1)

    assert "several instruments" not in str(raised.value)


@pytest.mark.parametrize(("typed", "meant"), [("APPL", "AAPL"), ("MSTF", "MSFT"), ("GOOGLE", "GOOGL or GOOG")])
def test_names_that_are_alike_are_suggested(walk: Desk, typed: str, meant: str) -> None:
    with pytest.raises(InstrumentError, match=rf"did you mean {meant}"):
        walk.place(typed, "buy", 1)


def test_a_name_that_is_asked_for_is_found(open_desk: OpenDesk) -> None:
    listed = open_desk(gateway={"port": 0, "symbols": ["NOPE", "AAPL"]})

    assert listed.place("NOPE", "buy", 1).symbol == "NOPE"
    with pytest.raises(InstrumentError):
        listed.place("NADA", "buy", 1)


def test_any_name_is_found_where_the_market_makes_it_up(open_desk: OpenDesk) -> None:
    assert open_desk(gateway={"port": 0, "invent": True}).place("NOPE", "buy", 1).symbol == "NOPE"


def test_what_is_known_needs_no_word(walk: Desk) -> None:
    for name in ("NVDA", "KO", "EUR.USD", "EUR.CHF", "SPY"):
        assert walk.place(name, "buy", 1).symbol == name
