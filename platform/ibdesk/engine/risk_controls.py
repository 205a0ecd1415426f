"""The table of risk controls: the controls of three rule books, the rules of ibdesk, and the tests that show them.

The sources are FIA's "Best Practices For Automated Trading Risk Controls And System Safeguards" (July 2024), SEC rule
15c3-5 and RTS 6, the Commission Delegated Regulation (EU) 2017/589. Article 15(1) to (3) of RTS 6 was read; all other
paragraph numbers, and the names of FIA's controls, are from memory. Both regulations bind firms; for a person who
trades their own account they are a yardstick.
"""

from __future__ import annotations

import msgspec

FIA, SEC, RTS = "FIA 2024", "SEC 15c3-5", "RTS 6"


class RiskControl(msgspec.Struct, frozen=True, kw_only=True):
    """One control, its sources, and the rule for it here.

    `tests` are files of the repository with the name of a test. `missing` names the part that is not covered; a control
    without a rule is not covered at all.
    """

    name: str
    sources: tuple[str, ...]
    rule: str = ""
    settings: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    missing: str = ""


_RISK, _FRESH = "tests/engine/test_engine_risk.py", "tests/engine/test_engine_freshness.py"
_WAITING, _REPEATED = "tests/engine/test_engine_waiting.py", "tests/engine/test_engine_repetition.py"
_SUMS, _LOSSES = "tests/engine/test_engine_exposures.py", "tests/engine/test_engine_losses.py"
_GUARDIAN = "tests/guardian/test_guardian_process.py"

CONTROLS: tuple[RiskControl, ...] = (
    RiskControl(
        name="Maximum order size",
        sources=(f"{FIA}: maximum order size", f"{SEC}(c)(1)(ii)", f"{RTS} Art. 15(1)(c)"),
        rule="An order above the size of its kind is denied.",
        settings=("risk.max_order_shares", "risk.max_order_contracts", "risk.max_order_currency"),
        tests=(f"{_RISK}::test_the_largest_order",),
    ),
    RiskControl(
        name="Maximum order value",
        sources=(f"{SEC}(c)(1)(ii)", f"{RTS} Art. 15(1)(b)"),
        rule="An order worth more at the worst of its limit, its stop and the last price is denied.",
        settings=("risk.max_notional",),
        tests=(
            f"{_RISK}::test_the_largest_value_is_reckoned_at_the_last_price",
            f"{_RISK}::test_without_any_price_no_value_is_small_enough",
        ),
    ),
    RiskControl(
        name="Maximum position",
        sources=(f"{FIA}: maximum intraday position", f"{SEC}(c)(1)(i)", f"{RTS} Art. 15(4)"),
        rule="An order that could lead the account's position in an instrument beyond its limit, open orders of all "
        "runs counted in the worst case, is denied; a run can have its own budget.",
        settings=("risk.max_position_shares", "risk.max_position_contracts", "risk.max_position_currency"),
        tests=(
            f"{_SUMS}::test_the_position_of_the_account_counts_runs_hands_and_external",
            f"{_SUMS}::test_a_budget_limits_its_run",
            f"{_RISK}::test_the_largest_position_counts_what_is_held",
            f"{_RISK}::test_the_largest_position_counts_what_is_open",
        ),
    ),
    RiskControl(
        name="Gross and net exposure",
        sources=(f"{SEC}(c)(1)(i): capital threshold", f"{RTS} Art. 15(4)"),
        rule="An order that could lead the sum of all positions, or the value in one instrument, beyond its limit is "
        "denied.",
        settings=("risk.max_gross_exposure", "risk.max_net_exposure", "risk.max_instrument_exposure"),
        tests=(
            f"{_SUMS}::test_gross_and_net_exposure_are_sums_of_values",
            f"{_SUMS}::test_net_exposure",
            f"{_SUMS}::test_the_value_in_one_instrument_follows_the_price",
        ),
        missing="They are off until they are set; mode live needs max_gross_exposure.",
    ),
    RiskControl(
        name="Margin",
        sources=(f"{SEC}(c)(1)(i): capital threshold",),
        rule="While the reported margin use is above its limit, or an order would take too much of the reported buying "
        "power, no opening order passes.",
        settings=("risk.max_margin_use", "risk.max_buying_power_use"),
        tests=(f"{_SUMS}::test_margin_is_compared_as_it_was_reported",),
        missing="The effect of an order on margin is not computed before it is sent.",
    ),
    RiskControl(
        name="Open orders and cancellations",
        sources=(f"{FIA}: message throttle", f"{RTS} Art. 15(1)(d)"),
        rule="Above the number of open orders, or of cancellations in a minute, no opening order passes.",
        settings=("risk.max_open_orders", "risk.max_cancels_per_minute"),
        tests=(f"{_SUMS}::test_open_orders_are_counted", f"{_SUMS}::test_many_cancellations_stop_what_opens"),
    ),
    RiskControl(
        name="Loss limit",
        sources=(f"{SEC}(c)(1)(i): capital threshold", f"{RTS} Art. 15(4)"),
        rule="A loss of the day or a drawdown beyond its limit halts in the event of the price that shows it, cancels "
        "opening orders, and flattens if so configured; for the account, and for a run by its budget.",
        settings=(
            "risk.max_daily_loss",
            "risk.on_daily_loss",
            "risk.max_drawdown",
            "risk.on_drawdown",
            "risk.day_zone",
        ),
        tests=(
            f"{_LOSSES}::test_a_loss_beyond_the_limit_halts_at_the_price_that_shows_it",
            f"{_LOSSES}::test_what_a_loss_does_in_the_same_event",
            f"{_LOSSES}::test_a_drawdown_is_measured_from_the_highest_profit_of_the_day",
            "tests/promises/test_promise_10_losses_stop_opening.py"
            "::test_a_loss_beyond_its_limit_halts_cancels_and_flattens",
        ),
        missing="It does not close positions that others opened (`external`).",
    ),
    RiskControl(
        name="Price tolerance of limit orders",
        sources=(f"{FIA}: price tolerance", f"{SEC}(c)(1)(ii)", f"{RTS} Art. 15(1)(a)"),
        rule="A limit price that reaches too far through the market is denied.",
        settings=("risk.price_collar",),
        tests=(f"{_RISK}::test_a_limit_reaches_no_further_through_the_market_than_the_collar",),
    ),
    RiskControl(
        name="Collar of market orders",
        sources=(f"{FIA}: market order protection", f"{RTS} Art. 15(1)(a)"),
        rule="A market order that opens a position leaves as an IOC limit order; closing orders keep their type.",
        settings=("risk.collar_market_orders",),
        tests=(
            "tests/engine/test_engine_collar.py::test_a_buy_reaches_two_percent_beyond_the_ask",
            "tests/engine/test_engine_collar.py::test_what_gets_out_leaves_at_the_market",
        ),
        missing="It is off by default.",
    ),
    RiskControl(
        name="Message rate",
        sources=(f"{FIA}: message throttle", f"{RTS} Art. 15(1)(d)"),
        rule="Orders and changes above the rate wait; opening orders are denied after a time limit. "
        "Messages to TWS are also paced.",
        settings=(
            "risk.max_orders_per_second",
            "risk.max_order_wait_seconds",
            "risk.max_cancels_per_minute",
            "tws.messages_per_second",
        ),
        tests=(
            "tests/engine/test_engine_exposures.py::test_many_cancellations_stop_what_opens",
            f"{_WAITING}::test_what_is_above_the_rate_waits_and_leaves_a_second_later",
            f"{_FRESH}::test_bars_that_are_caught_up_with_let_no_burst_leave",
            "tests/tws/test_tws_pacing.py::test_no_window_holds_more_than_the_limit",
        ),
    ),
    RiskControl(
        name="Repeated automated execution",
        sources=(f"{FIA}: repeated automated execution throttle", f"{RTS} Art. 15(3)"),
        rule="The same intent without effect too often, or too many rejections in a row, halts the run until a person "
        "lifts the halt.",
        settings=("risk.max_repeated_orders", "risk.repeat_window_seconds", "risk.max_consecutive_rejections"),
        tests=(
            f"{_REPEATED}::test_orders_denied_again_and_again_halt_their_run",
            f"{_REPEATED}::test_buying_and_selling_the_same_again_and_again_halts",
            f"{_REPEATED}::test_rejections_in_a_row_halt_and_an_accepted_order_begins_the_row_anew",
        ),
    ),
    RiskControl(
        name="Duplicate orders",
        sources=(f"{SEC}(c)(1)(ii): duplicative orders",),
        rule="An intent has one id, which is on disk before its bytes leave; a caller's key places once.",
        tests=(
            "tests/promises/test_promise_01_no_intent_is_sent_twice.py::test_after_a_kill_every_order_at_the_venue_is_in_the_journal",
            "tests/engine/test_engine_by_hand.py::test_a_key_places_once_for_each_who_uses_it",
        ),
    ),
    RiskControl(
        name="Self-trade prevention",
        sources=(f"{FIA}: self-match prevention", f"{RTS} Art. 13: prevention of market abuse"),
        rule="An order that could trade with another run's or one by hand is denied, or the resting one is cancelled.",
        settings=("risk.self_crossing",),
        tests=(
            "tests/engine/test_engine_self_crossing.py::test_whatever_rests_no_two_owners_orders_can_meet",
            "tests/engine/test_engine_self_crossing.py::test_resting_orders_are_cancelled_where_that_is_asked_for",
        ),
        missing="Stops count only once they rest; orders of other programs on the account are not checked.",
    ),
    RiskControl(
        name="Stale and unreasonable market data",
        sources=(f"{FIA}: market data reasonability", f"{RTS} Art. 16: real-time monitoring"),
        rule="Nothing opens on an old price or a late bar; a print that jumps waits for a second one.",
        settings=(
            "risk.max_price_age_shares",
            "risk.max_price_age_futures",
            "risk.max_price_age_currency",
            "risk.max_price_age_options",
            "risk.max_bar_lateness_seconds",
            "risk.max_price_jump",
            "risk.price_jump_seconds",
        ),
        tests=(
            f"{_FRESH}::test_an_order_on_an_old_price_is_denied",
            "tests/engine/test_engine_bad_prints.py::test_a_single_print_is_held_and_dropped",
            "tests/promises/test_promise_09_fresh_prices.py::test_after_a_stall_no_order_leaves_on_an_old_bar",
        ),
        missing="TWS sends no time with quotes: a quote that TWS itself delays is only found by its bars.",
    ),
    RiskControl(
        name="Halted, crossed and wide markets",
        sources=(f"{FIA}: exchange volatility controls", f"{RTS} Art. 15(1)(a)"),
        rule="Nothing opens while the venue has halted the instrument, bid is above ask, or the spread is too wide.",
        settings=("risk.max_spread",),
        tests=(
            f"{_FRESH}::test_nothing_opens_in_a_halted_market",
            f"{_FRESH}::test_nothing_opens_in_a_crossed_market",
            f"{_FRESH}::test_a_wide_spread_denies_what_would_take_the_other_side_and_nothing_else",
        ),
    ),
    RiskControl(
        name="Stalled trading process",
        sources=(f"{FIA}: heartbeats", f"{RTS} Art. 16: real-time monitoring"),
        rule="A process that stood still compares its books before it decides again; earlier decisions do not leave.",
        settings=("stall_seconds",),
        tests=(
            "tests/promises/test_promise_09_fresh_prices.py::test_after_a_stall_no_order_leaves_on_an_old_bar",
            f"{_FRESH}::test_after_a_stall_nothing_is_decided_until_the_link_is_up_again",
        ),
    ),
    RiskControl(
        name="Independent monitor of a hung engine",
        sources=(f"{FIA}: system safeguards", f"{RTS} Art. 16: real-time monitoring"),
        rule="A second process with its own connection watches loss, exposure, order rate and the engine's heartbeat.",
        settings=("guardian",),
        tests=(
            f"{_GUARDIAN}::test_a_loss_beyond_the_limit_flattens_within_five_seconds",
            "tests/guardian/test_guardian_engine.py::"
            "test_an_engine_that_hangs_in_a_strategy_is_found_and_its_opening_orders_go",
            "tests/promises/test_promise_10_hung.py::"
            "test_a_hung_engine_with_a_losing_position_is_flat_within_five_seconds_of_the_limit",
        ),
    ),
    RiskControl(
        name="Kill functionality",
        sources=(f"{FIA}: kill switch", f"{RTS} Art. 12"),
        rule="A person halts, cancels and flattens, also while the engine hangs, and also by a file.",
        tests=(
            f"{_GUARDIAN}::test_a_person_flattens_the_account",
            "tests/promises/test_promise_11_one_command_stops_everything.py::"
            "test_it_stops_an_account_whose_engine_hangs",
        ),
    ),
    RiskControl(
        name="Halts need a person",
        sources=(f"{RTS} Art. 15(3)", f"{SEC}(d): direct and exclusive control"),
        rule="A halt belongs to the account, survives the process, and is lifted once, by id, with a reason.",
        settings=("risk.halt_keeps_protection",),
        tests=(
            "tests/engine/test_engine_exposures.py::test_after_a_halt_no_sequence_of_events_makes_a_position_larger",
            "tests/promises/test_promise_07_halts_need_a_person.py::"
            "test_a_halt_holds_under_another_client_id_and_in_another_state_folder",
        ),
    ),
    RiskControl(
        name="Lost connection",
        sources=(f"{FIA}: cancel on disconnect", f"{RTS} Art. 16"),
        rule="Without a link nothing leaves; when it is back, the books are compared before anything trades.",
        tests=(
            f"{_RISK}::test_without_a_link_nothing_leaves",
            "tests/promises/test_promise_02_no_fill_is_lost_or_doubled.py::test_no_fill_is_lost_or_doubled_whatever_the_link_does",
        ),
        missing="TWS offers no cancel on disconnect: orders keep working there, and the guardian watches them.",
    ),
    RiskControl(
        name="Maintenance windows and clocks",
        sources=(f"{RTS} Art. 16", f"{FIA}: system safeguards"),
        rule="Nothing opens from the guard time to the end of a reset, or while the clock is too far from TWS's.",
        settings=("tws.calendar", "tws.max_clock_drift_seconds"),
        tests=(
            "tests/promises/test_the_day_of_ib.py::"
            "test_no_opening_order_reaches_tws_from_the_guard_time_to_the_end_of_a_restart",
            "tests/engine/test_engine_venue_day.py::test_a_window_bars_exactly_from_its_guard_to_its_end",
            "tests/engine/test_engine_venue_day.py::test_no_opening_order_leaves_by_a_clock_beyond_its_limit",
        ),
    ),
    RiskControl(
        name="Business continuity",
        sources=(f"{RTS} Art. 14", f"{FIA}: disaster recovery"),
        rule="A standby takes over books and orders; a leader that was frozen sends no more orders.",
        settings=("redis",),
        tests=(
            "tests/processes/test_processes_election.py::"
            "test_a_standby_trades_within_five_seconds_of_the_end_of_the_leader",
            "tests/processes/test_processes_election.py::test_a_leader_that_was_frozen_sends_nothing_more_and_ends",
        ),
    ),
    RiskControl(
        name="Reconciliation and drop copy",
        sources=(f"{FIA}: post-trade, drop copy", f"{RTS} Art. 17: post-trade controls", f"{SEC}(c)(2)(iv)"),
        rule="Positions, executions and orders are compared with TWS at each start and reconnect, and while up.",
        tests=(
            "tests/promises/test_promise_02_no_fill_is_lost_or_doubled.py::test_after_any_storm_of_faults_one_reconnect_brings_every_fill_once",
            "tests/promises/test_promise_04_unknown_is_not_rejected_by_time.py::"
            "test_an_order_without_an_answer_is_unknown_until_there_is_one",
        ),
    ),
    RiskControl(
        name="Trades of others in the account",
        sources=(f"{RTS} Art. 17", f"{SEC}(c)(1)(i)"),
        rule="Outside trades are booked separately; runs whose positions they closed are halted.",
        tests=(
            "tests/desk/test_desk_outside.py::test_a_sale_by_hand_is_booked_to_external_within_seconds",
            "tests/promises/test_promise_12_a_person_is_not_undone.py::"
            "test_a_position_that_a_person_closed_is_not_opened_again",
        ),
    ),
    RiskControl(
        name="Access",
        sources=(f"{SEC}(c)(2)(iii): authorized persons", f"{RTS} Art. 18: security"),
        rule="Each route needs a key or login of a sufficient role; loopback by default.",
        settings=("server",),
        tests=(
            "tests/server/test_access.py::test_every_other_route_needs_to_know_who_asks",
            "tests/server/test_roles.py::test_a_viewer_looks_a_trader_halts_an_admin_sees_the_users",
        ),
    ),
    RiskControl(
        name="Record keeping",
        sources=(f"{RTS} Art. 28", f"{FIA}: documentation"),
        rule="Every event and decision is journaled and replays byte for byte; a chained audit holds people's actions.",
        settings=("journal.keep_days",),
        tests=(
            "tests/store/test_store_journal_replay.py::test_a_run_replays_equal",
            "tests/store/test_store_audit.py::test_no_byte_before_the_last_line_can_be_changed_unseen",
        ),
        missing="The fields and formats that Art. 28 prescribes for high-frequency firms are not written.",
    ),
    RiskControl(
        name="Testing and deployment of strategies",
        sources=(f"{RTS} Art. 5-8", f"{FIA}: testing and change management"),
        rule="A strategy is known by its file's hash, tested for look-ahead, and decides on paper as in a backtest.",
        tests=(
            "tests/backtest/test_look_ahead.py::test_a_strategy_that_looks_ahead_fails",
            "tests/promises/test_promise_05_same_events_same_decisions.py::test_a_paper_run_decided_as_the_backtest_does_on_the_same_bars",
        ),
        missing="No sign-off by a second person is required.",
    ),
    RiskControl(
        name="Restricted instruments and regulatory pre-order checks",
        sources=(f"{SEC}(c)(2)(i)-(ii)",),
        missing="No restricted list, locate or Reg SHO check here: IB applies its own.",
    ),
    RiskControl(
        name="Credit limits of clients",
        sources=(f"{SEC}(c)(1)(i): each customer", f"{FIA}: credit controls"),
        missing="The owner of one account trades; there are no clients to give credit to.",
    ),
    RiskControl(
        name="Automated surveillance for market manipulation",
        sources=(f"{RTS} Art. 13",),
        missing="Beyond self-trade prevention, nothing detects patterns of abuse.",
    ),
    RiskControl(
        name="Conformance testing with the venue",
        sources=(f"{RTS} Art. 6", f"{FIA}: exchange conformance testing"),
        missing="The embedded gateway stands in for TWS; conformance is between IB and the exchanges.",
    ),
    RiskControl(
        name="Annual self-assessment and validation",
        sources=(f"{RTS} Art. 9", f"{SEC}(e)"),
        missing="A duty of firms; the tests of this repository can be part of one.",
    ),
)


def as_markdown() -> str:
    """Return the table in the form of `docs/risk-controls.md`."""
    first, about = (__doc__ or "").split("\n\n", 1)
    lines = [
        "# Risk controls",
        "",
        f"{first} `make controls` writes it, and `/api/v1/risk/controls` serves it.",
        "",
        " ".join(about.split()),
        "",
        "| control | named by | rule | settings | tests | not covered |",
        "|---|---|---|---|---|---|",
    ]
    for control in CONTROLS:
        cells = (
            control.name,
            "<br>".join(control.sources),
            control.rule or "**none**",
            "<br>".join(f"`{name}`" for name in control.settings),
            "<br>".join(f"`{name}`" for name in control.tests),
            control.missing,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])
