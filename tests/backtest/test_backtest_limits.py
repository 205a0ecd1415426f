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

from ibdesk import Bar, Field, Strategy
from ibdesk.backtest import Result, backtest
from ibdesk.backtest.limits import Denials, limits_in_effect
from ibdesk.desk import DeskSettings
from ibdesk.engine import RiskLimits
from ibdesk.errors import ConfigError
from ibdesk.exchange import NoCommission, NoSlippage
from ibdesk.model import OrderDenied

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
        "From then to the end only orders that reduce a position passed, as nobody lifts a halt in a backtest: "
        "raise the limit, or test without limits (limits=RiskLimits.none(), --no-limits)"
    )
    assert "Halted at" in told(result)
    assert backtest(Above(), bars, limits=RiskLimits.none(), **FREE).stats.denied == 0


def test_nothing_is_said_of_limits_that_denied_nothing(make_bars: MakeBars) -> None:
    result = backtest(Above(), make_bars([11, 11, 11]))

    assert result.warnings == ()
    assert "Denied" not in told(result)


class Once(Strategy):
    """Buy once, at the first bar."""

    size: float = Field(100, gt=0)
    limit: float | None = None
    stop: float | None = None

    def on_bar(self, bar: Bar) -> None:
        if not self.state.get("done"):
            self.state["done"] = True
            self.buy(bar.instrument, self.size, limit=self.limit, stop=self.stop)


def test_a_denial_by_the_instrument_says_how_to_order_and_not_to_change_limits(make_bars: MakeBars) -> None:
    odd = backtest(Once(size=0.5), make_bars([11, 11, 11]), limits=RiskLimits.none())
    free = backtest(Once(limit=-1.0), make_bars([11, 11, 11]), limits=RiskLimits.none())

    assert [*odd.warnings, *free.warnings] == [
        "1 order was denied, the first at 2024-01-03 00:00:00 UTC (Once.1: its size of 0.5 is not a multiple of 1, the "
        "instrument's size increment), as a desk would deny it: order a multiple of 1",
        "1 order was denied, the first at 2024-01-03 00:00:00 UTC (Once.1: its price of -1 is below 0.0001, the "
        "instrument's lowest), as a desk would deny it: state a price of 0.0001 or more",
    ]


def test_figures_of_denials_are_exact(make_bars: MakeBars) -> None:
    bars = make_bars([11, 11, 11])

    result = backtest(Once(size=1_000_001), bars, limits=RiskLimits(max_order_shares=1_000_000))

    assert "asked 1,000,001, allowed 1,000,000)" in result.warnings[0]


@pytest.mark.parametrize(
    ("rule", "limit", "asked", "words"),
    [
        ("max_notional", 1e6, 1_000_000.25, "asked 1,000,000.25, allowed 1,000,000)"),
        ("price_collar", 0.05, 0.1 + 0.2, "asked 0.3, allowed 0.05)"),
        ("lowest_price", 5e-7, -1e-7, "its price of -1e-07 is below 5e-07"),
        ("highest_price", 1e9, 1e12, "state a price no farther from 0 than 1,000,000,000"),
        ("external_trade", 0.0, 100.0, "accept the external trade first"),
        ("link", 0.0, 1.0, "the connection to TWS is down"),
        (
            "halt",
            0.0,
            1.0,
            "denied because trading was halted, the first at 1970-01-01 00:00:00 UTC (r.1): see the halt",
        ),
        ("max_order_wait_seconds", 10.0, 12.5, "change risk.max_order_wait_seconds"),
    ],
)
def test_each_rule_has_its_remedy(rule: str, limit: float, asked: float, words: str) -> None:
    denied = OrderDenied(order_id="r.1", rule=rule, limit=limit, asked=asked, at_ns=0)

    sentence = str(Denials.first(denied))

    assert words in sentence
    assert (f"risk.{rule}" in sentence) == (rule in RiskLimits().by_name)


def test_a_limit_far_through_the_market_is_told_what_to_do(make_bars: MakeBars) -> None:
    result = backtest(Once(stop=102.0, limit=110.0), make_bars([100, 100, 100]), limits=RiskLimits())

    assert "move the limit price nearer to the market" in result.warnings[0]
    assert "to the stop price of a stop-limit order" in result.warnings[0]
    assert "change risk.price_collar" in result.warnings[0]
