"""Options: the pricing model, the listed chain, their quotes, and orders on them."""

from __future__ import annotations

import datetime as dt
import itertools
import math
from collections.abc import AsyncIterator, Callable
from typing import Any

import ib_async as ib
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ibdesk.clock import ManualClock
from ibdesk.gateway import Gateway
from ibdesk.gateway.contracts.black_scholes import OptionTerms, greeks, implied_volatility, price
from ibdesk.gateway.contracts.book import ContractBook
from ibdesk.gateway.contracts.indices import shipped_indices
from ibdesk.gateway.contracts.options import expiries, occ_symbol, strikes_around, trading_class
from ibdesk.gateway.market.walk import RandomWalk
from ibdesk.gateway.protocol.codec import Fields
from ibdesk.model import Right, nanoseconds

OPENED_AT = dt.datetime(2026, 4, 13, 14, 0, tzinfo=dt.UTC)
# The last expiry that is listed on that day: the third Friday six months later.
LAST_EXPIRY, SPOT = "20261016", 230.0

SPOTS = st.floats(10.0, 1000.0)
RATIOS = st.floats(0.5, 2.0)
YEARS = st.floats(0.02, 3.0)
VOLATILITIES = st.floats(0.05, 2.0)
RATES = st.floats(0.0, 0.1)


# ---- the model ----------------------------------------------------------------------------------------------------


def test_a_textbook_option_is_worth_what_the_textbook_says() -> None:
    # Hull, example 15.6: S 42, K 40, r 10 %, volatility 20 %, half a year; d1 = 0.7693, d2 = 0.6278,
    # so that the call is worth 4.76 and the put 0.81.
    call = OptionTerms(Right.CALL, strike=40.0, years=0.5, rate=0.1)
    put = OptionTerms(Right.PUT, strike=40.0, years=0.5, rate=0.1)

    assert price(call, 42.0, 0.2) == pytest.approx(4.76, abs=0.005)
    assert price(put, 42.0, 0.2) == pytest.approx(0.81, abs=0.005)
    # The call's delta is N(0.7693) = 0.7791.
    assert greeks(call, 42.0, 0.2).delta == pytest.approx(0.7791, abs=0.0001)


@given(spot=SPOTS, ratio=RATIOS, years=YEARS, volatility=VOLATILITIES, rate=RATES)
def test_a_call_less_a_put_is_the_share_less_the_discounted_strike(
    spot: float, ratio: float, years: float, volatility: float, rate: float
) -> None:
    strike = spot * ratio
    call, put = (price(OptionTerms(right, strike, years, rate), spot, volatility) for right in Right)

    assert call - put == pytest.approx(spot - strike * math.exp(-rate * years), abs=1e-9 * spot)


@given(
    right=st.sampled_from(Right),
    spot=SPOTS,
    ratio=RATIOS,
    years=YEARS,
    rate=RATES,
    lower=VOLATILITIES,
    more=st.floats(0.0, 1.0),
)
def test_more_volatility_makes_no_option_cheaper(
    right: Right, spot: float, ratio: float, years: float, rate: float, lower: float, more: float
) -> None:
    terms = OptionTerms(right, spot * ratio, years, rate)

    assert price(terms, spot, lower + more) >= price(terms, spot, lower) - 1e-9 * spot


@given(spot=SPOTS, ratio=RATIOS, years=YEARS, volatility=VOLATILITIES, rate=RATES, rise=st.floats(0.0, 100.0))
def test_a_dearer_share_makes_calls_dearer_and_puts_cheaper(
    spot: float, ratio: float, years: float, volatility: float, rate: float, rise: float
) -> None:
    call, put = (OptionTerms(right, spot * ratio, years, rate) for right in Right)

    assert price(call, spot + rise, volatility) >= price(call, spot, volatility) - 1e-9 * spot
    assert price(put, spot + rise, volatility) <= price(put, spot, volatility) + 1e-9 * spot


@given(right=st.sampled_from(Right), spot=SPOTS, ratio=RATIOS, years=YEARS, volatility=VOLATILITIES, rate=RATES)
def test_the_volatility_that_a_price_implies_is_the_one_it_was_made_with(
    right: Right, spot: float, ratio: float, years: float, volatility: float, rate: float
) -> None:
    terms = OptionTerms(right, spot * ratio, years, rate)
    # If a hundredth of volatility changes the value by less than a millionth of the share, the price does not show it.
    assume(greeks(terms, spot, volatility).vega > 1e-6 * spot)

    assert implied_volatility(terms, spot, price(terms, spot, volatility)) == pytest.approx(volatility, rel=1e-6)


@given(right=st.sampled_from(Right), spot=SPOTS, ratio=RATIOS, years=YEARS, volatility=VOLATILITIES, rate=RATES)
def test_the_sensitivities_are_the_slopes_of_the_price(
    right: Right, spot: float, ratio: float, years: float, volatility: float, rate: float
) -> None:
    terms, step = OptionTerms(right, spot * ratio, years, rate), 1e-4
    found = greeks(terms, spot, volatility)

    def slope(up: float, down: float, width: float) -> float:
        return (up - down) / width

    by_spot = slope(
        price(terms, spot * (1 + step), volatility), price(terms, spot * (1 - step), volatility), 2 * step * spot
    )
    by_volatility = slope(price(terms, spot, volatility + step), price(terms, spot, volatility - step), 2 * step)
    later, sooner = (OptionTerms(right, spot * ratio, years + shift, rate) for shift in (step, -step))
    by_time = slope(price(sooner, spot, volatility), price(later, spot, volatility), 2 * step)
    assert found.delta == pytest.approx(by_spot, abs=1e-3)
    assert found.vega * 100 == pytest.approx(by_volatility, abs=1e-3 * spot)
    assert found.theta * 365 == pytest.approx(by_time, rel=1e-2, abs=1e-3 * spot)


def test_a_price_that_nothing_explains_implies_no_volatility() -> None:
    call = OptionTerms(Right.CALL, strike=90.0, years=0.5)

    # With the share at 100 the call pays 10 at least, and can never be worth more than the share.
    assert implied_volatility(call, 100.0, 9.99) is None
    assert implied_volatility(call, 100.0, 100.0) is None


def test_an_expired_option_is_worth_what_it_pays() -> None:
    assert price(OptionTerms(Right.CALL, strike=90.0, years=0.0), 100.0, 0.3) == 10.0
    assert price(OptionTerms(Right.PUT, strike=90.0, years=0.0), 100.0, 0.3) == 0.0


# ---- what is listed -----------------------------------------------------------------------------------------------


def test_an_option_expires_the_day_before_where_its_friday_is_a_holiday() -> None:
    days = expiries(OPENED_AT.date())

    # Juneteenth, 19 June 2026, is the third Friday of its month.
    assert dt.date(2026, 6, 18) in days
    assert dt.date(2026, 6, 19) not in days
    assert days[0] == dt.date(2026, 4, 17)
    assert days[-1] == dt.date(2026, 10, 16)


@given(st.floats(0.5, 10_000.0))
def test_strikes_rise_evenly_and_enclose_the_spot(spot: float) -> None:
    strikes = strikes_around(spot)
    steps = {round(later - earlier, 9) for earlier, later in itertools.pairwise(strikes)}

    assert strikes[0] > 0
    assert len(steps) == 1
    assert strikes[0] <= max(spot, strikes[0]) <= strikes[-1]


def test_an_option_is_called_as_the_clearing_house_calls_it() -> None:
    assert occ_symbol("AAPL", dt.date(2026, 12, 18), 230.0, Right.CALL) == "AAPL  261218C00230000"
    assert occ_symbol("F", dt.date(2026, 12, 18), 12.5, Right.PUT) == "F     261218P00012500"


def test_only_the_weekly_options_on_the_index_have_a_class_of_their_own() -> None:
    [spx] = [index for index in shipped_indices() if index.symbol == "SPX"]

    assert trading_class(spx, dt.date(2026, 4, 17)) == "SPX"
    assert trading_class(spx, dt.date(2026, 4, 24)) == "SPXW"
    assert trading_class(spx, dt.date(2026, 6, 18)) == "SPX"


# ---- over the wire ------------------------------------------------------------------------------------------------


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    market = RandomWalk(seed=3, prices={"AAPL": SPOT})
    async with Gateway(market=market, clock=ManualClock(nanoseconds(OPENED_AT))) as running:
        yield running


@pytest.fixture
def tolerated() -> set[int]:
    return {200, 202}


@pytest.fixture
async def call(client: ib.IB) -> ib.Contract:
    """Return the call at the money with half a year to go."""
    [contract] = await client.qualifyContractsAsync(ib.Option("AAPL", LAST_EXPIRY, SPOT, "C", "SMART"))
    assert isinstance(contract, ib.Contract)
    return contract


async def test_the_parameters_of_a_chain_come_for_every_exchange(client: ib.IB) -> None:
    chains = await client.reqSecDefOptParamsAsync("AAPL", "", "STK", 265598)

    assert [chain.exchange for chain in chains] == ["SMART", "AMEX", "CBOE", "ISE", "PHLX"]
    assert {(chain.tradingClass, chain.multiplier) for chain in chains} == {("AAPL", "100")}
    # Between 200 and 500 strikes are five apart, fifteen on each side of 230.
    assert chains[0].strikes == [155.0 + 5 * number for number in range(31)]
    assert chains[0].expirations[-1] == LAST_EXPIRY


async def test_what_has_no_options_has_no_parameters(client: ib.IB) -> None:
    assert await client.reqSecDefOptParamsAsync("EUR", "", "CASH", 12087792) == []


async def test_an_open_description_finds_a_whole_side_of_an_expiry(client: ib.IB) -> None:
    found = await client.reqContractDetailsAsync(ib.Option("AAPL", LAST_EXPIRY, right="P", exchange="SMART"))

    assert len(found) == 31
    assert {(each.contract.right, each.contract.lastTradeDateOrContractMonth) for each in found if each.contract} == {
        ("P", LAST_EXPIRY)
    }


# 31 strikes of calls and puts for each expiry.
@pytest.mark.parametrize(("expiry", "count"), [("", 62 * len(expiries(OPENED_AT.date()))), (LAST_EXPIRY, 62)])
async def test_a_list_of_options_comes_in_pieces_and_others_are_answered_in_between(
    dial: Callable[..., Any], expiry: str, count: int
) -> None:
    wire = await dial()
    wire.send(9, reqId=5, symbol="AAPL", secType="OPT", exchange="SMART", lastTradeDateOrContractMonth=expiry)
    wire.send(49)

    before = [name for name, _ in await wire.until("currentTime")]
    after = [name for name, _ in await wire.until("contractDetailsEnd")]

    told = [name == "contractDetails" for name in (*before, *after)]
    assert sum(told) == count
    assert before.count("contractDetails") < count / 2


async def test_a_client_that_leaves_amid_a_chain_leaves_the_gateway_well(dial: Callable[..., Any]) -> None:
    leaving, staying = await dial(1), await dial(2)
    leaving.send(9, reqId=5, symbol="AAPL", secType="OPT", exchange="SMART")
    await leaving.until("contractDetails")
    leaving.close()

    staying.send(9, reqId=6, symbol="AAPL", secType="OPT", exchange="SMART", right="P", lastTradeDateOrContractMonth="")
    told = await staying.until("contractDetailsEnd")

    puts = 31 * len(expiries(OPENED_AT.date()))
    assert [name for name, _ in told if name == "contractDetails"] == ["contractDetails"] * puts


def test_a_chain_lists_an_expiry_on_request() -> None:
    book = ContractBook(OPENED_AT.date())
    book.spot_of = lambda _underlying: SPOT
    [apple] = book.find(Fields("", {"symbol": "AAPL", "secType": "STK"}))
    chain = book.chain(apple)
    assert chain is not None
    in_time = {option.id: option.con_id for option in chain.expiring(LAST_EXPIRY)}

    # An expiry by itself, its month, and the whole chain hold the same contracts.
    assert {option.id: option.con_id for option in chain.expiring(LAST_EXPIRY[:6])} == in_time
    assert {each.id: each.con_id for each in chain.options if each.expiry == LAST_EXPIRY} == in_time
    assert (len(in_time), [*chain.expiring("1999")]) == (62, [])


async def test_an_option_is_one_contract_however_it_is_described(client: ib.IB, call: ib.Contract) -> None:
    by_name = await client.reqContractDetailsAsync(
        ib.Contract(secType="OPT", localSymbol="AAPL  261016C00230000", exchange="SMART")
    )
    by_id = await client.reqContractDetailsAsync(ib.Contract(conId=call.conId))

    assert [each.contract for each in by_name] == [each.contract for each in by_id] == [call]
    assert (by_id[0].underConId, by_id[0].underSymbol, by_id[0].underSecType) == (265598, "AAPL", "STK")
    assert (call.multiplier, call.localSymbol) == ("100", "AAPL  261016C00230000")


async def test_a_strike_that_is_not_listed_is_unknown(client: ib.IB) -> None:
    assert await client.reqContractDetailsAsync(ib.Option("AAPL", LAST_EXPIRY, 231.0, "C", "SMART")) == []


async def test_an_option_has_the_same_number_at_another_gateway(client: ib.IB, call: ib.Contract) -> None:
    market = RandomWalk(seed=4, prices={"AAPL": SPOT})
    async with Gateway(market=market, clock=ManualClock(nanoseconds(OPENED_AT))) as other:
        elsewhere = ib.IB()
        await elsewhere.connectAsync("127.0.0.1", other.port, clientId=1, timeout=5)
        [same] = await elsewhere.qualifyContractsAsync(ib.Option("AAPL", LAST_EXPIRY, SPOT, "C", "SMART"))
        elsewhere.disconnect()

    assert same == call


async def test_an_option_is_quoted_around_its_value_with_the_implied_values(
    client: ib.IB, gateway: Gateway, call: ib.Contract, until: Callable[..., Any]
) -> None:
    ticker = client.reqMktData(call)
    await until(client, lambda: ticker.bidGreeks and ticker.askGreeks and ticker.modelGreeks)

    bid, model, ask = ticker.bidGreeks, ticker.modelGreeks, ticker.askGreeks
    assert bid is not None
    assert model is not None
    assert ask is not None
    below, implied, above = (each.impliedVol or 0.0 for each in (bid, model, ask))
    assert ticker.bid < (model.optPrice or 0.0) < ticker.ask
    # At the money the volatility is the market's own, and half the spread on each side means less and more of it.
    assert implied == pytest.approx(0.25, abs=1e-3)
    assert below < implied < above
    assert 0.5 < (model.delta or 0.0) < 0.65
    assert model.undPrice == pytest.approx(SPOT, rel=1e-3)
    assert ticker.bidSize == ticker.askSize == 50


async def test_the_quote_of_an_option_follows_its_underlying(
    client: ib.IB, gateway: Gateway, call: ib.Contract, until: Callable[..., Any]
) -> None:
    ticker = client.reqMktData(call)
    await until(client, lambda: ticker.modelGreeks)
    before = ticker.ask

    gateway.quote("AAPL", SPOT + 9.99, SPOT + 10.01)
    await until(client, lambda: ticker.ask > before)

    # Ten dollars more of the share are six of a call with a delta between a half and two thirds.
    assert ticker.ask - before == pytest.approx(6, abs=1)
    assert client.cancelMktData(call)
    await client.reqCurrentTimeAsync()
    gateway.quote("AAPL", SPOT, SPOT + 0.02)
    await client.reqCurrentTimeAsync()
    assert ticker.ask - before == pytest.approx(6, abs=1)


async def test_an_order_on_an_option_fills_at_its_ask_and_costs_a_hundred_times_its_price(
    client: ib.IB, gateway: Gateway, call: ib.Contract, until: Callable[..., Any]
) -> None:
    trade = client.placeOrder(call, ib.MarketOrder("BUY", 2))
    await until(client, lambda: trade.orderStatus.status == "Filled")

    quote = gateway.tape.quote(f"AAPL-{LAST_EXPIRY}-C-230")
    assert quote is not None
    assert trade.orderStatus.avgFillPrice == quote.ask
    [fill] = trade.fills
    assert (fill.contract.strike, fill.contract.right, fill.contract.multiplier) == (SPOT, "C", "100")
    # SMART routes options to an options exchange.
    assert fill.execution.exchange == "CBOE"
    [position] = await client.reqPositionsAsync()
    assert (position.position, position.contract.conId) == (2, call.conId)
    # The average cost of an option is that of one contract, commission included: a dollar or so.
    assert position.avgCost == pytest.approx(quote.ask * 100, abs=2)


async def test_a_worthless_option_is_offered_at_a_tick_and_has_no_bid(client: ib.IB, until: Callable[..., Any]) -> None:
    # Four days to go and the strike a third above the share: far more than any sane deviation.
    [far] = await client.qualifyContractsAsync(ib.Option("AAPL", "20260417", 305.0, "C", "SMART"))
    assert isinstance(far, ib.Contract)
    ticker = client.reqMktData(far)
    await until(client, lambda: ticker.ask == ticker.ask and ticker.modelGreeks)

    assert ticker.ask in (0.01, 0.02)
    assert not ticker.bid > 0


def test_an_option_of_an_earlier_run_keeps_its_number_and_leaves_the_chain_to_the_spot() -> None:
    before, now = ContractBook(OPENED_AT.date()), ContractBook(OPENED_AT.date())
    before.spot_of = lambda _underlying: 100.0
    now.spot_of = lambda _underlying: SPOT
    old, listed_now = before.named(f"AAPL-{LAST_EXPIRY}-C-100"), f"AAPL-{LAST_EXPIRY}-C-230"
    assert old is not None

    assert now.restored(old) == old
    assert now.named(listed_now) is not None
    assert now.find(Fields("", {"conId": str(old.con_id)})) == [old]
