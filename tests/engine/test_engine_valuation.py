"""Losses over a restart: instruments without a price keep their recorded value, so no loss appears or is hidden."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from ibdesk.engine import LOSS_TIMER, Engine, RiskLimits, snapshot_of
from ibdesk.model import (
    NO_BUDGET,
    Account,
    AccountReport,
    Alert,
    ChangeLimits,
    Commission,
    Forex,
    OrderDenied,
    OrderStatus,
    PlaceRequest,
    Quote,
    Restore,
    ResumeTrading,
    RunBudget,
    Side,
    Stock,
    StopStrategy,
    TimerFired,
    TradingHalted,
    Valuation,
    WatchMarket,
    decode_event,
    encode_event,
)
from ibdesk.store.recovery import RecordedGate
from ibdesk.strategy import Strategy

AAPL, IBM, SONY = Stock("AAPL"), Stock("IBM"), Stock("6758", exchange="TSEJ", currency="JPY")
PAIR = Forex("USD", currency="JPY")
DAY_NS = 24 * 3600 * 1_000_000_000


def limits(**rules: Any) -> RiskLimits:
    return dataclasses.replace(RiskLimits.none(), **rules)


def halts_in(actions: Any) -> list[TradingHalted]:
    return [action for action in actions if isinstance(action, TradingHalted)]


def restart(story: Any) -> list[Any]:
    """Have a second engine go on from what the first one leaves; return what it does about it."""
    heir = Engine(strategies=lambda _: Strategy(), limits=story.engine.gate.limits)
    command = Restore(account="DU1", at_ns=story.at_ns, snapshot=snapshot_of(story.engine, story.at_ns))
    story.engine = heir
    taken = decode_event(encode_event(command))
    assert taken == command
    actions: list[Any] = story.tell(taken)
    return actions


def buy(story: Any, instrument: Any, quantity: float, price: float, **more: Any) -> None:
    order_id = f"m{len(story.events)}"
    story.tell(
        PlaceRequest(order_id=order_id, instrument=instrument, side=Side.BUY, quantity=quantity, at_ns=story.at_ns)
    )
    story.fill(story.order(order_id), price=price, **more)


def overnight(story: Any, hands: Any, close: float) -> None:
    """Hold 1,000 AAPL bought at 100, and 10 IBM, both priced, and let the next day begin."""
    story.start(hands(), on=[AAPL, IBM])
    story.hold(1_000, price=100.0)
    buy(story, IBM, 10, 50.0)
    story.quote(close, close)
    story.quote(50.0, 50.0, instrument="IBM")
    story.at_ns += DAY_NS
    story.quote(close, close)
    for halt_id in list(story.engine.gate.halts):
        story.tell(ResumeTrading(halt_id, "a new day", story.at_ns))


def look(story: Any) -> list[Any]:
    return list(story.tell(TimerFired(LOSS_TIMER, story.at_ns)))


def test_a_profit_of_the_days_before_does_not_look_like_a_loss_after_a_restart(tell_story, hands) -> None:
    story = tell_story(limits(max_daily_loss=1_000))
    overnight(story, hands, 130.0)
    assert story.engine.losses.marks(story.at_ns).pnl == 30_000

    assert halts_in(restart(story)) == []
    assert halts_in(look(story)) == []
    # The price of the other instrument comes first.
    assert halts_in(story.quote(50.0, 50.0, instrument="IBM")) == []
    assert story.engine.losses.loss == 0.0
    assert halts_in(story.quote(129.0, 129.0)) == []
    [halted] = halts_in(story.quote(128.9, 128.9))
    assert "the day's loss of 1100.00" in halted.reason


def test_a_loss_of_the_days_before_hides_none_of_this_day_after_a_restart(tell_story, hands) -> None:
    story = tell_story(limits(max_daily_loss=1_000))
    overnight(story, hands, 70.0)
    restart(story)

    # 110 IBM that lose 10 each, while no price of AAPL comes.
    buy(story, IBM, 100, 50.0)
    story.at_ns += 120 * 1_000_000_000
    [halted] = halts_in(story.quote(40.0, 40.0, instrument="IBM"))

    assert "the day's loss of 1100.00" in halted.reason


def test_the_peak_of_a_run_is_not_lost_to_while_its_instrument_has_no_price(tell_story, hands) -> None:
    story = tell_story()
    story.start(hands(), budget=RunBudget(max_drawdown=500))
    story.hold(1_000, price=100.0)
    story.quote(130.0, 130.0)

    assert halts_in(restart(story)) == []
    assert halts_in(look(story)) == []
    assert len(halts_in(story.quote(129.4, 129.4))) == 1


def test_a_second_currency_counts_at_the_rate_that_was_noted(tell_story, hands) -> None:
    story = tell_story(limits(max_daily_loss=1_000))
    story.start(hands(), on=[SONY, PAIR])
    story.quote(150.0, 150.0, instrument="USD.JPY")
    buy(story, SONY, 1_000, 3_000.0)
    # 1,500 yen a share on 1,000 shares are 10,000 dollars at 150.
    story.quote(4_500.0, 4_500.0, instrument=SONY.id)
    story.at_ns += DAY_NS
    story.quote(4_500.0, 4_500.0, instrument=SONY.id)
    assert story.engine.losses.marks(story.at_ns).pnl == pytest.approx(10_000)

    assert halts_in(restart(story)) == []
    assert halts_in(look(story)) == []
    # 150 yen less are 1,000 dollars: the limit, and not beyond it.
    assert halts_in(story.quote(4_350.0, 4_350.0, instrument=SONY.id)) == []
    [halted] = halts_in(story.quote(4_335.0, 4_335.0, instrument=SONY.id))
    assert "the day's loss of 1100.00" in halted.reason


def test_the_accounts_currency_is_known_after_a_restart(tell_story, hands) -> None:
    story = tell_story(limits(max_daily_loss=1_000))
    story.tell(AccountReport(Account(currency="JPY"), story.at_ns))
    story.start(hands(), on=[AAPL, PAIR])
    story.quote(150.0, 150.0, instrument="USD.JPY")
    story.hold(100, price=100.0)
    story.quote(110.0, 110.0)
    story.at_ns += DAY_NS
    story.quote(110.0, 110.0)

    assert halts_in(restart(story)) == []
    assert halts_in(look(story)) == []
    assert halts_in(story.tell(AccountReport(Account(currency="JPY"), story.at_ns))) == []
    # Seven cents on 100 shares are 1,050 yen.
    assert len(halts_in(story.quote(109.93, 109.93))) == 1


def test_another_currency_of_the_account_converts_what_losses_are_measured_from(tell_story, hands) -> None:
    story = tell_story(limits(max_daily_loss=1_000))
    story.start(hands(), on=[AAPL, PAIR])
    story.quote(150.0, 150.0, instrument="USD.JPY")
    story.hold(100, price=100.0)
    story.quote(110.0, 110.0)
    story.at_ns += DAY_NS
    story.quote(110.0, 110.0)

    story.tell(AccountReport(Account(currency="JPY"), story.at_ns))

    assert story.engine.losses.loss == pytest.approx(0.0, abs=1e-6)
    assert halts_in(story.quote(109.95, 109.95)) == []
    assert len(halts_in(story.quote(109.93, 109.93))) == 1


def test_an_execution_is_a_newer_price_than_the_one_that_was_noted(tell_story, hands) -> None:
    story = tell_story(limits(max_daily_loss=1_000))
    overnight(story, hands, 130.0)
    restart(story)

    # No price has come yet: sold out at 131, and bought back at 200.
    story.hold(0, price=131.0)
    story.hold(1_000, price=200.0)

    assert story.engine.losses.loss == pytest.approx(-1_000.0)
    assert halts_in(look(story)) == []


def test_a_price_that_was_noted_is_none_to_open_on(tell_story, hands) -> None:
    story = tell_story(limits(max_daily_loss=1_000, max_notional=1e6, max_gross_exposure=1e9))
    overnight(story, hands, 130.0)
    restart(story)

    order = PlaceRequest(order_id="more", instrument=AAPL, side=Side.BUY, quantity=1, at_ns=story.at_ns)

    [denied] = [action for action in story.tell(order) if isinstance(action, OrderDenied)]
    assert denied.rule in ("max_notional", "max_gross_exposure")


def test_a_replay_leaves_what_was_noted_last(tell_story, hands) -> None:
    story = tell_story(limits(max_daily_loss=1_000))
    overnight(story, hands, 130.0)
    day = story.engine.losses.marks(story.at_ns)
    replay = Engine(strategies=lambda _: Strategy(), gate=RecordedGate(story.engine.gate.limits))
    for event in story.events:
        replay.handle(event)
    replay.handle(msgspec.structs.replace(day, valuation=msgspec.structs.replace(day.valuation, prices={"AAPL": 131})))

    left = snapshot_of(replay, story.at_ns)

    # IBM was not noted; AAPL has been since, at another price than that of the last quote that was replayed.
    assert (left.day_pnl, left.day_valuation.prices) == (30_000.0, {"AAPL": 131.0})


def test_the_snapshot_of_an_heir_is_the_one_it_restored(tell_story, hands) -> None:
    story = tell_story(limits(max_daily_loss=1_000))
    story.start(hands(), on=[AAPL, SONY, PAIR])
    story.quote(150.0, 150.0, instrument="USD.JPY")
    story.hold(100, price=100.0)
    buy(story, SONY, 100, 3_000.0)
    story.quote(4_500.0, 4_500.0, instrument=SONY.id)
    story.quote(110.0, 110.0)
    left = snapshot_of(story.engine, story.at_ns)

    restart(story)

    assert left.day_valuation == Valuation("USD", {"AAPL": 110.0, SONY.id: 4_500.0}, {"JPY": 1 / 150}, {SONY.id: "JPY"})
    assert snapshot_of(story.engine, story.at_ns) == left


# --- prices that are not known yet after a restart


def test_what_was_noted_last_outlives_a_replay_in_which_it_was_the_price_already(tell_story, hands) -> None:
    story = tell_story(limits(max_daily_loss=1_000))
    overnight(story, hands, 130.0)
    day = story.engine.losses.marks(story.at_ns)
    replay = Engine(strategies=lambda _: Strategy(), gate=RecordedGate(story.engine.gate.limits))
    for event in story.events:
        replay.handle(event)
    earlier, later = (
        msgspec.structs.replace(day, valuation=msgspec.structs.replace(day.valuation, prices={"AAPL": price}))
        for price in (129.0, 131.0)
    )
    replay.handle(earlier)
    # Of the quotes only those are on the record that led to something: here one at the very price that is noted.
    replay.handle(Quote("AAPL", story.at_ns, 131.0, 131.0, 1.0, 1.0))
    replay.handle(later)

    assert snapshot_of(replay, story.at_ns).day_valuation.prices == {"AAPL": 131.0}


def lost_beside_an_old_price(tell_story: Any, hands: Any) -> Any:
    """Lose 1,100 in IBM on the day of a restart, while of 1,000 AAPL no price has come since."""
    story = tell_story(limits(max_daily_loss=1_000))
    overnight(story, hands, 70.0)
    restart(story)
    buy(story, IBM, 100, 50.0)
    return story


def test_no_loss_limit_acts_on_prices_from_before_a_restart_while_new_ones_come(tell_story, hands) -> None:
    story = lost_beside_an_old_price(tell_story, hands)

    actions = story.quote(40.0, 40.0, instrument="IBM")

    assert halts_in(actions) == []
    [alert] = [action for action in actions if isinstance(action, Alert)]
    assert alert.text == (
        "AAPL has had no price since the restart, so risk.max_daily_loss does not act yet on a loss of 1100.00: "
        "it acts at the first price, or 120 s after the restart by the last recorded price"
    )
    # It is said once.
    assert story.quote(40.0, 40.0, instrument="IBM") == look(story) == []
    # AAPL has gained 2 on 1,000 shares meanwhile: nothing was lost.
    assert story.quote(72.0, 72.0) == []
    assert story.engine.losses.loss == -900.0


def test_one_acts_with_the_first_price(tell_story, hands) -> None:
    story = lost_beside_an_old_price(tell_story, hands)
    story.quote(40.0, 40.0, instrument="IBM")

    [halted] = halts_in(story.quote(70.0, 70.0))

    assert "the day's loss of 1100.00" in halted.reason


def test_one_acts_by_what_was_noted_where_no_price_comes_for_long(tell_story, hands) -> None:
    story = lost_beside_an_old_price(tell_story, hands)
    story.quote(40.0, 40.0, instrument="IBM")
    story.at_ns += 118 * 1_000_000_000
    assert halts_in(look(story)) == []

    story.at_ns += 1_000_000_000

    assert "the day's loss of 1100.00" in halts_in(look(story))[0].reason


def test_an_old_price_makes_no_peak(tell_story, hands) -> None:
    story = tell_story(limits(max_drawdown=1_000))
    overnight(story, hands, 130.0)
    restart(story)

    # 110 IBM have gained 50 each, while AAPL has lost 5 of its 130 since: together 500 more than the day began with.
    buy(story, IBM, 100, 50.0)
    story.quote(100.0, 100.0, instrument="IBM")
    assert halts_in(story.quote(125.0, 125.0)) == []
    assert story.engine.orders.exposures.account.peak == 30_500


# --- books that are flat


def test_a_flat_book_in_another_currency_is_not_left_behind(tell_story, hands) -> None:
    story = tell_story(limits(max_daily_loss=1_000))
    story.start(hands(), on=[SONY, PAIR])
    story.quote(150.0, 150.0, instrument="USD.JPY")
    order = story.act(lambda me: me.buy(SONY.id, 100))
    story.fill(story.order(order), price=3_000.0)
    order = story.act(lambda me: me.sell(SONY.id, 100))
    # It earned 150,000 yen, which are 1,000 dollars.
    story.fill(story.order(order), price=4_500.0)
    story.tell(StopStrategy("run", story.at_ns))
    story.at_ns += 9 * DAY_NS
    story.quote(150.0, 150.0, instrument="USD.JPY")

    for _ in range(2):
        restart(story)
        assert story.engine.losses.loss == pytest.approx(0.0)
        assert halts_in(look(story)) == []
    assert story.engine.losses.marks(story.at_ns).pnl == pytest.approx(1_000)
    assert [book.owner for book in story.engine.portfolio.book_snapshots()] == ["run"]


# --- the value of an order


@pytest.mark.parametrize(
    ("price", "terms", "asked"),
    [
        (150.0, {}, 20_000),
        # The worst of limit, stop and price counts, for the account and for the run alike.
        (150.0, {"limit": 3_300.0}, 22_000),
        (150.0, {"stop": 3_150.0}, 21_000),
        (100.0, {}, 30_000),
    ],
)
@pytest.mark.parametrize("rule", ["max_notional", "budget.max_notional"])
def test_the_value_of_an_order_is_in_the_accounts_currency(
    tell_story, hands, rule: str, price: float, terms: dict[str, float], asked: float
) -> None:
    is_account = rule == "max_notional"
    story = tell_story(limits(max_notional=10_000) if is_account else None)
    story.start(hands(), on=[SONY, PAIR], budget=NO_BUDGET if is_account else RunBudget(max_notional=10_000))
    story.quote(150.0, 150.0, instrument="USD.JPY")
    story.quote(3_000.0, 3_000.0, instrument=SONY.id)
    passed = story.act(lambda me: me.buy(SONY.id, 400, **terms))
    story.quote(price, price, instrument="USD.JPY")

    denied = story.act(lambda me: me.buy(SONY.id, 1_000, **terms))

    assert story.order(passed).status is OrderStatus.SENT
    assert story.order(denied).reason == f"{rule} allows 10000, asked {asked:g}"


@pytest.mark.parametrize("rule", ["max_notional", "budget.max_notional"])
def test_a_limit_price_is_a_value_where_no_price_is_known(tell_story, hands, rule: str) -> None:
    is_account = rule == "max_notional"
    story = tell_story(limits(max_notional=1_000) if is_account else None)
    story.start(hands(), on=[AAPL, PAIR], budget=NO_BUDGET if is_account else RunBudget(max_notional=1_000))

    dear, cheap, unknown, pair = (
        story.order(story.act(act))
        for act in (
            lambda me: me.buy("AAPL", 101, limit=10.0),
            lambda me: me.buy("AAPL", 100, limit=10.0),
            lambda me: me.buy("AAPL", 1),
            lambda me: me.buy("USD.JPY", 1),
        )
    )

    assert (dear.reason, cheap.status) == (f"{rule} allows 1000, asked 1010", OrderStatus.SENT)
    assert unknown.reason == pair.reason == f"{rule} allows 1000, asked inf"


# --- what is not kept by each price


def test_an_order_is_worth_its_present_price_although_no_limit_follows_prices(tell_story, hands) -> None:
    story = tell_story()
    story.start(hands(), budget=RunBudget(max_notional=1_000))
    story.quote(10.0, 10.0)
    story.hold(1, price=10.0)
    story.quote(100.0, 100.0)

    denied = story.order(story.act(lambda me: me.buy("AAPL", 11)))

    assert denied.reason == "budget.max_notional allows 1000, asked 1100"


def test_a_rate_is_the_present_one_once_a_limit_follows_prices(tell_story, hands) -> None:
    story = tell_story()
    story.start(hands(), on=[SONY, PAIR])
    story.quote(150.0, 150.0, instrument="USD.JPY")
    buy(story, SONY, 1_000, 3_000.0)
    story.quote(4_500.0, 4_500.0, instrument=SONY.id)
    story.quote(100.0, 100.0, instrument="USD.JPY")
    assert story.engine.orders.exposures.exact_pnl() == pytest.approx(15_000)

    for pair, earned, rules in ((100.0, 15_000, limits(max_daily_loss=1e6)), (50.0, 30_000, limits())):
        story.tell(ChangeLimits(limits=rules.by_name, at_ns=story.at_ns))
        assert story.engine.orders.exposures.account.pnl == pytest.approx(15_000)
        story.quote(pair, pair, instrument="USD.JPY")
        assert story.engine.orders.exposures.exact_pnl() == pytest.approx(earned)
    story.tell(ChangeLimits(limits=limits(max_daily_loss=1e6).by_name, at_ns=story.at_ns))

    assert story.engine.orders.exposures.account.pnl == pytest.approx(30_000)


# --- a run's drawdown


def test_a_restart_forgives_no_drawdown_of_a_run_where_no_day_is_counted(tell_story, hands) -> None:
    story = tell_story()
    story.start(hands(), budget=RunBudget(max_drawdown=500))
    story.hold(1_000, price=100.0)
    story.quote(101.0, 101.0)

    restart(story)

    assert len(halts_in(story.quote(100.4, 100.4))) == 1


def calls_of(act: Callable[..., object], *arguments: object) -> int:
    """Return how many calls something makes."""
    seen: list[str] = []

    def note(_frame: object, event: str, _argument: object) -> None:
        seen.append(event)

    sys.setprofile(note)
    try:
        act(*arguments)
    finally:
        sys.setprofile(None)
    return len(seen)


@pytest.mark.parametrize("owner", ["account", "run"])
def test_a_new_high_costs_the_same_whatever_is_held(tell_story, hands, owner: str) -> None:
    rules, budget = (limits(max_drawdown=100), NO_BUDGET) if owner == "account" else (None, RunBudget(max_drawdown=100))
    calls = {}
    for count in (1, 40):
        story = tell_story(rules)
        story.start(hands(), budget=budget, on=[AAPL, *(Stock(f"S{number}") for number in range(count))])
        story.hold(100, price=10.0)
        story.quote(10.0, 10.0)
        for number in range(count):
            story.fill(story.order(story.act(lambda me, number=number: me.buy(f"S{number}", 1))), price=5.0)
        story.quote(11.0, 11.0)
        calls[count] = calls_of(story.quote, 12.0, 12.0)
        # The peak is the new one: 200 were earned, 95 are left.
        assert len(halts_in(story.quote(10.95, 10.95))) == 1

    assert calls[1] == calls[40]


# --- commissions in another currency than the instrument's


def charge(story: Any, execution_id: str, amount: float, currency: str) -> None:
    story.tell(Commission(execution_id=execution_id, amount=amount, at_ns=story.at_ns, currency=currency))


def sony_for_a_charge(tell_story: Any, hands: Any) -> Any:
    story = tell_story(limits(max_daily_loss=1_000))
    story.start(hands(), on=[SONY, PAIR])
    story.quote(150.0, 150.0, instrument="USD.JPY")
    story.fill(story.order(story.act(lambda me: me.buy(SONY.id, 100))), price=3_000.0)
    return story


def test_a_commission_counts_in_its_own_currency(tell_story, hands) -> None:
    story = sony_for_a_charge(tell_story, hands)
    exposures = story.engine.orders.exposures

    charge(story, "e1", 3.0, "USD")
    assert exposures.exact_pnl() == pytest.approx(-3.0)
    # Corrected: 450 yen are 3 dollars, too, and then 900 are 6.
    charge(story, "e1", 450.0, "JPY")
    assert exposures.exact_pnl() == pytest.approx(-3.0)
    charge(story, "e1", 900.0, "JPY")

    assert exposures.exact_pnl() == exposures.exact_pnl("run") == pytest.approx(-6.0)
    assert exposures.account.pnl == pytest.approx(-6.0)
    assert exposures.commission("run", SONY.id) == pytest.approx(900.0)


def test_one_that_was_told_before_its_execution_counts_in_its_own_currency(tell_story, hands) -> None:
    story = sony_for_a_charge(tell_story, hands)

    charge(story, "e2", 3.0, "USD")
    story.fill(story.order(story.act(lambda me: me.buy(SONY.id, 100))), price=3_000.0)

    assert story.engine.orders.exposures.exact_pnl() == pytest.approx(-3.0)
    assert story.engine.orders.exposures.commission("run", SONY.id) == pytest.approx(450.0)


def test_one_in_a_third_currency_follows_its_rate_and_outlives_a_restart(tell_story, hands) -> None:
    story = sony_for_a_charge(tell_story, hands)
    story.tell(WatchMarket(Forex("EUR"), story.at_ns))
    story.quote(1.2, 1.2, instrument="EUR.USD")
    charge(story, "e1", 10.0, "EUR")
    assert story.engine.orders.exposures.account.pnl == pytest.approx(-12.0)
    story.quote(1.1, 1.1, instrument="EUR.USD")
    assert story.engine.orders.exposures.account.pnl == pytest.approx(-11.0)

    restart(story)

    assert story.engine.orders.exposures.exact_pnl() == pytest.approx(-11.0)
    charge(story, "e1", 20.0, "EUR")
    assert story.engine.orders.exposures.exact_pnl() == pytest.approx(-22.0)
