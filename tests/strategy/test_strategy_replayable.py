"""Clock, chance and hash order cannot reach a strategy's decisions, whatever its file calls them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.errors import StrategyError
from ibdesk.strategy import load_strategy
from ibdesk.strategy.ordered_set import FrozenOrderedSet, OrderedSet, ordered_view

Write = Callable[[str], Path]
HEAD = """
import datetime
import datetime as d
import enum
import math
import statistics
import typing
from collections import Counter
from datetime import datetime as D, date as Day, timezone
from operator import attrgetter, methodcaller

import numpy as n
import polars as p
import pydantic as pyd
import ibdesk as desk
from ibdesk import Bar, Field, Strategy
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(code: str) -> Path:
        path = tmp_path / "file.py"
        path.write_text(code)
        return path

    return write


def strategy_with(body: str) -> str:
    lines = "\n".join(f"        {line}" for line in body.splitlines())
    head = f"{HEAD}\n\nclass Given(Strategy):\n    clock: typing.ClassVar = None\n"
    return f"{head}\n    def on_bar(self, bar: Bar) -> None:\n{lines}\n"


# --- the look before the run


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("D.now()", "D.now, which is datetime.now,"),
        ("D.utcnow()", "D.utcnow, which is datetime.utcnow,"),
        ("D.today()", "D.today, which is datetime.today,"),
        ("Day.today()", "Day.today, which is date.today,"),
        ("d.datetime.utcnow()", "datetime.utcnow"),
        ("datetime.datetime.now(timezone.utc)", "datetime.now"),
        ("read = D.now", "D.now, which is"),
        ("T = D\nT.now()", "T.now, which is datetime.now,"),
        ("T = d.datetime\nU = T\nU.now()", "U.now, which is"),
        ("a, T = 1, D\nT.now()", "T.now, which is"),
        ("for T in (D, Day):\n    T.today()", "T.today, which is"),
        ("[T.now() for T in [D]]", "T.now, which is"),
        ("(T := D).now() if False else T.now()", "T.now, which is"),
        ("T = D if bar else Day\nT.today()", "T.today, which is"),
        ("T = {'a': D}['a']\nT.now()", "T.now, which is"),
        ("self.clock = D\nself.clock.now()", "self.clock.now, which is"),
        ("def f(T=D):\n    return T.now()", "T.now, which is"),
        ("getattr(D, 'now')()", "D.now, which is"),
        ("getattr(getattr(d, 'datetime'), 'now')()", "which is datetime.now,"),
        ("self.now.now()", "self.now.now"),
        ("bar.closed_at.today()", "bar.closed_at.today"),
        ("type(bar.closed_at).now()", "which is datetime.now,"),
        ("self.now.__class__.now()", "which is datetime.now,"),
        ("T = type(self.now)\nT.now()", "T.now, which is"),
        ("methodcaller('now')(D)", "methodcaller"),
        ("attrgetter('now')(D)()", "attrgetter"),
        ("n.datetime64('now')", r"n.datetime64\('now'\)"),
        ("self.now.astimezone()", r"astimezone\(\) without a zone"),
        ("n.random.rand()", "n.random, which is numpy.random,"),
        ("r = n.random", "n.random, which is"),
        ("lib = n\nlib.random.rand()", "lib.random, which is"),
        ("n.loadtxt('x')", "n.loadtxt, which is numpy.loadtxt,"),
        ("p.read_csv('x')", "p.read_csv, which is polars.read_csv,"),
        ("p.DataFrame({'a': [1]}).sample(1)", r"sample\(\) without seed="),
        ("p.col('close').shuffle()", r"shuffle\(\) without seed="),
        ("p.DataFrame({'a': [1]}).group_by('a')", r"group_by\(\) without maintain_order=True"),
        ("p.col('close').unique()", r"unique\(\) without maintain_order=True"),
        ("p.set_random_seed(1)", "p.set_random_seed"),
        ("statistics.random.random()", "statistics.random"),
        ("statistics.NormalDist().samples(3)", "samples"),
        ("enum.sys.modules", "enum.sys"),
        ("pyd.PastDatetime", "pyd.PastDatetime"),
        ("desk.Desk", "desk.Desk|ibdesk.Desk"),
        ("().__class__.__base__.__subclasses__()", "__base__|__subclasses__"),
        ("math.__dict__", "__dict__"),
        ("self.model_fields_set", "model_fields_set"),
        ("exec('1')", r"exec\(\)"),
        ("globals()", r"globals\(\)"),
        ("id(self)", r"id\(\)"),
        ("sorted([], key=hash)", r"hash\(\)"),
    ],
)
def test_an_alias_of_clock_or_chance_is_refused_before_it_runs(write: Write, body: str, what: str) -> None:
    path = write(strategy_with(body))

    with pytest.raises(
        StrategyError, match=rf"file\.py, line \d+: a strategy may not use .*({what}).* be replayed: "
    ) as e:
        load_strategy(path)

    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    "line",
    [
        "from statistics import random",
        "from numpy import *\nx = random.rand()",
        "from typing import Set",
        "from collections.abc import Set",
        "from zoneinfo import available_timezones",
        "from pydantic import FutureDate",
        "from polars import read_csv",
        "import importlib",
        "import uuid",
        "import secrets",
        "from os import urandom",
        "import time as t",
    ],
)
def test_an_import_that_leads_to_chance_or_the_world_is_refused(write: Write, line: str) -> None:
    with pytest.raises(StrategyError, match=r"file\.py, line \d+: a strategy may not use|a strategy may not use"):
        load_strategy(write(f"{line}\nfrom ibdesk import Strategy\n\n\nclass Given(Strategy):\n    pass\n"))


@pytest.mark.parametrize(
    "body",
    [
        "self.now - d.timedelta(days=1)",
        "D(2024, 1, 2, tzinfo=timezone.utc).astimezone(timezone.utc)",
        "D.fromisoformat('2024-01-02').date() == Day(2024, 1, 2)",
        "isinstance(self.now, D), isinstance(self.now, d.date), D.min < D.max",
        "n.unique(n.array([2, 1]))",
        "p.col('close').shuffle(seed=1)",
        "p.DataFrame({'a': [1]}).group_by('a', maintain_order=True).agg(p.len())",
        "getattr(bar, 'close')",
        "statistics.mean([1, 2]), math.floor(1.5), Counter('aab').most_common()",
        "now = 3\nself.state['today'] = now",
        "type(bar).__name__, self.__class__.__name__",
    ],
)
def test_what_is_replayed_alike_is_let_be(write: Write, body: str) -> None:
    loaded = load_strategy(write(strategy_with(body)))

    assert loaded.cls.__name__ == "Given"


# --- what only the running code knows


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("[getattr(D, ''.join(['n', 'ow']))()]", "datetime.now"),
        ("(lambda T: T.now())(D)", "datetime.now"),
        ("(lambda T: T.utcnow())(d.datetime)", "datetime.utcnow"),
        ("(lambda T: T.today())(Day)", "date.today"),
        ("(lambda m: m.random.rand())(n)", "numpy.random"),
        ("(lambda m: m.read_csv('x'))(p)", "polars.read_csv"),
        ("(lambda m: m.sys)(enum)", "enum.sys"),
        ("(lambda m: m.Desk)(desk)", "ibdesk.Desk"),
        ("getattr(n, 'ran' + 'dom')", "numpy.random"),
        ("getattr(D(2024, 1, 1), 'no' + 'w')()", "datetime.now"),
        ("D.fromtimestamp(0)", "needs a zone"),
    ],
)
def test_an_alias_that_the_look_misses_is_refused_when_it_is_used(write: Write, expression: str, words: str) -> None:
    path = write(f"{HEAD}\n\ndef use():\n    return {expression}\n\n\nclass Given(Strategy):\n    pass\n")
    use = sys.modules[load_strategy(path).cls.__module__].use

    with pytest.raises(StrategyError, match=words):
        use()


def test_dates_of_a_strategy_are_pythons_own_ones(write: Write) -> None:
    path = write(
        f"{HEAD}\n\nclass Given(Strategy):\n    since: D = D(2024, 1, 2, 3, tzinfo=timezone.utc)\n"
        "    day: d.date = Day(2024, 1, 2)\n\n"
        "    def both(self):\n        return isinstance(self.since, D), issubclass(type(self.since), d.datetime)\n"
    )
    import datetime as dt

    strategy = load_strategy(path).cls(day="2024-05-06")  # type: ignore[call-arg]

    assert strategy.model_dump() == {"since": dt.datetime(2024, 1, 2, 3, tzinfo=dt.UTC), "day": dt.date(2024, 5, 6)}
    assert type(strategy.since) is dt.datetime  # type: ignore[attr-defined]
    assert strategy.both() == (True, True)  # type: ignore[attr-defined]


# --- the order of sets

_SETS = """
import collections
from ibdesk import Strategy

NAMES = ["ZM", "AAPL", "MSFT", "IBM", "GOOG", "TSLA", "KO", "F"]


class Given(Strategy):
    symbols_: set[str] = {"b", "a", "c"}
    fixed: frozenset[str] = frozenset({"y", "x", "z"})


def orders():
    some = {"ZM", "AAPL", "MSFT", "IBM", "GOOG", "TSLA", "KO", "F"}
    prices, held = dict.fromkeys(NAMES, 1), dict.fromkeys(reversed(NAMES), 1)
    keys = held.keys()
    yield list(some)
    yield list(set(NAMES))
    yield list(frozenset(NAMES))
    yield [*{name for name in NAMES}]
    yield list({name.lower() for name in NAMES} | {"more"})
    yield list(prices.keys() & held.keys())
    yield list(prices.keys() - {"KO"})
    yield list(keys - {"KO"})
    yield list({"KO", "F", "ZM"} & held.keys())
    yield list(held.items() | prices.items())
    yield [some.pop() for _ in range(3)]
    yield list(some.union(["X"]).difference({"IBM"}).symmetric_difference({"Y", "F"}))
    yield max(set(NAMES), key=lambda name: len(name) > 2)
    yield next(iter(set(NAMES)))
    first, *others = set(NAMES)
    yield [first, others]
    yield repr(set(NAMES)), str(frozenset(NAMES))
    yield list(collections.Counter(set(NAMES)))
    yield dict.fromkeys(set(NAMES))
    yield list(Given().symbols_), list(Given().fixed), Given().model_dump(mode="json")
    yield list(Given(symbols_=["q", "p", "r", "q"]).symbols_)
    yield ["KO" in {"KO", "F"}, {"a", "b"} == {"b", "a"}, len({"a", "a"}), {"a"} <= {"a", "b"}]
"""
_PRINT_ORDERS = """
import sys
from ibdesk.strategy import load_strategy
cls = load_strategy(sys.argv[1]).cls
print(list(sys.modules[cls.__module__].orders()))
"""


@pytest.mark.process
def test_sets_have_the_same_order_in_every_process(write: Write) -> None:
    path = write(_SETS)

    printed = {
        subprocess.run(
            [sys.executable, "-c", _PRINT_ORDERS, str(path)],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }

    assert len(printed) == 1
    assert printed.pop().startswith("[['ZM', 'AAPL', 'MSFT', 'IBM', 'GOOG', 'TSLA', 'KO', 'F'], ['ZM', ")


members = st.lists(st.integers(0, 6))


@given(members, members, st.sampled_from(["__or__", "__and__", "__sub__", "__xor__", "__le__", "__lt__", "__eq__"]))
def test_ordered_sets_are_equal_to_pythons_sets(one: list[int], other: list[int], operation: str) -> None:
    expected = getattr(set(one), operation)(set(other))

    assert getattr(OrderedSet(one), operation)(OrderedSet(other)) == expected
    assert getattr(FrozenOrderedSet(one), operation)(OrderedSet(other)) == expected
    assert hash(FrozenOrderedSet(one)) == hash(frozenset(one))


@given(members, members)
def test_ordered_sets_keep_the_order_in_which_their_members_came(one: list[int], other: list[int]) -> None:
    first, second = list(dict.fromkeys(one)), list(dict.fromkeys(other))
    both = OrderedSet(one)
    both |= OrderedSet(other)

    assert list(OrderedSet(one)) == first
    assert list(both) == first + [each for each in second if each not in first]
    assert list(OrderedSet(one) & OrderedSet(other)) == [each for each in first if each in second]
    assert list(OrderedSet(one) - set(other)) == [each for each in first if each not in second]
    assert list(ordered_view(dict.fromkeys(one).keys()) & set(other)) == [each for each in first if each in second]


def test_a_state_takes_no_set(write: Write) -> None:
    from ibdesk.engine.state_changes import encode_state

    with pytest.raises(TypeError, match="OrderedSet is unsupported"):
        encode_state({"seen": OrderedSet("ab")})
