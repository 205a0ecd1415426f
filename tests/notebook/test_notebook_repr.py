"""What a desk and its answers look like as the last value of a cell."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

from ibdesk import Desk
from ibdesk.errors import DecisionError

STRATEGY = Path(__file__).parents[2] / "strategies" / "ema_cross.py"
FAILING = """
def decide():
    return 1 / 0

try:
    decide()
except ZeroDivisionError as error:
    raise DecisionError("it failed") from error
"""


def text_of(page: str) -> str:
    return re.sub(r"<[^>]+>", " ", page)


def test_a_desk_and_its_answers_are_tables(desk: Desk) -> None:
    run = desk.start(str(STRATEGY), on=["AAPL"], bar="5 secs", warm_up=0)

    assert "paper" in text_of(desk._repr_html_())
    assert run in text_of(desk.runs()._repr_html_())
    assert "fast 12, slow 26, size 100" in text_of(desk.runs()._repr_html_())
    assert "1,000,000.00" in text_of(desk.account()._repr_html_())
    risk = text_of(desk.risk()._repr_html_())
    assert "max daily loss 25,000" in risk.replace("_", " ")
    assert "link   up" in re.sub(r"[ ]+", "   ", text_of(desk.health()._repr_html_()))
    for page in (desk.risk()._repr_html_(), desk.health()._repr_html_()):
        assert "_ns" not in page


def test_a_closed_desk_says_so(desk: Desk) -> None:
    desk.close()

    assert "closed" in desk._repr_html_()


def test_a_denied_order_is_one_line(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    shell = InteractiveShell()
    shell.user_ns["desk"] = desk
    desk.halt(reason="lunch")

    shell.run_cell('desk.place("AAPL", "buy", 100)')

    said = capsys.readouterr().out.strip().splitlines()
    assert len(said) == 1
    assert "denied" in said[0]


def test_a_strategy_that_fails_shows_where(capsys: pytest.CaptureFixture[str]) -> None:
    shell = InteractiveShell()
    shell.user_ns["DecisionError"] = DecisionError

    shell.run_cell(FAILING)

    assert "in decide" in capsys.readouterr().out
