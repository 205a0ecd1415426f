"""Each run has its own book; what no book explains is external."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.engine import EXTERNAL, Portfolio
from ibdesk.model import (
    Account,
    AccountReport,
    Alert,
    Commission,
    Fill,
    Future,
    Link,
    LinkChanged,
    PositionReport,
    Severity,
    Side,
)


def test_two_runs_on_one_instrument_keep_their_own_books(story) -> None:
    story.start(run_id="long", cash=1_000.0)
    story.start(run_id="short", cash=500.0)
    long, short = story.placed(story.bar(4.0))

    story.fill(long, price=10.0)
    story.fill(short, 1.0, price=11.0, side=Side.SELL)

    assert (story.run("long").position("AAPL").quantity, story.run("long").cash) == (4.0, 960.0)
    assert (story.run("short").position("AAPL").quantity, story.run("short").cash) == (-1.0, 511.0)
    assert story.engine.portfolio.held("AAPL") == 3.0


def test_a_commission_is_paid_by_the_run_whose_fill_it_was_whichever_comes_first(story) -> None:
    story.start(run_id="one")
    story.start(run_id="two")
    one, two = story.placed(story.bar(4.0))

    story.charge("early", 1.5)
    story.fill(one, execution_id="early", price=10.0)
    story.fill(two, execution_id="late", price=10.0)
    story.charge("late", 2.5)

    assert (story.run("one").cash, story.run("two").cash) == (-41.5, -42.5)
    assert story.run("two").position("AAPL").commission == 2.5


def test_a_corrected_commission_replaces_the_first(story) -> None:
    story.start()
    story.fill(*story.placed(story.bar(4.0)), execution_id="x", price=10.0)

    for amount in (1.0, 1.75, 1.75):
        story.charge("x", amount)

    assert story.run().cash == -41.75


def test_a_commission_is_handed_on_with_its_currency(story) -> None:
    story.start()
    story.fill(*story.placed(story.bar(4.0)), execution_id="x", price=10.0)
    story.tell(Commission(execution_id="x", amount=1.5, currency="CHF", at_ns=story.at_ns))

    [left] = story.engine.portfolio.fill_snapshots(0)
    after = Portfolio()
    after.restore(story.engine.portfolio.book_snapshots(), [left])

    assert (left.commission, left.commission_currency) == (1.5, "CHF")
    assert after.fill_snapshots(0) == [left]


def test_a_future_moves_cash_by_its_multiplier(story) -> None:
    story.start(on=[Future("ES", expiry="202612")], cash=0.0)
    (order,) = story.placed(story.bar(2.0, instrument="ES-202612"))

    story.fill(order, price=4500.0, multiplier=50.0)

    assert story.run().cash == -450_000.0


def test_fills_of_nobody_go_to_external(story) -> None:
    story.start()
    fill = Fill(execution_id="h", order_id="", instrument="AAPL", side=Side.BUY, quantity=9, price=10.0, at_ns=1)

    story.tell(fill)

    assert story.engine.portfolio.books[EXTERNAL].position("AAPL").quantity == 9
    assert story.run().position("AAPL").quantity == 0
    assert story.engine.orders.exposures.exact_pnl() == 0.0


def sync(story, **held: float):
    actions = story.tell(LinkChanged(Link.SYNCING, story.at_ns))
    for instrument, quantity in held.items():
        actions += story.tell(PositionReport(instrument, quantity, 12.0, story.at_ns))
    return actions + story.tell(LinkChanged(Link.UP, story.at_ns))


def test_what_the_account_holds_and_no_book_explains_is_kept_apart_and_told(story) -> None:
    story.start()
    story.fill(*story.placed(story.bar(4.0)))

    (alert,) = sync(story, AAPL=10.0)

    assert isinstance(alert, Alert)
    assert alert.severity is Severity.WARNING
    assert "AAPL: the account holds 10 but the books say 4. The difference of 6" in alert.text
    external = story.engine.portfolio.books[EXTERNAL].position("AAPL")
    # The 12 of the venue is the mean of all ten: what the six cost is not known, they count from the last price on.
    assert (external.quantity, external.average_price) == (6.0, 4.0)
    assert story.run().position("AAPL").quantity == 4.0


def test_an_account_that_agrees_gives_no_alert(story) -> None:
    story.start()
    story.fill(*story.placed(story.bar(4.0)))

    assert sync(story, AAPL=4.0) == []
    assert sync(story, AAPL=4.0) == []


def test_an_instrument_that_the_account_does_not_mention_is_not_flat(story) -> None:
    story.start()
    story.fill(*story.placed(story.bar(4.0)))

    assert sync(story) == []
    assert story.engine.portfolio.held("AAPL") == 4

    uncovered, halted, alert = sync(story, AAPL=0.0)

    assert (halted.by, halted.scope) == ("external", "run:run")
    assert "the account holds 0 but the books say 4" in alert.text
    assert "accept_external('AAPL')" in uncovered.text
    assert story.engine.portfolio.held("AAPL") == 0


def test_a_position_closed_by_hand_while_the_link_was_down_is_settled(story) -> None:
    sync(story, GOOG=5.0)

    (alert,) = sync(story, GOOG=0.0)

    assert "GOOG: the account holds 0 but the books say 5" in alert.text
    assert story.engine.portfolio.books[EXTERNAL].position("GOOG").quantity == 0


def test_what_the_account_does_not_tell_again_still_holds(story) -> None:
    sync(story, GOOG=5.0)

    assert sync(story) == []
    assert story.engine.portfolio.held("GOOG") == 5


def test_the_account_is_the_one_last_reported(story) -> None:
    story.tell(AccountReport(Account("DU1", cash=5.0), 1))

    assert story.engine.account.is_paper
    assert story.engine.account.cash == 5.0


fills = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", ""]),
        st.sampled_from(Side),
        st.integers(1, 100),
        st.integers(1, 99),
        st.integers(0, 30),
    ),
    max_size=40,
)


@given(fills)
def test_the_books_add_up_to_the_account_whatever_is_told_twice(fills: list[tuple]) -> None:
    portfolio = Portfolio()
    seen: dict[str, Fill] = {}
    for owner, side, quantity, price, number in fills:
        fill = Fill(
            execution_id=str(number),
            order_id="",
            instrument="AAPL",
            side=side,
            quantity=quantity,
            price=float(price),
            at_ns=1,
        )
        assert portfolio.book(fill, owner or EXTERNAL) is (str(number) not in seen)
        seen.setdefault(str(number), fill)

    assert portfolio.held("AAPL") == sum(fill.signed_quantity for fill in seen.values())
    cash = sum(book.cash for book in portfolio.books.values())
    worth = sum(position.pnl(50.0) for book in portfolio.books.values() for position in book.positions.values())
    assert worth == pytest.approx(cash + 50.0 * portfolio.held("AAPL"), abs=1e-6)
    assert cash == sum(fill.cash for fill in seen.values())
