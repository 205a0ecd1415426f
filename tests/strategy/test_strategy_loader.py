"""Strategy files: which ones load, and with which sentence the others are refused."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import ibdesk
from ibdesk import Strategy
from ibdesk.errors import StrategyError
from ibdesk.model import StartStrategy, Stock, StrategySource
from ibdesk.strategy import StrategyRegistry, load_strategy, make_strategy, strategy_of
from ibdesk.strategy.replayable import PUBLIC_NAMES

STRATEGIES = Path(__file__).parents[2] / "strategies"
GOOD = '''
"""Holds one share."""
import math

import numpy as np
import polars as pl

from ibdesk import Field, Strategy, ema


class Holder(Strategy):
    """Holds `size` shares."""

    size: float = Field(1, gt=0)

    def target(self) -> pl.Expr:
        return pl.lit(self.size)
'''

Write = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(code: str | bytes) -> Path:
        path = tmp_path / "holder.py"
        path.write_bytes(code if isinstance(code, bytes) else code.encode())
        return path

    return write


def loaded_files() -> set[str]:
    return {name for name in sys.modules if name.startswith("ibdesk_strategy_")}


def start_of(source: StrategySource, **parameters: object) -> StartStrategy:
    return StartStrategy(
        run_id="r",
        source=source,
        parameters=dict(parameters),
        instruments=[Stock("AAPL")],
        interval_ns=60_000_000_000,
        at_ns=0,
    )


@pytest.mark.parametrize("path", sorted(STRATEGIES.glob("*.py")), ids=lambda path: path.stem)
def test_each_strategy_of_the_house_loads_and_describes_its_parameters(path: Path) -> None:
    loaded = load_strategy(path)

    assert make_strategy(loaded.cls, {}).model_json_schema()["title"] == loaded.source.class_name
    assert loaded.cls.__doc__


def test_a_file_gives_its_class_and_the_hash_of_its_bytes(write: Write) -> None:
    path = write(GOOD)

    loaded = load_strategy(path)

    assert issubclass(loaded.cls, Strategy)
    assert loaded.source == StrategySource("Holder", str(path), hashlib.sha256(GOOD.encode()).hexdigest())
    assert load_strategy(str(path)).source == loaded.source


def test_one_more_byte_is_another_file(write: Write) -> None:
    before = load_strategy(write(GOOD)).source.sha256

    assert load_strategy(write(GOOD + "\n")).source.sha256 != before


def test_the_names_a_strategy_may_import_are_public() -> None:
    assert set(ibdesk.__all__) >= PUBLIC_NAMES


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.py", tmp_path):
        with pytest.raises(StrategyError, match=f"strategy file {path} cannot be read: "):
            load_strategy(path)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("class A(:\n    pass\n", "holder.py, line 1: not valid Python: invalid syntax"),
        ("import math\n\n\ndef f()\n    pass\n", "holder.py, line 4: not valid Python: expected ':'"),
        ("x = 1\n  y = 2\n", "holder.py, line 2: not valid Python: unexpected indent"),
        (b"x = '\xff\xfe'\n", "holder.py.*: not valid Python: "),
        (b"x = 1\x00\n", "holder.py.*: not valid Python: "),
        ("return 1\n", "holder.py, line 1: not valid Python: 'return' outside function"),
    ],
)
def test_what_is_no_python_is_refused_with_file_and_line(write: Write, code: str | bytes, sentence: str) -> None:
    with pytest.raises(StrategyError, match=sentence) as caught:
        load_strategy(write(code))

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("", "none"),
        ("class A:\n    pass\n", "none"),
        ("from ibdesk import Strategy\n", "none"),
        ("from ibdesk import Strategy\nclass A(Strategy): pass\nclass B(Strategy): pass\n", "A, B"),
    ],
)
def test_a_file_must_define_exactly_one_strategy(write: Write, code: str, found: str) -> None:
    known = loaded_files()

    with pytest.raises(
        StrategyError, match=rf"must define exactly one subclass of ibdesk.Strategy; it defines {found}$"
    ):
        load_strategy(write(code))

    assert known == loaded_files()


def test_a_second_name_for_the_same_strategy_is_no_second_strategy(write: Write) -> None:
    assert load_strategy(write(GOOD + "\nAlias = Holder\n")).cls.__name__ == "Holder"


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("import time", "import time"),
        ("import random", "import random"),
        ("import os.path", "import os.path"),
        ("import requests", "import requests"),
        ("import math, secrets", "import secrets"),
        ("from time import monotonic", "import time.monotonic"),
        ("from os import environ", "import os.environ"),
        ("from numpy import random", "import numpy.random"),
        ("from numpy.random import default_rng", "import numpy.random.default_rng"),
        ("import numpy.random as chance", "import numpy.random"),
        ("import ibdesk.desk", "import ibdesk.desk"),
        ("from ibdesk.desk import Desk", "import ibdesk.desk.Desk"),
        ("from ibdesk import Desk", "ibdesk.Desk"),
        ("from ibdesk import *", r"ibdesk\.\*"),
        ("import ibdesk\nx = ibdesk.backtest", "ibdesk.backtest"),
        ("from . import other", "a relative import"),
        ("from .other import x", "a relative import"),
        ("def f():\n    import socket", "import socket"),
        ("x = open('prices.csv')", r"open\(\)"),
        ("x = eval('1')", r"eval\(\)"),
        ("x = sorted([], key=hash)", r"hash\(\)"),
        ("x = __import__('time')", r"__import__\(\)"),
        ("from datetime import datetime\nx = datetime.now()", "datetime.now"),
        ("import datetime as dt\nx = dt.datetime.utcnow()", "datetime.utcnow"),
        ("import datetime\nx = datetime.date.today()", "date.today"),
        ("import numpy as np\nx = np.random.rand()", "np.random"),
        ("import numpy as np\nx = np.loadtxt('a')", "np.loadtxt"),
        ("import polars as pl\nx = pl.read_csv('prices.csv')", "pl.read_csv"),
        ("import polars as pl\nx = pl.scan_parquet('prices')", "pl.scan_parquet"),
    ],
)
def test_what_could_not_be_replayed_is_refused_with_file_and_line(write: Write, line: str, what: str) -> None:
    number = 1 + line.count("\n")

    with pytest.raises(StrategyError, match=rf"holder.py, line {number}: a strategy may not use {what}, because"):
        load_strategy(write(line + "\n" + GOOD))


@pytest.mark.parametrize(
    "lines",
    [
        "from ibdesk import Bar, Ema, Fill, Order, OrderStatus, Position, Quote, Severity, Side, TimeInForce",
        "import ibdesk\nx = ibdesk.ema",
        "from __future__ import annotations\nimport datetime as dt\nfrom collections.abc import Sequence",
        "def f(bar):\n    open, high = bar.open, bar.high\n    return open + high",
        "def f(input, *, id=1):\n    return input + id",
        "def f(me):\n    return me.now, me.order.id",
    ],
)
def test_what_can_be_replayed_is_left_alone(write: Write, lines: str) -> None:
    code = lines + "\n" + GOOD.replace("import math", "")

    assert load_strategy(write(code)).cls.__name__ == "Holder"


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (
            "import math\nx = 1 / 0\n",
            "holder.py, line 2, fails while loading: ZeroDivisionError: division by zero",
        ),
        ("raise SystemExit(3)\n", "holder.py, line 1, fails while loading: SystemExit: 3"),
        (
            "from ibdesk import Strategy\nclass A(Strategy):\n    x = 3\n",
            "holder.py, line 2, fails while loading: ",
        ),
    ],
)
def test_a_file_that_fails_is_refused_and_leaves_nothing_behind(write: Write, lines: str, sentence: str) -> None:
    known = loaded_files()

    with pytest.raises(StrategyError, match=sentence) as caught:
        load_strategy(write(lines))

    assert "\n" not in str(caught.value)
    assert known == loaded_files()


# --- the file of a class


def imported(path: Path) -> type[Strategy]:
    spec = importlib.util.spec_from_file_location("typed_by_a_person", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    cls: type[Strategy] = module.Holder
    return cls


@pytest.fixture(autouse=True)
def forget_modules():
    yield
    sys.modules.pop("typed_by_a_person", None)


def test_an_imported_class_is_found_in_its_file(write: Write) -> None:
    path = write(GOOD)

    assert strategy_of(imported(path)).source == load_strategy(path).source


def test_a_class_in_a_script_has_no_file_of_its_own(write: Write) -> None:
    cls = imported(write("from ibdesk import backtest, load_strategy\n" + GOOD + "\nassert backtest\nprint()\n"))

    assert strategy_of(cls).source == StrategySource("Holder")
    assert strategy_of(cls).cls is cls


def test_a_class_in_a_test_has_no_file_of_its_own() -> None:
    class Here(Strategy):
        pass

    assert strategy_of(Here).source == StrategySource("Here")


# --- the registry


def test_the_shelf_finds_a_strategy_by_its_file_with_its_parameters(write: Write) -> None:
    source = load_strategy(write(GOOD)).source

    strategy = StrategyRegistry().find(start_of(source, size=3.0))

    assert strategy.model_dump() == {"size": 3.0}


def test_the_shelf_refuses_a_file_that_has_changed(write: Write) -> None:
    source = load_strategy(write(GOOD)).source
    path = write(GOOD.replace("Field(1", "Field(2"))

    with pytest.raises(StrategyError, match=rf"{path} has changed: it was run as {source.sha256[:12]} and is "):
        StrategyRegistry().find(start_of(source))


def test_the_shelf_refuses_a_file_that_is_gone(write: Write) -> None:
    path = write(GOOD)
    source = load_strategy(path).source
    path.unlink()

    with pytest.raises(StrategyError, match=f"strategy file {path} cannot be read: No such file"):
        StrategyRegistry().find(start_of(source))


def test_the_shelf_finds_a_class_without_a_file_only_where_it_was_put() -> None:
    class Here(Strategy):
        pass

    registry, source = StrategyRegistry(), StrategySource("Here")
    with pytest.raises(StrategyError, match="Here was not loaded from a file and cannot be found again"):
        registry.find(start_of(source))

    registry.put(Here, source)

    assert isinstance(registry.find(start_of(source)), Here)


def test_the_shelf_refuses_parameters_that_the_strategy_does_not_take(write: Write) -> None:
    with pytest.raises(StrategyError, match=r"Holder cannot have these parameters: size: .* greater than 0"):
        StrategyRegistry().find(start_of(load_strategy(write(GOOD)).source, size=-1))
