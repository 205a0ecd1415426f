"""A backtest has the limits of a desk, and says loudly what they denied."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rich.console import Console

from ibdesk import Field, Strategy
from ibdesk.backtest import Result, backtest
from ibdesk.backtest.limits import limits_in_effect
from ibdesk.desk import DeskSettings
from ibdesk.engine import RiskLimits
from ibdesk.errors import ConfigError
from ibdesk.exchange import NoCommission, NoSlippage

MakeBars = Callable[..., pl.DataFrame]
Place = Callable[[str], None]

FREE: dict[str, Any] = {"commissions": NoCommission(), "slippage": NoSlippage()}


class Above(Strategy):
    """Hold `size` shares while the close is above ten."""

    size: float = Field(100, gt=0)

    def target(self) -> pl.Expr:
        return pl.when(pl.col("close") > 10).then(self.size).otherwise(0.0)


@pytest.fixture
def write_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Return a writer of ``ibdesk.toml`` in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IBDESK_CONFIG")

    def write(text: str) -> None:
        (tmp_path / "ibdesk.toml").write_text(text)

    return write


def told(result: Result) -> str:
    """Return the result as a terminal shows it."""
    console = Console(width=400, record=True, file=io.StringIO())
    console.print(result)
    return console.export_text()


def test_an_order_that_a_desk_would_deny_is_denied(make_bars: MakeBars) -> None:
    bars = make_bars([11, 11, 11])

    limited = backtest(Above(size=20_000), bars)
    free = backtest(Above(size=20_000), bars, limits=RiskLimits.none())

    assert limited.orders["status"].to_list() == ["denied"]
    assert free.orders["status"].to_list() == ["filled"]
    assert limited.limits == RiskLimits()


def test_the_limits_are_those_of_file_and_environment_as_for_a_desk(
    make_bars: MakeBars, write_settings: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_settings(
        'mode = "paper"\nport_address = "redis:mine"\n[risk]\nmax_position_shares = 70\nmax_order_shares = 60\n'
        '[redis]\nurl = "redis://127.0.0.1"\n[server]\nport = 8100\n'
    )
    monkeypatch.setenv("IBDESK_RISK__MAX_ORDER_SHARES", "50")
    monkeypatch.setenv("IBDESK_SERVER__PORT", "8200")

    result = backtest(Above(), make_bars([11, 11, 11]))

    assert result.limits == DeskSettings.load().risk == RiskLimits(max_position_shares=70, max_order_shares=50)
    assert result.orders["status"].to_list() == ["denied"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[risk]\nmax_positon_shares = 70\n", "did you mean risk.max_position_shares"),
        ("[risk]\nmax_position_shares = -1\n", "risk.max_position_shares cannot be"),
    ],
)
def test_a_limit_that_cannot_be_used_is_named(write_settings: Place, text: str, words: str) -> None:
    write_settings(text)

    with pytest.raises(ConfigError, match=words):
        limits_in_effect()


def test_denials_are_counted_by_rule_and_said_in_warnings_table_and_report(make_bars: MakeBars, tmp_path: Path) -> None:
    bars = make_bars([11, 9, 11, 9, 11, 11])

    result = backtest(Above(), bars, limits=RiskLimits(max_order_shares=50), **FREE)

    [denials] = result.denials
    assert (denials.rule, denials.count, denials.limit, denials.first_asked) == ("max_order_shares", 3, 50, 100)
    assert denials.first_order == "Above.1"
    # The first bar's close.
    assert denials.first_at == dt.datetime(2024, 1, 3, tzinfo=dt.UTC)
    assert (result.stats.denied, result.stats.orders, result.stats.halted_at) == (3, 3, None)
    [warning] = result.warnings
    assert warning.startswith(
        "3 orders were denied by risk.max_order_shares, the first at 2024-01-03 00:00:00 UTC (Above.1: asked 100, "
        "allowed 50), as a desk would deny them"
    )
    for page in (told(result), result._repr_html_(), result.report(tmp_path / "report.html").read_text()):
        assert warning.replace("'", "&#x27;") in page or warning in page
        assert "3 of 3" in page


def test_a_halt_names_its_rule_and_its_time_and_how_to_do_without(make_bars: MakeBars) -> None:
    start = dt.datetime(2024, 1, 2, 15, tzinfo=dt.UTC)
    # Bought at 11, sold at 4 at the opening of 15:03: 700 are lost.
    bars = make_bars([11, 11, 4, 4, 11, 11], start=start, step=dt.timedelta(minutes=1))

    result = backtest(Above(), bars, limits=RiskLimits(max_daily_loss=500), **FREE)

    halted_at = start + dt.timedelta(minutes=3)
    assert result.fills["price"].to_list() == [11, 4]
    assert result.halt is not None
    assert result.stats.halted_at == halted_at
    assert [(each.rule, each.count) for each in result.denials] == [("halt", 1)]
    assert result.warnings[0] == (
        "trading was halted at 2024-01-02 15:03:00 UTC: the day's loss of 700.00 is beyond risk.max_daily_loss of 500. "
        "From there to the end only orders that reduce a position passed, for no person lifts a halt in a backtest: "
        "raise the limit, or test without limits (limits=RiskLimits.none(), --no-limits)"
    )
    assert "Halted at" in told(result)
    assert backtest(Above(), bars, limits=RiskLimits.none(), **FREE).stats.denied == 0


def test_nothing_is_said_of_limits_that_denied_nothing(make_bars: MakeBars) -> None:
    result = backtest(Above(), make_bars([11, 11, 11]))

    assert result.warnings == ()
    assert "Denied" not in told(result)
