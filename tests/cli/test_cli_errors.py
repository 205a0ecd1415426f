"""Whatever is typed wrong gives one sentence that names it, an exit code, and no traceback."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.ports import free_port

from ibdesk.cli import main

ROOT = Path(__file__).parent.parent.parent
EMA_CROSS = ROOT / "strategies" / "ema_cross.py"
SAMPLE = ("backtest", EMA_CROSS, "--sample")
RUN = ("run", EMA_CROSS, "--on")
Cli = Callable[..., Any]
Write = Callable[[str, str], Path]


def sentence(told: Any, code: int) -> str:
    """The one line on standard error, given that the rest is as it must be."""
    assert told.code == code, told
    lines = told.err.splitlines()
    assert len(lines) == 1, told.err
    assert lines[0].startswith("ibdesk: ")
    assert "Traceback" not in told.out
    return str(lines[0])


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("trade",), ["no such command 'trade'", "ibdesk --help"]),
        (("backtest",), ["missing argument 'STRATEGY'", "ibdesk backtest --help"]),
        (("backtest", EMA_CROSS, "--fast"), ["no such option: --fast"]),
        (("demo", "--speed", "soon"), ["'--speed'", "number"]),
        (("backtest", EMA_CROSS), ["--bars FILE", "--sample"]),
        ((*SAMPLE, "--bars", "x.csv"), ["--bars FILE", "--sample"]),
        ((*SAMPLE, "--symbols", "AAPL,TSLA"), ["no bars of TSLA", "AAPL, GOOG, IBM, MSFT"]),
        ((*SAMPLE, "--cash", "-5"), ["cash must be a positive amount", "-5"]),
        ((*SAMPLE, "-p", "fast"), ["'fast'", "name=value"]),
        ((*SAMPLE, "-p", "fast=3", "-p", "fast=4"), ["fast is given twice"]),
        ((*SAMPLE, "-p", "fast=0"), ["EmaCross", "fast", "greater than or equal to 1"]),
        ((*SAMPLE, "-p", "span=3"), ["EmaCross", "span", "its parameters: fast, slow, size"]),
        (("backtest", "no/such.py", "--sample"), ["no/such.py", "No such file"]),
        (("backtest", EMA_CROSS, "--bars", "no/such.csv"), ["there is no file no/such.csv"]),
        ((*RUN, ""), ["--on AAPL,MSFT"]),
        ((*RUN, "A--B"), ["'A--B' names no instrument"]),
        ((*RUN, "AAPL", "--bar", "5 moons"), ["'5 moons' is not a bar length"]),
        ((*RUN, "AAPL", "--mode", "live"), ["real money", "--account"]),
        ((*RUN, "AAPL", "--mode", "paper", "--account", "U123"), ["U123 is not a paper account"]),
        ((*RUN, "AAPL", "--mode", "paper", "--speed", "5"), ["--speed", "embedded"]),
        ((*RUN, "AAPL", "--port", "4002"), ["--tws-port", "--mode paper"]),
        (("gateway", "--account", "U123"), ["account must begin with D", "U123"]),
        (("gateway", "--sample", "--replay", "x.csv"), ["--replay and --sample"]),
        (("gateway", "--sample", "--symbols", "TSLA"), ["no bars of TSLA"]),
        (("gateway", "--symbols", "A--B"), ["'A--B' names no instrument"]),
        (("demo", "--strategy", "no/such.py"), ["no/such.py", "No such file"]),
        (("demo", "--symbols", "TSLA"), ["no bars of TSLA"]),
        (("replay", "no/such.sqlite"), ["no journal no/such.sqlite"]),
        (("replay", EMA_CROSS), ["ema_cross.py is not a journal"]),
        (("strategies", "no/such"), ["no folder no/such"]),
    ],
)
def test_what_cannot_be_done_is_told_in_one_sentence(cli: Cli, arguments: tuple[object, ...], parts: list[str]) -> None:
    told = sentence(cli(*arguments), 2)

    assert [part for part in parts if part not in told] == [], told


@pytest.mark.process
@pytest.mark.parametrize(
    ("code", "parts"),
    [
        ("class A(:", ["line 1", "not valid Python"]),
        ("x = 1", ["must define exactly one subclass of ibdesk.Strategy", "it defines none"]),
        ("from ibdesk import Strategy\nclass A(Strategy): ...\nclass B(Strategy): ...", ["it defines A, B"]),
        ("import polars\nimport requests", ["line 2", "may not use import requests"]),
        ("1 / 0", ["fails while loading", "ZeroDivisionError"]),
    ],
)
def test_a_malformed_strategy_is_refused_before_anything_starts(
    cli: Cli, write: Write, code: str, parts: list[str]
) -> None:
    path = write("mine.py", code)

    for arguments in (("backtest", path, "--sample"), ("run", path, "--on", "AAPL"), ("demo", "--strategy", path)):
        told = cli(*arguments)
        assert told.out == ""
        assert [part for part in ["mine.py", *parts] if part not in sentence(told, 2)] == []


HEADER = "symbol,date,open,high,low,close,volume\n"
FIRST = "IBM,2024-01-02,10,11,9,10,100\n"


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        (FIRST + "IBM,2024-01-03,10,11,9,NaN,100\n", ["row 1", "column close"]),
        (FIRST + "IBM,2024-01-02,10,12,9,10,100\n", ["IBM", "row 1", "2024-01-02"]),
        (FIRST + "IBM,2024-01-03,10,11,9,10,100\nIBM,2024-03-04,10,11,9,10,100\n", ["missing", "--allow-gaps"]),
        (FIRST + "IBM,today,10,11,9,10,100\n", ["row 1", "column date", "'today'"]),
        (FIRST + "IBM,2024-01-03,10,9,9,10,100\n", ["row 1", "high is below"]),
        ("", ["prices.csv"]),
    ],
)
def test_bars_that_cannot_be_used_are_named(cli: Cli, write: Write, rows: str, parts: list[str]) -> None:
    path = write("prices.csv", HEADER + rows)

    told = sentence(cli("backtest", EMA_CROSS, "--bars", path), 2)

    assert [part for part in ["prices.csv", *parts] if part not in told] == [], told


def test_a_strategy_that_raises_in_a_backtest_is_told_with_its_line(cli: Cli, write: Write) -> None:
    path = write("mine.py", "from ibdesk import Strategy\nclass A(Strategy):\n    def on_bar(self, bar): {}['x']\n")

    told = sentence(cli("backtest", path, "--sample"), 1)

    assert "mine.py, line 3, in on_bar: KeyError: 'x'" in told


def test_a_feature_of_an_unknown_column_is_told(cli: Cli, write: Write) -> None:
    code = (
        "from ibdesk import Strategy, ema\nclass A(Strategy):\n    def features(self): return {'x': ema('last', 3)}\n"
    )

    told = sentence(cli("backtest", write("mine.py", code), "--sample"), 1)

    assert "last" in told


def test_a_look_ahead_fails_the_backtest(cli: Cli, write: Write) -> None:
    code = (
        "import polars as pl\nfrom ibdesk import Strategy\nclass A(Strategy):\n"
        "    def features(self): return {'next': pl.col('close').shift(-1)}\n"
        "    def target(self): return pl.when(pl.col('next') > pl.col('close')).then(1.0).otherwise(0.0)\n"
    )

    told = sentence(cli("backtest", write("mine.py", code), "--sample"), 1)

    assert "A looks ahead" in told


def test_a_port_in_use_is_named_with_the_way_out(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        told = sentence(cli("gateway", "--port", port), 2)

    assert f"127.0.0.1:{port} is taken" in told
    assert "--port" in told


def test_a_tws_that_is_not_there_is_told(cli: Cli) -> None:
    port = free_port()

    told = sentence(cli("run", EMA_CROSS, "--on", "AAPL", "--mode", "paper", "--port", port), 1)

    assert f"127.0.0.1:{port}" in told
    assert "start TWS or IB Gateway" in told


@pytest.mark.process
@pytest.mark.parametrize("command", ["up", "web"])
def test_a_missing_package_is_told_with_the_extra_that_brings_it(command: str) -> None:
    program = (
        "import sys; sys.modules['fastapi'] = None; sys.modules['uvicorn'] = None\n"
        f"from ibdesk.cli import main; sys.exit(main(['{command}']))"
    )

    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=55, check=False)

    assert told.returncode == 2
    assert "Traceback" not in told.stderr
    assert "pip install 'ibdesk[server]'" in told.stderr


def test_settings_are_shown_also_where_no_extra_is_installed() -> None:
    program = (
        "import sys; from ibdesk import cli\n"
        "for name in cli._EXTRAS: sys.modules[name] = None\n"
        "sys.exit(cli.main(['config', 'show', 'server.port']))"
    )

    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=55, check=False)

    assert (told.returncode, told.stderr) == (0, "")
    assert "port = 8000" in told.stdout


def test_debug_shows_where_an_error_came_from(cli: Cli) -> None:
    told = cli("--debug", "backtest", "no/such.py", "--sample")

    assert told.code == 2
    assert "Traceback" in told.err
    assert told.err.splitlines()[-1].startswith("ibdesk: strategy file no/such.py")


def test_a_fault_of_our_own_keeps_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    # No shell passes a number for a word: only our own code could.
    code = main([3])  # type: ignore[list-item]

    told = capsys.readouterr().err
    assert code == 1
    assert "Traceback" in told
    assert "a bug in ibdesk" in told.splitlines()[-1]
