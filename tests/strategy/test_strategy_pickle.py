"""Strategies from files go to other processes by their file, its hash and their parameters."""

from __future__ import annotations

import copy
import multiprocessing
import operator
import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ibdesk import Strategy
from ibdesk.errors import StrategyError
from ibdesk.strategy import LoadedStrategy, load_strategy

Write = Callable[[str], Path]
CODE = """
import enum
from ibdesk import Strategy


class Way(enum.Enum):
    UP = "up"
    DOWN = "down"


class Held(Strategy):
    size: int = 1
    way: Way = Way.UP
    names: set[str] = {"b", "a"}

    def target(self):
        return None
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(code: str) -> Path:
        path = tmp_path / "held.py"
        path.write_text(code)
        return path

    return write


def elsewhere(pickled: bytes) -> dict[str, object]:
    """The parameters of a pickled strategy, as another process has them."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found: dict[str, object] = pool.apply(pickle.loads, (pickled,)).model_dump(mode="json")
        return found


@pytest.mark.process
def test_a_strategy_from_a_file_reaches_a_spawned_process(write: Write) -> None:
    strategy = load_strategy(write(CODE)).cls(size=7, way="down")  # type: ignore[call-arg]

    with multiprocessing.get_context("spawn").Pool(1) as pool:
        dumped = pool.map(operator.methodcaller("model_dump", mode="json"), [strategy, strategy])
        back = pool.apply(copy.copy, (strategy,))

    assert dumped == [{"size": 7, "way": "down", "names": ["b", "a"]}] * 2
    assert back == strategy
    assert type(back) is type(strategy)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_strategy_class_and_loaded_file_survive_pickling(write: Write, protocol: int) -> None:
    loaded = load_strategy(write(CODE))

    assert pickle.loads(pickle.dumps(loaded, protocol)) == loaded
    assert pickle.loads(pickle.dumps(loaded.cls, protocol)) is loaded.cls
    assert pickle.loads(pickle.dumps(loaded.cls(), protocol)) == loaded.cls()
    assert isinstance(loaded, LoadedStrategy)


@pytest.mark.process
@pytest.mark.parametrize("change", ["mend", "remove"])
def test_a_file_that_has_changed_or_gone_is_told_in_one_sentence(write: Write, change: str) -> None:
    path = write(CODE)
    pickled = pickle.dumps(load_strategy(path).cls(size=3))  # type: ignore[call-arg]
    if change == "mend":
        write(CODE + "\n# mended\n")
    else:
        path.unlink()

    with pytest.raises(StrategyError) as caught:
        elsewhere(pickled)

    words = {"mend": f"{path} has changed: Held was loaded from ", "remove": f"strategy file {path} cannot be read: "}
    assert str(caught.value).startswith(words[change])
    assert "\n" not in str(caught.value)


class Imported(Strategy):
    """One that every process can import."""

    size: int = 2


def test_a_class_of_a_module_is_pickled_by_its_name() -> None:
    assert pickle.loads(pickle.dumps(Imported(size=5))) == Imported(size=5)
    assert pickle.loads(pickle.dumps(Imported)) is Imported
    assert b"held.py" not in pickle.dumps(Imported)
    assert sys.modules[Imported.__module__].Imported is Imported
