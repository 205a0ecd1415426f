"""Strategy files are tried in a separate process, so that none of them delays a desk."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ibdesk.desk import Desk
from ibdesk.desk.strategy_limits import TrialLimits
from ibdesk.desk.strategy_trial import load_tried, try_file
from ibdesk.errors import StrategyError
from ibdesk.store import Topic

Watch = Callable[[Desk], Any]
WriteStrategy = Callable[[str, str], Path]
Open = Callable[..., Desk]

LIMITS = TrialLimits(seconds=1.0)
HEAD = "from ibdesk import Strategy\nfrom pydantic import field_validator\n\n\n"
GOOD = "class Good(Strategy):\n    '''Does nothing.'''\n\n    size: int = 1\n"
LOOPS_IN_VALIDATOR = """
class Good(Strategy):
    size: int = 1

    @field_validator("size")
    @classmethod
    def check(cls, size):
        while size == 13:
            pass
        return size
"""
LOOPS_IN_FEATURES = """
class Good(Strategy):
    size: int = 1

    def features(self):
        while self.size == 13:
            pass
        return {}
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def write(code: str) -> Path:
        path = tmp_path / "good.py"
        path.write_text(HEAD + code)
        return path

    return write


def test_a_file_is_described_without_being_run_here(write: Callable[[str], Path]) -> None:
    tried = try_file(write("print('loaded')\n" + GOOD), {"size": 3}, TrialLimits())

    assert (tried.class_name, tried.description) == ("Good", "Does nothing.")
    assert tried.parameters["properties"]["size"]["default"] == 1


@pytest.mark.parametrize(
    ("code", "parameters", "words"),
    [
        ("while True:\n    pass\n" + GOOD, {}, "takes more than 1 s to load: .*strategy_load_seconds sets the limit"),
        ("x = [0] * 10**10\n" + GOOD, {}, "fails while loading: MemoryError"),
        ("x = 10 ** (10 ** 10)\n" + GOOD, {}, "takes more than 1 s to load"),
        (LOOPS_IN_VALIDATOR, {"size": 13}, "takes more than 1 s to load"),
        (LOOPS_IN_FEATURES, {"size": 13}, "takes more than 1 s to load"),
        ("raise SystemExit(0)\n" + GOOD, {}, "line 5, fails while loading: SystemExit: 0"),
        (GOOD, {"size": "many"}, "Good cannot have these parameters: size: "),
        (GOOD, {"weight": 1}, "its parameters: size"),
        ("import time\n" + GOOD, {}, "a strategy may not use import time"),
    ],
    ids=["loop", "memory", "number", "validator", "features", "exit", "value", "unknown", "import"],
)
def test_what_a_file_may_not_is_told_in_one_sentence(
    write: Callable[[str], Path], code: str, parameters: dict[str, object], words: str
) -> None:
    path = write(code)

    with pytest.raises(StrategyError, match=words) as caught:
        load_tried(path, parameters, LIMITS)

    assert str(path) in str(caught.value) or "Good" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_was_tried_is_not_tried_again(write: Callable[[str], Path]) -> None:
    path = write(GOOD)
    load_tried(path, {}, LIMITS)
    began = time.perf_counter()

    load_tried(path, {}, LIMITS)

    # No process starts in so short a time.
    assert time.perf_counter() - began < 0.2


_STEADY = """
def on_bar(self, bar: Bar) -> None:
    self.buy(bar.instrument, 1)
"""


@pytest.mark.parametrize("endless", ["while True:\n    pass\n", "x = sum(iter(int, 1))\n"], ids=["loop", "in C"])
def test_a_desk_trades_on_while_a_file_that_never_ends_is_started(
    open_desk: Open, watch: Watch, write_strategy: WriteStrategy, write: Callable[[str], Path], endless: str
) -> None:
    desk = open_desk(strategy_load_seconds=2.0)
    watcher = watch(desk)
    run = desk.start(write_strategy("steady", _STEADY), on=["AAPL"])
    started = desk.submit(_start, write(endless + GOOD))
    fills = len(watcher.wait_for(Topic.FILLS, owner=run))
    watcher.wait_for(Topic.FILLS, owner=run, count=fills + 3)

    with pytest.raises(StrategyError, match="takes more than 2 s to load"):
        started.result(60)

    assert [info.run_id for info in desk.runs()] == [run]


async def _start(operations: Any, path: Path) -> str:
    started: str = await operations.start(path, on=["IBM"])
    return started


@pytest.mark.parametrize("code", [LOOPS_IN_VALIDATOR, LOOPS_IN_FEATURES], ids=["validator", "features"])
def test_parameters_with_which_the_code_never_ends_are_refused(
    open_desk: Open, write: Callable[[str], Path], code: str
) -> None:
    desk = open_desk(strategy_load_seconds=1.0)
    run = desk.start(write(code), on=["AAPL"])

    with pytest.raises(StrategyError, match="takes more than 1 s to load"):
        desk.change_parameters(run, {"size": 13})

    assert desk.change_parameters(run, {"size": 2}).parameters == {"size": 2}
    assert [info.state for info in desk.runs()] == ["running"]
