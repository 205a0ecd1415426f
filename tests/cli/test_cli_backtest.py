"""`ibdesk backtest` and `ibdesk strategies`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
EMA_CROSS = ROOT / "strategies" / "ema_cross.py"
Cli = Callable[..., Any]

# The slow EMA (span 3, alpha 1/2) of these closes is 10, 10.5, 11.25, 12.125, 12.06, 11.5 and known from the third
# bar on. The close is above it on the third, at 12, and below it on the fifth, at 12: bought at the fourth open, 12,
# sold at the sixth, 12.5.
PRICES = """Date,Open,High,Low,Close
2024-01-01,10,10.5,9.5,10
2024-01-02,10,11.5,9.5,11
2024-01-03,11,12.5,10.5,12
2024-01-04,12,13.5,11.5,13
2024-01-05,13,13.5,11.5,12
2024-01-06,12.5,12.75,10.5,11
"""
QUICK = ("-p", "fast=1", "-p", "slow=3", "-p", "size=10")
FREE = ("--commission", "none", "--slippage-ticks", "0")


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    path = tmp_path / "ACME.csv"
    path.write_text(PRICES)
    return path


def test_figures_come_as_json_and_nothing_else(cli: Cli, prices: Path) -> None:
    told = cli("backtest", EMA_CROSS, "--bars", prices, "--json", "--cash", "1000", *QUICK, *FREE)

    figures = json.loads(told.out)
    assert (told.code, told.err) == (0, "")
    assert figures["symbols"] == ["ACME"]
    assert figures["parameters"] == {"fast": 1, "slow": 3, "size": 10.0}
    assert figures["stats"]["profit"] == pytest.approx(10 * 0.5)
    assert figures["stats"]["end_equity"] == pytest.approx(1005)
    assert (figures["stats"]["orders"], figures["stats"]["trades"]) == (2, 1)


def test_the_limits_are_those_of_a_desk_unless_told_otherwise(cli: Cli, prices: Path, tmp_path: Path) -> None:
    config = tmp_path / "tight.toml"
    config.write_text("[risk]\nmax_order_shares = 5\n")

    limited = json.loads(cli("--config", config, "backtest", EMA_CROSS, "--bars", prices, "--json", *QUICK).out)
    seen = cli("--config", config, "backtest", EMA_CROSS, "--bars", prices, *QUICK).out
    free = cli("--config", config, "backtest", EMA_CROSS, "--bars", prices, "--json", *QUICK, "--no-limits")

    assert (limited["stats"]["fills"], limited["stats"]["denied"]) == (0, 1)
    [denials] = limited["denials"]
    assert (denials["rule"], denials["count"]) == ("max_order_shares", 1)
    assert "denied by risk.max_order_shares" in " ".join(seen.split())
    assert (json.loads(free.out)["stats"]["fills"], json.loads(free.out)["denials"]) == (2, [])


@pytest.mark.parametrize(
    ("costs", "profit"),
    [
        # Two orders at IB's minimum of a dollar each.
        (("--commission", "fixed", "--slippage-ticks", "0"), 5.0 - 2.0),
        # Two cents a share, twice.
        (("--commission", "none", "--slippage-ticks", "2"), 5.0 - 2 * 10 * 0.02),
    ],
)
def test_costs_are_those_asked_for(cli: Cli, prices: Path, costs: tuple[str, ...], profit: float) -> None:
    told = cli("backtest", EMA_CROSS, "--bars", prices, "--json", *QUICK, *costs)

    assert json.loads(told.out)["stats"]["profit"] == pytest.approx(profit)


def test_figures_come_as_a_table_with_a_report_beside(cli: Cli, prices: Path, tmp_path: Path) -> None:
    told = cli("backtest", EMA_CROSS, "--bars", prices, *QUICK, "--report", tmp_path / "reports")

    page = tmp_path / "reports" / "EmaCross.html"
    assert told.code == 0
    assert "Sharpe" in told.out
    assert "2024-01-01 to 2024-01-06" in told.out
    assert page.as_uri() in told.out
    assert "<html" in page.read_text(encoding="utf-8")


def test_a_report_that_cannot_be_written_is_told(cli: Cli, prices: Path) -> None:
    told = cli("backtest", EMA_CROSS, "--bars", prices, *QUICK, "--report", prices / "x.html")

    assert told.code == 2
    assert "the report cannot be written" in told.err


def test_bars_may_be_missing_when_that_is_allowed(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "ACME.csv"
    path.write_text(PRICES + "2024-03-01,11,12,10,11\n")

    refused = cli("backtest", EMA_CROSS, "--bars", path)
    allowed = cli("backtest", EMA_CROSS, "--bars", path, "--allow-gaps")

    assert (refused.code, allowed.code) == (2, 0)
    assert "bars of 1 d are missing between 2024-01-06 and 2024-03-01" in allowed.out.replace("\n", " ")


def test_the_sample_can_be_cut_to_some_symbols(cli: Cli) -> None:
    told = cli("backtest", EMA_CROSS, "--sample", "--symbols", "IBM,AAPL", "--json")

    assert json.loads(told.out)["symbols"] == ["AAPL", "IBM"]


def test_a_folder_of_strategies_is_listed_with_what_is_wrong(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "ema_cross.py").write_bytes(EMA_CROSS.read_bytes())
    (tmp_path / "broken.py").write_text("class A(:")

    told = cli("strategies", tmp_path)

    assert told.code == 0
    assert "EmaCross" in told.out
    assert "slow=26" in told.out
    assert "broken.py, line 1: not valid Python" in told.out
