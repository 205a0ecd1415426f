"""Orders leave on the instrument's grid of prices and sizes, never rounded against their owner."""

from __future__ import annotations

import dataclasses
import math
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.engine import RiskLimits
from ibdesk.engine.rates import rate_between
from ibdesk.engine.terms import fitted
from ibdesk.errors import OrderDeniedError
from ibdesk.model import (
    Account,
    AccountReport,
    Forex,
    Future,
    ModifyRequest,
    Order,
    OrderDenied,
    OrderType,
    PlaceOrder,
    Side,
    Stock,
    instrument_of,
)

SHARE = Stock("AAPL")


def order(side: Side, *, limit: float | None = None, stop: float | None = None, quantity: float = 1.0) -> Order:
    kinds = {(False, False): OrderType.MARKET, (True, False): OrderType.LIMIT, (False, True): OrderType.STOP}
    kind = kinds.get((limit is not None, stop is not None), OrderType.STOP_LIMIT)
    return Order(
        id="r.1", owner="r", instrument="AAPL", side=side, quantity=quantity, type=kind, limit_price=limit,
        stop_price=stop,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("side", "asked", "sent"),
    [
        (Side.BUY, 0.97765, 0.9776),
        (Side.BUY, 0.98765, 0.9876),
        (Side.SELL, 1.0153, 1.02),
        (Side.SELL, 0.98765, 0.9877),
        (Side.BUY, 0.004, 0.004),
    ],
)
def test_a_limit_is_rounded_away_from_harm(side: Side, asked: float, sent: float) -> None:
    assert fitted(order(side, limit=asked), SHARE).limit_price == sent


@pytest.mark.parametrize(("side", "asked", "sent"), [(Side.BUY, 5.05, 5.0), (Side.SELL, 5.05, 5.1)])
def test_an_index_option_moves_by_a_dime_from_three_dollars(side: Side, asked: float, sent: float) -> None:
    assert fitted(order(side, limit=asked), instrument_of("SPXW-20261218-C-5000")).limit_price == sent


@pytest.mark.parametrize("price", [0.00004, 0.0, -1.0])
@pytest.mark.parametrize("side", Side)
def test_a_share_is_never_ordered_at_nothing(side: Side, price: float) -> None:
    if price > 0 and side is Side.SELL:
        assert fitted(order(side, limit=price), SHARE).limit_price == 0.0001
        return
    with pytest.raises(OrderDeniedError, match=f"its price of {price:g} is below 0.0001, the instrument's lowest"):
        fitted(order(side, limit=price), SHARE)


@pytest.mark.parametrize("price", [1e16, 1e300, 1e308, sys.float_info.max])
@pytest.mark.parametrize("name", ["AAPL", "ES-202612", "EUR.USD", "SPXW-20261218-C-5000"])
@pytest.mark.parametrize("terms", ["limit", "stop"])
@pytest.mark.parametrize("side", Side)
def test_a_price_that_no_step_can_be_told_from_is_denied(side: Side, terms: str, name: str, price: float) -> None:
    with pytest.raises(
        OrderDeniedError, match=r"its price of .* is farther from 0 than .*: a float cannot represent its price steps"
    ):
        fitted(order(side, **{terms: price}), instrument_of(name))


def test_a_future_may_not_be_ordered_far_below_nothing() -> None:
    with pytest.raises(OrderDeniedError, match=r"its price of -1e\+308 is farther from 0 than 4.5\d*e\+13"):
        fitted(order(Side.BUY, limit=-1e308), Future("CL", expiry="202005"))


def test_new_terms_that_are_far_too_high_are_denied_and_the_order_keeps_its_own(tell_story, hands) -> None:
    story = tell_story()
    story.start(hands(bar=lambda me, bar: me.buy("AAPL", 1, limit=9.0)))
    [placed] = story.placed(story.bar(10.0))

    [denied] = story.tell(ModifyRequest(order_id=placed.id, at_ns=story.at_ns, limit_price=1e308))

    assert (denied.rule, denied.asked) == ("highest_price", 1e308)
    assert story.order(placed.id).limit_price == 9.0


def test_a_future_may_be_ordered_below_nothing() -> None:
    oil = Future("CL", expiry="202005")

    assert fitted(order(Side.BUY, limit=-37.634), oil).limit_price == -37.64
    assert fitted(order(Side.SELL, limit=-37.634), oil).limit_price == -37.63
    assert fitted(order(Side.BUY, limit=0.0), oil).limit_price == 0.0


grid = st.integers(1, 3_000_000).map(lambda count: count / 10_000)


@given(st.sampled_from(Side), st.floats(0.0002, 1e6), st.sampled_from(["AAPL", "ZN-202612", "700.HK", "USD.JPY"]))
def test_a_limit_is_never_worse_than_asked(side: Side, price: float, name: str) -> None:
    instrument = instrument_of(name)
    if price < instrument.lowest_price:
        return

    limit = fitted(order(side, limit=price), instrument).limit_price

    assert limit is not None
    assert side.sign * (limit - price) <= 8 * math.ulp(price)
    assert fitted(order(side, limit=limit), instrument).limit_price == limit


@given(st.sampled_from(Side), st.floats(0.0002, 300.0), grid)
def test_a_rounded_stop_is_reached_by_the_same_prices_of_the_market(side: Side, asked: float, traded: float) -> None:
    stop, market = fitted(order(side, stop=asked), SHARE).stop_price, SHARE.round_price(traded)

    assert stop is not None
    assert (side.sign * (market - stop) >= 0) == (side.sign * (market - asked) >= -8 * math.ulp(asked))


@pytest.mark.parametrize(
    ("name", "quantity", "sentence"),
    [
        ("ES-202612", 1.5, "its size of 1.5 is not a multiple of 1, the instrument's size increment"),
        ("AAPL-20261218-C-250", 0.5, "its size of 0.5 is not a multiple of 1"),
        ("AAPL", 53.4178, "its size of 53.4178 is not a multiple of 1"),
        ("EUR.USD", 25_000.5, "its size of 25000.5 is not a multiple of 1"),
        ("7203.T", 150.0, "its size of 150 is not a multiple of 100"),
    ],
)
def test_a_size_off_the_increment_is_denied_and_not_changed(name: str, quantity: float, sentence: str) -> None:
    with pytest.raises(OrderDeniedError, match=sentence):
        fitted(order(Side.BUY, quantity=quantity), instrument_of(name))


# ---- through the engine ----------------------------------------------------------------------------------------------


def test_a_target_between_two_sizes_is_the_one_nearer_to_nothing(story) -> None:
    story.start()
    [bought] = story.placed(story.bar(53.4178))
    story.fill(bought)

    assert bought.quantity == 53
    assert story.bar(53.9) == []
    [sold] = story.placed(story.bar(-10.7))
    assert (sold.side, sold.quantity) == (Side.SELL, 63)


def test_an_order_of_a_strategy_off_the_increment_is_denied_with_a_sentence(tell_story, hands) -> None:
    story = tell_story()
    story.start(hands(bar=lambda me, bar: me.buy("AAPL", 1.5)))

    [denied] = story.bar(10.0)

    assert (denied.rule, denied.limit, denied.asked) == ("size_increment", 1.0, 1.5)
    assert story.order("run.1").reason.endswith(
        "its size of 1.5 is not a multiple of 1, the instrument's size increment"
    )


def test_a_strategy_may_call_its_instrument_by_any_of_its_names(tell_story, hands) -> None:
    story = tell_story()
    story.start(hands(bar=lambda me, bar: me.buy("BRK-B", 1)), on=[Stock("BRK B")])

    [placed] = story.bar(10.0, instrument="BRK.B")

    assert isinstance(placed, PlaceOrder)
    assert placed.order.instrument == "BRK.B"


def limits(**rules: Any) -> RiskLimits:
    return dataclasses.replace(RiskLimits.none(), **rules)


@pytest.mark.parametrize(
    ("name", "price", "quantity"),
    [("EUR.USD", 1.08, 25_000), ("USD.JPY", 150.0, 25_000), ("GBP.USD", 1.27, 20_000), ("EUR.GBP", 0.85, 100_000)],
)
def test_the_default_limits_let_an_ordinary_currency_order_pass(
    tell_story, hands, name: str, price: float, quantity: float
) -> None:
    story = tell_story(RiskLimits())
    story.start(hands(bar=lambda me, bar: me.buy(name, quantity)), on=[instrument_of(name)])

    assert [type(action) for action in story.bar(price, instrument=name)] == [PlaceOrder]


@pytest.mark.parametrize(
    ("name", "price", "quantity", "rule", "asked"),
    [
        # 900,000 EUR are worth 1.08 dollars each; dollars are dollars, whatever they cost in yen.
        ("EUR.USD", 1.08, 900_000, "max_order_currency", 972_000),
        ("USD.JPY", 150.0, 900_000, "max_order_currency", 900_000),
        # No watched pair tells what a pound is worth in dollars: it counts as it is.
        ("GBP.CHF", 1.1, 900_000, "max_order_currency", 900_000),
    ],
)
def test_a_currency_order_is_measured_by_its_base_currency_in_the_accounts_money(
    tell_story, hands, name: str, price: float, quantity: float, rule: str, asked: float
) -> None:
    story = tell_story(limits(max_order_currency=800_000, max_order_shares=1, max_order_contracts=1))
    story.start(hands(bar=lambda me, bar: me.buy(name, quantity)), on=[instrument_of(name)])

    [denied] = story.bar(price, instrument=name)

    assert isinstance(denied, OrderDenied)
    assert (denied.rule, denied.limit) == (rule, 800_000)
    assert denied.asked == pytest.approx(asked)
    assert f"{rule} allows 800000 of the account's currency, asked {asked}" in story.order("run.1").reason


def test_a_currency_order_is_converted_into_the_currency_that_the_account_reports(tell_story, hands) -> None:
    story = tell_story(limits(max_order_currency=1000))
    pair = Forex("EUR", currency="USD")
    story.start(hands(bar=lambda me, bar: me.buy("EUR.USD", 1050)), on=[pair])
    story.tell(AccountReport(Account(currency="EUR"), story.at_ns))

    [denied] = story.bar(1.08, instrument="EUR.USD")

    assert (denied.rule, denied.asked) == ("max_order_currency", 1050)


@pytest.mark.parametrize(
    ("name", "rule"), [("AAPL", "shares"), ("ES-202612", "contracts"), ("AAPL-20261218-C-250", "contracts")]
)
def test_each_kind_of_instrument_has_limits_of_its_own(tell_story, hands, name: str, rule: str) -> None:
    others = {"max_order_shares", "max_order_contracts", "max_order_currency"} - {f"max_order_{rule}"}
    story = tell_story(limits(**{f"max_order_{rule}": 4.0}, **dict.fromkeys(others, 0.5)))
    story.start(hands(bar=lambda me, bar: [me.buy(name, 4), me.buy(name, 5)]), on=[instrument_of(name)])

    placed, denied = story.bar(10.0, instrument=name)

    assert isinstance(placed, PlaceOrder)
    assert (denied.rule, denied.limit, denied.asked) == (f"max_order_{rule}", 4, 5)
    assert story.order("run.2").reason == f"max_order_{rule} allows 4 {rule}, asked 5"


def test_the_largest_position_is_of_one_kind_too(tell_story, hands) -> None:
    story = tell_story(limits(max_position_contracts=5, max_position_shares=1))
    story.start(
        hands(bar=lambda me, bar: [me.buy("ES-202612", 3), me.buy("ES-202612", 3)]), on=[Future("ES", expiry="202612")]
    )

    _, denied = story.bar(4500.0, instrument="ES-202612")

    assert (denied.rule, denied.limit, denied.asked) == ("max_position_contracts", 5, 6)


def test_oil_below_nothing_is_measured_by_its_size(tell_story, hands) -> None:
    oil = Future("CL", expiry="202005")
    story = tell_story(limits(max_notional=37_000, price_collar=0.05))
    story.start(
        hands(bar=lambda me, bar: [me.buy("CL-202005", 1, limit=-35.0), me.buy("CL-202005", 1, limit=-36.5)]), on=[oil]
    )

    too_far, too_much = story.bar(-37.63, instrument="CL-202005")

    # 2.63 above -37.63 are 7 %; 1,000 barrels at 37.63 are 37,630.
    assert (too_far.rule, too_far.asked) in (("price_collar", pytest.approx(2.63 / 37.63)), ("max_notional", 37_630))
    assert (too_much.rule, too_much.asked) == ("max_notional", pytest.approx(37_630))


def test_a_limit_order_without_any_price_of_the_market_is_measured_by_its_limit(tell_story, hands) -> None:
    story = tell_story(RiskLimits())

    actions = story.start(
        hands(start=lambda me, _: me.buy("AAPL-20261218-C-250", 1, limit=2.0)),
        on=[instrument_of("AAPL-20261218-C-250")],
    )

    assert [type(action) for action in actions] == [PlaceOrder]


def test_a_rate_is_told_by_the_pair_or_its_inverse() -> None:
    prices = {"EUR.USD": 1.25, "USD.JPY": 160.0}

    assert rate_between("EUR", "USD", prices.get) == 1.25
    assert rate_between("JPY", "USD", prices.get) == 1 / 160
    assert rate_between("USD", "USD", prices.get) == 1.0
    assert rate_between("GBP", "USD", prices.get) is None
