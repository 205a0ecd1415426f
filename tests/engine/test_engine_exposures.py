"""The sums of the limits: each change updates them, and they equal a new sum over books and open orders."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ibdesk.engine import EXTERNAL, OpenOrders, RiskLimits
from ibdesk.model import (
    Account,
    AccountReport,
    CancelRequest,
    ChangeLimits,
    Forex,
    HaltTrading,
    OrderDenied,
    OrderStatus,
    PlaceRequest,
    PositionReport,
    RunBudget,
    Side,
    Stock,
    StopStrategy,
)

AAPL, SONY, PAIR = Stock("AAPL"), Stock("6758", exchange="TSEJ", currency="JPY"), Forex("USD", currency="JPY")
COMMON = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def limits(**rules: Any) -> RiskLimits:
    """Only these rules; the others are off."""
    return dataclasses.replace(RiskLimits.none(), **rules)


def brute(engine: Any) -> dict[str, Any]:
    """Work the account's sums out anew from the books and the open orders alone."""
    orders, found = engine.blotter.all_open(), {}
    gross = highest = lowest = pnl = 0.0
    names = {name for book in engine.portfolio.books.values() for name in book.positions} | {
        order.instrument for order in orders
    }
    for name in names:
        market = engine.markets[name]
        rate = 1.0
        if market.instrument.currency == "JPY":
            rate = engine.orders.exposures._rates.get("JPY", 1.0)
        price = market.price
        high = low = 0.0
        costs = [0.0]
        for owner in {book.owner for book in engine.portfolio.books.values()} | {order.owner for order in orders}:
            book = engine.portfolio.books.get(owner)
            held = book.position(name).quantity if book else 0.0
            sums = OpenOrders()
            for order in orders:
                if (order.owner, order.instrument) == (owner, name):
                    sums.add(order, engine.blotter.counted(order))
            high += sums.worst(held)[0]
            low += sums.worst(held)[1]
            if book:
                position = book.position(name)
                if position.quantity and not math.isnan(position.average_price):
                    costs.append(abs(position.average_price))
                if owner != EXTERNAL:
                    pnl += position.pnl(position.average_price if price is None else price) * rate
                    # What is charged here is always dollars.
                    pnl -= position.charges.get("USD", 0.0)
        worth = (max(costs) if price is None else abs(price)) * market.instrument.multiplier * rate
        gross += max(high, -low) * worth
        highest += high * worth
        lowest += low * worth
        found[name] = high, low
    return {"gross": gross, "highest": highest, "lowest": lowest, "pnl": pnl, "reach": found, "open": len(orders)}


def check(engine: Any) -> None:
    """Compare each sum with what is worked out anew."""
    exposures, expected = engine.orders.exposures, brute(engine)
    account = exposures.account
    for name in ("gross", "highest", "lowest", "pnl"):
        assert getattr(account, name) == pytest.approx(expected[name], rel=1e-9, abs=1e-6), name
    assert account.open_orders == expected["open"]
    assert exposures.exact_pnl() == pytest.approx(expected["pnl"], abs=1e-6)
    for name, (high, low) in expected["reach"].items():
        total = exposures.totals[name]
        assert (total.high, total.low) == (pytest.approx(high, abs=1e-9), pytest.approx(low, abs=1e-9))
    for owner, money in exposures.owners.items():
        if money.is_budgeted:
            assert money.pnl == pytest.approx(exposures.exact_pnl(owner), abs=1e-6)


def by_hand(story: Any, name: str, which: int, size: int) -> None:
    """Order by hand."""
    side = Side.BUY if which % 2 else Side.SELL
    instrument, order_id = (AAPL if name == AAPL.id else SONY), f"m{len(story.events)}"
    story.tell(
        PlaceRequest(order_id=order_id, instrument=instrument, side=side, quantity=5.0 * size, at_ns=story.at_ns)
    )


def correct(story: Any, order: Any, size: int) -> None:
    """Take back a part of what an order has filled."""
    other = Side.SELL if order.side is Side.BUY else Side.BUY
    if order.filled:
        story.fill(order, min(order.filled, float(size)), price=9.0, side=other)


def trade_outside(story: Any, name: str, which: int, size: int) -> None:
    """Report a position that no book explains."""
    held = sum(book.position(name).quantity for book in story.engine.portfolio.books.values())
    story.tell(PositionReport(name, held + size - which, 9.0, story.at_ns, confirmed=True))


def withdraw(story: Any, order: Any, _: int) -> None:
    """Cancel an order, which the venue does at once."""
    story.tell(CancelRequest(order.id, story.at_ns))
    story.report(order, OrderStatus.CANCELLED)


def change_limits(story: Any, _: str, __: int, size: int) -> None:
    """Change a limit, which sums everything anew."""
    changed = story.engine.gate.limits.but({"max_net_exposure": 1e14 * size})
    story.tell(ChangeLimits(limits=changed.by_name, at_ns=story.at_ns))


ON_ORDERS: dict[str, Any] = {
    "fill": lambda story, order, size: story.fill(order, min(order.remaining, 7.0 * size), price=8.0 + size),
    "cancel": withdraw,
    "correct": correct,
}
BY_RUNS: dict[str, Any] = {
    "buy": lambda me, name, quantity: me.buy(name, quantity),
    "sell": lambda me, name, quantity: me.sell(name, quantity),
    "limit": lambda me, name, quantity: me.sell(name, quantity, limit=20.0),
    "stop": lambda me, name, quantity: me.sell(name, quantity, stop=5.0),
}
OTHERS: dict[str, Any] = {
    "price": lambda story, name, which, size: story.quote(10.0 + size, 10.0 + which, instrument=name),
    "rate": lambda story, _, which, size: story.quote(100.0 + size, 100.0 + size + which, instrument=PAIR.id),
    "hand": by_hand,
    "charge": lambda story, _, which, size: story.charge(f"e{1 + which}", 0.5 * size),
    "external": trade_outside,
    "end": lambda story, _, which, size: size == 9 and story.tell(StopStrategy("two", story.at_ns, flatten=which > 4)),
    "limits": change_limits,
}
kinds = st.sampled_from((*ON_ORDERS, *BY_RUNS, *OTHERS, "fill", "fill", "price", "price"))
moves = st.lists(st.tuples(kinds, st.integers(0, 9), st.integers(1, 9)), max_size=40)


@COMMON
@given(moves=moves)
def test_sums_kept_by_each_change_equal_sums_anew(moves, tell_story, hands) -> None:
    """After any sequence of fills, prices, rates, commissions, corrections, orders and trades outside."""
    story = tell_story(limits(max_gross_exposure=1e15, max_daily_loss=1e15))
    story.start(hands(), "one", on=[AAPL, SONY, PAIR], budget=RunBudget(max_drawdown=1e15))
    story.start(hands(), "two", on=[AAPL, SONY])
    story.quote(100.0, 100.0, instrument=PAIR.id)
    for name in (AAPL.id, SONY.id):
        story.fill(story.order(story.act(lambda me: me.buy(name, 50), "one")))  # noqa: B023 - called at once
    for what, which, size in moves:
        name = (AAPL.id, SONY.id)[which // 2 % 2]
        open_orders = story.engine.blotter.all_open()
        if what in ON_ORDERS:
            if open_orders:
                ON_ORDERS[what](story, open_orders[which % len(open_orders)], size)
        elif what in BY_RUNS:
            run_id = ("one", "two")[which % 2]
            if story.run(run_id).is_running:
                story.act(lambda me: BY_RUNS[what](me, name, 10.0 * size), run_id)  # noqa: B023 - called at once
        else:
            OTHERS[what](story, name, which, size)
        check(story.engine)


# --- limits of the account


def denial(actions) -> tuple[str, float, Any]:
    """Return what was denied, allowed and asked."""
    [denied] = [action for action in actions if isinstance(action, OrderDenied)]
    return denied.rule, denied.limit, pytest.approx(denied.asked)


def place(story: Any, quantity: float, *, instrument: Any = AAPL, order_id: str = "m1", **terms: Any) -> list[Any]:
    """Order by hand, at the market unless `terms` say otherwise."""
    side = Side.BUY if quantity > 0 else Side.SELL
    request = PlaceRequest(
        order_id=order_id, instrument=instrument, side=side, quantity=abs(quantity), at_ns=story.at_ns, **terms
    )
    return list(story.tell(request))


@pytest.fixture
def two_runs(tell_story, hands):
    """Two runs on AAPL at 10, of which `one` holds 100 and `two` is short 40, under these limits."""

    def make(**rules: Any) -> Any:
        story = tell_story()
        for run_id, quantity in (("one", 100), ("two", -40)):
            story.start(hands(), run_id)
            act = (lambda me: me.buy("AAPL", 100)) if quantity > 0 else (lambda me: me.sell("AAPL", 40))
            story.fill(story.order(story.act(act, run_id)))
        story.quote(10.0, 10.0)
        story.tell(ChangeLimits(limits=limits(**rules).by_name, at_ns=story.at_ns))
        return story

    return make


def test_the_position_of_the_account_counts_runs_hands_and_external(two_runs) -> None:
    story = two_runs(max_position_shares=100)
    story.tell(PositionReport("AAPL", 90.0, 10.0, story.at_ns, confirmed=True))

    # 100 - 40 of the runs and 30 that somebody bought elsewhere.
    assert denial(place(story, 11)) == ("max_position_shares", 100, 101)
    assert story.placed(place(story, 10, order_id="m2"))


def test_open_orders_of_all_owners_count_as_filled(two_runs) -> None:
    story = two_runs(max_position_shares=100)
    story.act(lambda me: me.buy("AAPL", 30, limit=9.9), "one")

    assert denial(place(story, 11)) == ("max_position_shares", 100, 101)


def test_gross_and_net_exposure_are_sums_of_values(two_runs) -> None:
    ibm = Stock("IBM")
    story = two_runs(max_gross_exposure=2_000, max_net_exposure=1_000)
    story.tell(PlaceRequest(order_id="m0", instrument=ibm, side=Side.SELL, quantity=1, at_ns=story.at_ns))
    story.quote(20.0, 20.0, instrument="IBM")

    # 60 AAPL at 10 are 600; 70 IBM at 20 short are 1,400, gross; one IBM more is too much.
    assert story.placed(place(story, -70, instrument=ibm))
    assert denial(place(story, -1, instrument=ibm, order_id="m2")) == ("max_gross_exposure", 2_000, 2_020)
    # Worth 600 and every purchase filled: 40 more AAPL make 1,000.
    assert story.placed(place(story, 40, order_id="m3")) == []
    assert story.order("m3").reason.startswith("max_gross_exposure")


def test_net_exposure(two_runs) -> None:
    story = two_runs(max_net_exposure=1_000)

    assert denial(place(story, 41)) == ("max_net_exposure", 1_000, 1_010)
    assert story.placed(place(story, 40, order_id="m2"))
    # The other way round: 100 - 200 would be -160 with the run that is short.
    assert denial(place(story, -161, order_id="m3")) == ("max_net_exposure", 1_000, 1_010)


def test_the_value_in_one_instrument_follows_the_price(two_runs) -> None:
    story = two_runs(max_instrument_exposure=1_000)
    assert denial(place(story, 41)) == ("max_instrument_exposure", 1_000, 1_010)

    story.quote(20.0, 20.0)

    assert denial(place(story, 1, order_id="m2")) == ("max_instrument_exposure", 1_000, 1_220)


def test_open_orders_are_counted(two_runs) -> None:
    story = two_runs(max_open_orders=2)
    place(story, 1, order_id="m1")
    place(story, 1, order_id="m2")

    assert denial(place(story, 1, order_id="m3")) == ("max_open_orders", 2, 3)
    # Getting out is always allowed.
    assert story.placed(story.tell(StopStrategy("one", story.at_ns, flatten=True)))


def test_margin_is_compared_as_it_was_reported(two_runs) -> None:
    story = two_runs(max_margin_use=0.5, max_buying_power_use=0.1)
    assert denial(place(story, 1)) == ("max_margin_use", 0.5, math.inf)

    def report(margin: float) -> None:
        account = Account(net_liquidation=10_000.0, initial_margin=margin, buying_power=5_000.0)
        story.tell(AccountReport(account, story.at_ns))

    report(5_001.0)
    assert denial(place(story, 1, order_id="m2")) == ("max_margin_use", 0.5, 0.5001)
    report(4_000.0)
    # 51 at 10 would take 510 of 5,000.
    assert denial(place(story, 51, order_id="m3")) == ("max_buying_power_use", 0.1, 0.102)
    assert story.placed(place(story, 50, order_id="m4"))


def test_many_cancellations_stop_what_opens(two_runs) -> None:
    story = two_runs(max_cancels_per_minute=2)
    for number in range(3):
        place(story, 1, order_id=f"m{number}")
        story.tell(CancelRequest(f"m{number}", story.at_ns))

    assert denial(place(story, 1, order_id="m9")) == ("max_cancels_per_minute", 2, 3)
    story.at_ns += 61_000_000_000
    assert story.placed(place(story, 1, order_id="m10"))


@pytest.mark.parametrize(
    ("budget", "order", "expected"),
    [
        (RunBudget(max_order=5), 6, ("budget.max_order", 5, 6)),
        (RunBudget(max_position=105), 6, ("budget.max_position", 105, 106)),
        (RunBudget(max_notional=50), 6, ("budget.max_notional", 50, 60)),
        (RunBudget(max_gross_exposure=1_050), 6, ("budget.max_gross_exposure", 1_050, 1_060)),
        (RunBudget(max_net_exposure=1_050), 6, ("budget.max_net_exposure", 1_050, 1_060)),
        (RunBudget(max_open_orders=1), 5, ("budget.max_open_orders", 1, 2)),
    ],
)
def test_a_budget_limits_its_run(tell_story, hands, budget: RunBudget, order: int, expected: Any) -> None:
    story = tell_story()
    story.start(hands(), budget=budget)
    story.hold(100, price=10.0)
    story.quote(10.0, 10.0)
    if expected[0] == "budget.max_open_orders":
        story.act(lambda me: me.buy("AAPL", 1))

    story.act(lambda me: me.buy("AAPL", order))

    denied = [each for each in story.engine.blotter.orders.values() if each.status is OrderStatus.DENIED]
    assert [each.reason.split(" ")[0] for each in denied] == [expected[0]]
    # By hand the account may do more.
    assert story.placed(place(story, 100))


def test_a_budget_limits_how_often_its_run_orders_and_cancels(tell_story, hands) -> None:
    story = tell_story()
    story.start(hands(), budget=RunBudget(max_orders_per_minute=3, max_cancels_per_minute=1))
    story.quote(10.0, 10.0)
    for _ in range(2):
        order_id = story.act(lambda me: me.buy("AAPL", 1, limit=9.0))
        story.tell(CancelRequest(order_id, story.at_ns))

    # Two cancels are one too many; a minute later orders are counted alone.
    assert story.order(story.act(lambda me: me.buy("AAPL", 1))).reason.startswith("budget.max_cancels_per_minute")
    story.at_ns += 61_000_000_000
    ids = [story.act(lambda me: me.buy("AAPL", 1)) for _ in range(4)]
    assert [story.order(order_id).status for order_id in ids] == [OrderStatus.SENT] * 3 + [OrderStatus.DENIED]
    assert story.order(ids[3]).reason.startswith("budget.max_orders_per_minute allows 3")


# --- a halt


STEPS = ("buy", "sell", "limit", "stop", "pair", "target", "fill", "fill", "price")
steps = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(1, 9)), max_size=12)


def step(story: Any, what: str, size: int) -> None:
    """Have the run or the market do something; the venue withdraws at once what it was asked to."""
    way = (lambda me: me.buy) if size % 2 else (lambda me: me.sell)
    acts: dict[str, Any] = {
        "buy": lambda me: me.buy("AAPL", 10 * size),
        "sell": lambda me: me.sell("AAPL", 10 * size),
        "limit": lambda me: way(me)("AAPL", 10 * size, limit=10.0),
        "stop": lambda me: way(me)("AAPL", 10 * size, stop=10.0),
        "pair": lambda me: [way(me)("AAPL", 10 * size, stop=10.0), way(me)("AAPL", 10 * size, limit=10.0)],
        "target": lambda me: me.order_target("AAPL", 20 * size - 100),
    }
    open_orders = story.engine.blotter.all_open()
    if what in acts:
        story.act(acts[what])
    elif what == "price":
        story.quote(5.0 + size, 5.0 + size)
    elif open_orders:
        order = open_orders[size % len(open_orders)]
        story.fill(order, min(order.remaining, 10.0 * size))
    for order in story.engine.blotter.all_open():
        if story.engine.blotter.is_withdrawn(order.id):
            story.report(order, OrderStatus.CANCELLED)


def test_changes_of_an_order_count_as_orders_of_its_run(tell_story, hands) -> None:
    story = tell_story(limits())
    story.start(hands(), budget=RunBudget(max_orders_per_minute=3))
    story.quote(10.0, 10.0)
    order_id = story.act(lambda me: me.buy("AAPL", 1, limit=9.0))
    story.report(story.order(order_id), OrderStatus.WORKING)

    for limit in (9.1, 9.2, 9.3):
        story.act(lambda me, limit=limit: me.modify(order_id, limit=limit))
    hook = [order.reason for order in story.run().strategy.told("order")]

    assert hook[-1] == "budget.max_orders_per_minute allows 3, asked 4"
    # What gets out, and what makes an order smaller, is not held up.
    story.hold(5)
    exit_id = story.act(lambda me: me.sell("AAPL", 5))
    assert story.order(exit_id).status is OrderStatus.SENT


def test_what_no_limit_asks_for_is_not_counted(tell_story, hands) -> None:
    story = tell_story(limits())
    story.start(hands(), budget=RunBudget(max_order=1e6))
    story.start(hands(), "other", budget=RunBudget(max_orders_per_minute=1e6, max_cancels_per_minute=1e6))
    for _ in range(200):
        story.at_ns += 1_000_000_000
        for run_id in ("run", "other"):
            order_id = story.act(lambda me: me.buy("AAPL", 1, limit=9.0), run_id)
            story.act(lambda me, order_id=order_id: me.cancel(order_id), run_id)
            story.report(story.order(order_id), OrderStatus.CANCELLED)

    counts = {
        name: (len(money.sent), len(money.cancels)) for name, money in story.engine.orders.exposures.owners.items()
    }
    assert counts["run"] == (0, 0)
    # A minute of them.
    assert counts["other"] == (60, 60)


@COMMON
@given(before=steps, after=steps)
def test_after_a_halt_no_sequence_of_events_makes_a_position_larger(before, after, tell_story, hands) -> None:
    """Cancels are answered at once here: an execution on its way is the venue's, and nothing here can stop it."""
    story = tell_story()
    story.start(hands())
    story.quote(10.0, 10.0)
    for what, size in before:
        step(story, what, size)
    story.tell(HaltTrading("news", story.at_ns))
    step(story, "price", 1)
    held = story.run().position("AAPL").quantity

    for what, size in after:
        step(story, what, size)
        now = story.run().position("AAPL").quantity
        # It goes towards zero, and never through it.
        assert min(held, 0.0) <= now <= max(held, 0.0)
        held = now
