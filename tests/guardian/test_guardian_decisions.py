"""When the guardian acts, and when not: limits, silence, books that differ; each rule once until a person lifts it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.guardian.decisions import Decisions, EngineObservation, Observation, OnSilence, Rules
from ibdesk.guardian.stop import Level

SECOND = 1_000_000_000


def sight(at: float = 0.0, **facts: Any) -> Observation:
    return Observation(now_ns=int(at * SECOND), **facts)


def engine(
    *, answered: float, runs: tuple[str, ...] = (), is_stopped: bool = False, since: float = 0.0
) -> EngineObservation:
    return EngineObservation(
        pid=4711,
        is_stopped=is_stopped,
        since_ns=int(since * SECOND),
        answered_ns=int(answered * SECOND),
        runs=runs,
    )


# ---- the day's loss -----------------------------------------------------------------------------------------------


def test_a_loss_that_two_reports_show_is_acted_on() -> None:
    decisions = Decisions(Rules(max_daily_loss=500.0))

    first = decisions.look(sight(daily_pnl=-501.0, pnl_reports=1))
    same = decisions.look(sight(daily_pnl=-501.0, pnl_reports=1))
    [second] = decisions.look(sight(daily_pnl=-500.01, pnl_reports=2))

    assert (first, same) == ([], [])
    assert (second.cause, second.level) == ("daily_loss", Level.FLATTEN)
    assert second.reason == "the account has lost 500.01 today, guardian.max_daily_loss is 500.00"


def test_one_bad_print_is_no_loss() -> None:
    decisions = Decisions(Rules(max_daily_loss=500.0))
    reports = [-900.0, -10.0, -900.0, -10.0]

    acted = [decisions.look(sight(daily_pnl=pnl, pnl_reports=number)) for number, pnl in enumerate(reports)]

    assert acted == [[]] * 4


def test_a_loss_that_no_other_report_corrects_for_three_seconds_is_acted_on() -> None:
    """TWS need not report a profit that does not change."""
    decisions = Decisions(Rules(max_daily_loss=500.0))
    seconds = [0.0, 1.0, 2.9, 3.0]

    acted = [len(decisions.look(sight(at, daily_pnl=-501.0, pnl_reports=1))) for at in seconds]

    assert acted == [0, 0, 0, 1]


def test_a_loss_at_its_limit_is_allowed() -> None:
    decisions = Decisions(Rules(max_daily_loss=500.0))

    acted = [decisions.look(sight(daily_pnl=-500.0, pnl_reports=number)) for number in range(5)]

    assert acted == [[]] * 5


def test_a_rule_acts_once_and_the_limit_counts_from_the_loss_that_a_person_accepts() -> None:
    """Halted at 600 and lifted at 620: the next halt comes beyond 620 + 500."""
    decisions = Decisions(Rules(max_daily_loss=500.0))
    decisions.look(sight(daily_pnl=-600.0, pnl_reports=1))
    tripping = sight(daily_pnl=-600.0, pnl_reports=2)
    decisions.acted(decisions.look(tripping)[0], "halt-1", tripping)
    standing = [decisions.look(sight(daily_pnl=-700.0, pnl_reports=number)) for number in (3, 4, 5)]

    lifted = decisions.look(sight(daily_pnl=-620.0, pnl_reports=6, lifted=frozenset({"halt-1"})))
    at_limit = [decisions.look(sight(daily_pnl=-1_120.0, pnl_reports=number)) for number in (7, 8)]
    beyond = [decisions.look(sight(daily_pnl=-1_120.01, pnl_reports=number)) for number in (9, 10)]

    assert standing == [[], [], []]
    assert (lifted, at_limit) == ([], [[], []])
    assert [len(each) for each in beyond] == [0, 1]
    assert "beyond the 620.00 that were accepted" in beyond[1][0].reason


def test_a_loss_that_is_accepted_is_not_acted_on_again_before_tws_reports_anew() -> None:
    """TWS repeats no profit that does not change: the halt is lifted while the last report is still that of 600."""
    decisions = Decisions(Rules(max_daily_loss=500.0))
    decisions.look(sight(daily_pnl=-600.0, pnl_reports=1))
    tripping = sight(daily_pnl=-600.0, pnl_reports=2)
    decisions.acted(decisions.look(tripping)[0], "halt-1", tripping)
    lifted = frozenset({"halt-1"})

    acted = [decisions.look(sight(at, daily_pnl=-600.0, pnl_reports=2, lifted=lifted)) for at in (0.2, 5.0)]
    beyond = [decisions.look(sight(daily_pnl=-1_100.01, pnl_reports=number, lifted=lifted)) for number in (3, 4)]

    assert acted == [[], []]
    assert [len(each) for each in beyond] == [0, 1]


def test_a_loss_whose_halt_nobody_has_lifted_is_not_accepted() -> None:
    """A file that cannot be read, or was moved away, names no halt at all: the limit stays where it is."""
    decisions = Decisions(Rules(max_daily_loss=500.0))
    decisions.look(sight(daily_pnl=-600.0, pnl_reports=1))
    tripping = sight(daily_pnl=-600.0, pnl_reports=2)
    decisions.acted(decisions.look(tripping)[0], "halt-1", tripping)

    decisions.look(sight(daily_pnl=-600.0, pnl_reports=3))

    assert (decisions.accepted_loss, sorted(decisions.tripped)) == (0.0, ["daily_loss"])


def test_a_new_day_takes_the_acceptance_with_it() -> None:
    decisions = Decisions(Rules(max_daily_loss=500.0), accepted_loss=620.0)
    decisions.look(sight(daily_pnl=0.0, pnl_reports=1))

    [_, again] = [decisions.look(sight(daily_pnl=-501.0, pnl_reports=number)) for number in (2, 3)]

    assert [decision.cause for decision in again] == ["daily_loss"]


def test_an_unknown_profit_and_an_unset_limit_decide_nothing() -> None:
    unknown = [Decisions(Rules(max_daily_loss=500.0)).look(sight(pnl_reports=number)) for number in (1, 2, 3)]
    unset = [Decisions(Rules()).look(sight(daily_pnl=-1e9, pnl_reports=number)) for number in (1, 2, 3)]

    assert unknown + unset == [[]] * 6


@given(st.lists(st.floats(-2_000, 2_000), max_size=30), st.floats(1, 1_000))
def test_a_loss_is_acted_on_exactly_when_two_reports_in_a_row_are_beyond_the_limit(
    reports: list[float], limit: float
) -> None:
    decisions = Decisions(Rules(max_daily_loss=limit))

    acted = [bool(decisions.look(sight(daily_pnl=pnl, pnl_reports=number))) for number, pnl in enumerate(reports)]

    beyond = [-pnl > limit for pnl in reports]
    assert acted == [here and before for before, here in zip([False, *beyond], beyond, strict=False)]


# ---- exposure and orders ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "facts", "cause"),
    [
        (Rules(max_gross_exposure=10_000.0), {"gross_exposure": 10_000.01}, "gross_exposure"),
        (Rules(max_orders_per_minute=60), {"orders_last_minute": 61}, "order_rate"),
    ],
)
def test_a_limit_that_is_passed_is_acted_on_once_until_it_is_lifted(
    rules: Rules, facts: dict[str, Any], cause: str
) -> None:
    decisions = Decisions(rules)
    [decision] = decisions.look(sight(**facts))
    decisions.acted(decision, "halt-1", sight(**facts))

    standing = decisions.look(sight(**facts))
    [again] = decisions.look(sight(lifted=frozenset({"halt-1"}), **facts))

    assert (decision.cause, again.cause, standing) == (cause, cause, [])


def test_a_limit_that_nothing_is_reported_about_is_named() -> None:
    rules = Rules(max_daily_loss=500.0, max_gross_exposure=1.0)

    assert [text.rpartition("(")[2] for text in Decisions(rules).unwatched(sight())] == [
        "guardian.max_daily_loss)",
        "guardian.max_gross_exposure)",
    ]
    assert Decisions(rules).unwatched(sight(daily_pnl=0.0, gross_exposure=0.0)) == []
    assert Decisions(Rules()).unwatched(sight()) == []


# ---- the engine's silence -----------------------------------------------------------------------------------------


def test_an_engine_that_has_not_answered_for_longer_than_its_heartbeat_hangs() -> None:
    decisions = Decisions(Rules(heartbeat_seconds=10.0))

    at_limit = decisions.look(sight(110.0, engine=engine(answered=100.0)))
    [beyond] = decisions.look(sight(110.1, engine=engine(answered=100.0, is_stopped=True)))

    assert at_limit == []
    assert (beyond.level, beyond.runs) == (Level.HALT, ())
    assert beyond.reason.startswith("the engine (process 4711) is stopped and has not answered for 10.1 s")


def test_an_engine_that_starts_has_longer_and_one_that_is_not_there_does_not_hang() -> None:
    decisions = Decisions(Rules(heartbeat_seconds=10.0, start_seconds=120.0))

    starting = decisions.look(sight(119.0, engine=engine(answered=0.0)))
    away = decisions.look(sight(9_999.0))
    [late] = decisions.look(sight(121.0, engine=engine(answered=0.0)))

    assert (starting, away, late.cause) == ([], [], "silence")


def test_a_policy_of_keep_does_nothing() -> None:
    rules = Rules(heartbeat_seconds=1.0, on_silence=OnSilence.KEEP)

    assert Decisions(rules).look(sight(100.0, engine=engine(answered=1.0, runs=("Cross-abc",)))) == []


def test_each_run_is_treated_as_its_own_policy_says() -> None:
    """By run id or by name; the others follow the general one."""
    rules = Rules(
        heartbeat_seconds=1.0,
        on_silence_of={"Grid": OnSilence.FLATTEN, "Pair-x1": OnSilence.FLATTEN, "Hold": OnSilence.KEEP},
    )
    runs = ("Cross-abc", "Grid-abc", "Pair-x1", "Pair-x2", "Hold-abc")

    found = Decisions(rules).look(sight(100.0, engine=engine(answered=1.0, runs=runs)))

    assert [(decision.level, decision.runs) for decision in found] == [
        (Level.FLATTEN, ("Grid-abc", "Pair-x1")),
        (Level.HALT, ("Cross-abc", "Pair-x2")),
    ]


def test_a_silence_whose_halt_was_lifted_is_not_acted_on_again_but_the_next_one_is() -> None:
    decisions = Decisions(Rules(heartbeat_seconds=1.0))
    silent = sight(100.0, engine=engine(answered=1.0))
    decisions.acted(decisions.look(silent)[0], "halt-1", silent)
    standing = decisions.look(sight(101.0, engine=engine(answered=1.0)))

    lifted = decisions.look(sight(102.0, engine=engine(answered=1.0), lifted=frozenset({"halt-1"})))
    next_one = decisions.look(sight(200.0, engine=engine(answered=190.0)))

    assert (standing, lifted) == ([], [])
    assert [decision.cause for decision in next_one] == ["silence"]


# ---- books --------------------------------------------------------------------------------------------------------


def test_books_that_differ_for_longer_than_the_grace_halt() -> None:
    decisions = Decisions(Rules(mismatch_grace_seconds=60.0))
    differ = {"AAPL": "AAPL: books 100, account 0"}

    before = [decisions.look(sight(at, differences=differ)) for at in (0.0, 30.0, 59.9)]
    agreed = decisions.look(sight(60.0))
    again = [decisions.look(sight(at, differences=differ)) for at in (61.0, 120.9)]
    [late] = decisions.look(sight(121.0, differences=differ))

    assert [*before, agreed, *again] == [[]] * 6
    assert late.level is Level.HALT
    assert "AAPL: books 100, account 0" in late.reason


def test_books_that_differ_in_one_contract_and_then_in_another_do_not_halt() -> None:
    """A lively market: AAPL for 40 s, then MSFT for 40 s; the grace is 60 s for each."""
    decisions = Decisions(Rules(mismatch_grace_seconds=60.0))

    found = [decisions.look(sight(at, differences={"AAPL": "AAPL: books 1, account 0"})) for at in (0.0, 40.0)]
    found += [decisions.look(sight(at, differences={"MSFT": "MSFT: books 1, account 0"})) for at in (41.0, 81.0)]
    [late] = decisions.look(sight(101.0, differences={"MSFT": "MSFT: books 2, account 0"}))

    assert found == [[]] * 4
    assert "for 60 s (MSFT: books 2, account 0)" in late.reason
