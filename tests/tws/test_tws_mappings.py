"""Our values and IB's are equivalent."""

from __future__ import annotations

import datetime as dt
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ib_async.client import Client
from ib_async.contract import Contract, ContractDetails
from ib_async.objects import PriceIncrement

from ibdesk.errors import DataError, InstrumentError
from ibdesk.model import (
    AnyInstrument,
    Forex,
    Future,
    Index,
    Option,
    Order,
    OrderStatus,
    OrderType,
    Right,
    Session,
    Side,
    Stock,
    TimeInForce,
    instrument_of,
    nanoseconds,
)
from ibdesk.tws.contracts import (
    Contracts,
    contract_of,
    increments_of,
    instrument_from,
    instrument_with,
    market_rule_of,
    the_one,
)
from ibdesk.tws.encoding import encoded
from ibdesk.tws.history import duration, seconds_for
from ibdesk.tws.orders import order_for_tws, status_from, terms_from, terms_of
from ibdesk.tws.times import instant_ns, utc_text

symbols = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1, max_size=5)
expiries = st.dates(dt.date(2024, 1, 1), dt.date(2040, 1, 1)).map(lambda day: f"{day:%Y%m%d}")
multipliers = st.sampled_from([1.0, 5.0, 50.0, 100.0, 1000.0])
prices = st.integers(1, 10**7).map(lambda ticks: ticks / 100)
instruments = st.one_of(
    st.builds(Stock, symbols, currency=st.sampled_from(["USD", "EUR"])),
    st.builds(Forex, st.sampled_from(["EUR", "GBP"]), currency=st.sampled_from(["USD", "CHF"])),
    st.builds(Index, symbols),
    st.builds(
        Future,
        symbols,
        expiry=expiries,
        multiplier=multipliers,
        exchange=st.sampled_from(["CME", "EUREX"]),
        tick_size=st.just(0.01),
    ),
    st.builds(Future, st.sampled_from(["ES", "6E", "GC", "SIL", "FDAX", "VX"]), expiry=expiries),
    st.builds(Option, symbols, expiry=expiries, strike=prices, right=st.sampled_from(Right), multiplier=multipliers),
)


@given(instruments)
def test_an_instrument_survives_the_way_to_ib_and_back(instrument) -> None:
    assert instrument_from(contract_of(instrument)) == instrument


@given(instruments, st.sampled_from([0.01, 0.05, 0.25]))
def test_qualifying_never_changes_the_id(instrument, tick) -> None:
    details = ContractDetails(contract=contract_of(instrument), minTick=tick)

    completed = instrument_with(instrument, details)

    assert (completed.id, completed.tick_size) == (instrument.id, tick)


@given(
    st.sampled_from(OrderType),
    st.sampled_from(Side),
    st.sampled_from(TimeInForce),
    st.integers(1, 10**6).map(lambda hundredths: hundredths / 100),
    prices,
    prices,
)
def test_the_terms_of_an_order_survive_the_way_to_ib_and_back(kind, side, tif, quantity, limit, stop) -> None:
    order = Order(
        id="run-1",
        owner="run",
        instrument="AAPL",
        side=side,
        quantity=quantity,
        type=kind,
        limit_price=limit if kind in (OrderType.LIMIT, OrderType.STOP_LIMIT) else None,
        stop_price=stop if kind in (OrderType.STOP, OrderType.STOP_LIMIT) else None,
        time_in_force=tif,
    ).checked()

    message = order_for_tws(order, "DU1")

    assert terms_from(message) == terms_of(order)
    assert (message.orderRef, message.account, message.action, message.tif) == (
        "run-1",
        "DU1",
        side.value.upper(),
        tif.value.upper(),
    )


class Plain(Client):
    """ib_async's client, which keeps its messages instead of sending them."""

    def __init__(self) -> None:
        super().__init__(None)
        self.connState = Client.CONNECTED
        self._serverVersion = 178
        self.sent: list[str] = []

    def sendMsg(self, msg: str) -> None:  # noqa: N802 - ib_async's name
        self.sent.append(msg)


class Ours(Plain):
    """The same with our encoder."""

    def send(self, *fields, makeEmpty: bool = True) -> None:  # noqa: N803 - ib_async's name
        self.sendMsg(encoded(fields))


@given(instruments, st.floats(), st.integers(-(2**31), 2**31))
def test_messages_are_written_as_ib_async_writes_them(instrument, price, number) -> None:
    order = order_for_tws(
        Order(id="run-1", owner="run", instrument="AAPL", side=Side.BUY, quantity=2.5, type=OrderType.LIMIT), "DU1"
    )
    order.lmtPrice, order.minQty = price, number
    order.algoParams = []
    plain, ours = Plain(), Ours()
    for client in (plain, ours):
        client.placeOrder(7, contract_of(instrument), order)
        client.reqHistoricalData(8, contract_of(instrument), "", "1 D", "1 min", "TRADES", True, 2, False, [])
        client.reqMktData(9, contract_of(instrument), "", False, False, [])

    assert ours.sent == plain.sent


@pytest.mark.parametrize(
    ("word", "refused", "status"),
    [
        ("PendingSubmit", False, OrderStatus.SENT),
        ("ApiPending", False, OrderStatus.SENT),
        ("PreSubmitted", False, OrderStatus.HELD),
        ("Submitted", False, OrderStatus.WORKING),
        ("Cancelled", False, OrderStatus.CANCELLED),
        ("ApiCancelled", False, OrderStatus.CANCELLED),
        ("Cancelled", True, OrderStatus.REJECTED),
        ("Inactive", False, OrderStatus.HELD),
        ("Inactive", True, OrderStatus.REJECTED),
        ("Filled", False, None),
        ("PendingCancel", False, None),
    ],
)
def test_ibs_words_for_a_state_mean_what_they_mean(word, refused, status) -> None:
    assert status_from(word, refused=refused) is status


# 15:27:04 in New York in April is 19:27:04 UTC.
IN_APRIL = nanoseconds(dt.datetime(2026, 4, 13, 19, 27, 4, tzinfo=dt.UTC))


@pytest.mark.parametrize(
    "text",
    [
        "20260413 15:27:04 US/Eastern",
        "20260413  15:27:04",
        "20260413-19:27:04",
        "20260413 15:27:04 Eastern Standard Time",
        str(IN_APRIL // 10**9),
    ],
)
def test_every_form_of_a_time_is_read(text) -> None:
    assert instant_ns(text, "America/New_York") == IN_APRIL


def test_a_day_is_its_midnight_utc() -> None:
    assert instant_ns("20260413", "America/New_York") == nanoseconds(dt.datetime(2026, 4, 13, tzinfo=dt.UTC))


def test_another_form_of_a_time_is_refused() -> None:
    with pytest.raises(DataError, match="the time 'yesterday'"):
        instant_ns("yesterday", "America/New_York")


@given(st.integers(0, 4 * 10**9))
def test_a_time_written_for_tws_reads_the_same(second) -> None:
    assert instant_ns(utc_text(second * 10**9), "America/New_York") == second * 10**9


@pytest.mark.parametrize(
    ("hours", "zone", "session"),
    [
        (
            "20261123:0930-20261123:1600;20261124:0930-20261124:1600;20261126:CLOSED;20261127:0930-20261127:1300",
            "US/Eastern",
            Session("US/Eastern", 570, 960),
        ),
        ("20261122:1715-20261123:1700;20261123:1715-20261124:1700", "US/Eastern", Session("US/Eastern", 1035, 1020)),
        ("20261123:0930-20261123:1130;20261123:1300-20261123:1600", "Asia/Hong_Kong", None),
        ("20261123:0930-20261123:1600", "Eastern Standard Time", None),
        ("", "US/Eastern", None),
    ],
)
def test_regular_hours_are_the_commonest_ones(hours, zone, session) -> None:
    stock = Stock("AAPL", session=Session("Europe/Paris", 1, 2))
    details = ContractDetails(contract=contract_of(stock), liquidHours=hours, timeZoneId=zone)

    assert instrument_with(stock, details).session == (session or stock.session)


def futures_on_dax(multipliers: list[str]) -> list[ContractDetails]:
    found = []
    for number, multiplier in enumerate(multipliers, start=1):
        contract = contract_of(Future("FDAX", expiry="20261218"))
        contract.conId, contract.multiplier = number, multiplier
        found.append(ContractDetails(contract=contract, minTick=1.0))
    return found


def test_another_multiplier_than_the_one_given_is_refused() -> None:
    [details] = futures_on_dax(["5"])

    with pytest.raises(InstrumentError, match="FDAX-202612: TWS says that its multiplier is 5, not 25"):
        Contracts().add(Future("FDAX", expiry="202612"), details)


def test_the_multiplier_tells_contracts_apart_that_share_all_else() -> None:
    found = futures_on_dax(["25", "5", "1"])
    other = Future("DAX", exchange="EUREX", currency="EUR", expiry="202612", multiplier=50, tick_size=1.0)

    contract = the_one(Future("FDXM", expiry="202612"), found).contract

    assert contract is not None
    assert contract.conId == 2
    with pytest.raises(InstrumentError, match="ambiguous, TWS knows 3"):
        the_one(other, found)


def test_corn_is_priced_in_cents() -> None:
    corn = Future("ZC", expiry="202612")
    details = ContractDetails(contract=contract_of(corn), minTick=0.25, priceMagnifier=100)

    # IB's multiplier of 5,000 bushels is for a price in dollars; a cent on a contract is 50 dollars.
    assert contract_of(corn).multiplier == "5000"
    assert instrument_with(corn, details).multiplier == 50
    assert instrument_from(contract_of(corn)) == corn


@pytest.mark.parametrize(
    ("told", "instrument"),
    [
        # A position names the listing of a share, an execution where it was; orders for it go to SMART.
        ({"secType": "STK", "symbol": "AAPL", "currency": "USD", "exchange": "NASDAQ"}, Stock("AAPL")),
        ({"secType": "STK", "symbol": "BRK B", "currency": "USD", "exchange": "IEX"}, Stock("BRK B")),
        ({"secType": "STK", "symbol": "SAP", "currency": "EUR", "exchange": "IBIS"}, instrument_of("SAP.DE")),
        ({"secType": "STK", "symbol": "SAP", "currency": "EUR", "primaryExchange": "IBIS"}, instrument_of("SAP.DE")),
        (
            {"secType": "FUT", "symbol": "SI", "tradingClass": "SIL", "multiplier": "1000", "currency": "USD"}
            | {"lastTradeDateOrContractMonth": "20240529"},
            Future("SIL", expiry="20240529"),
        ),
        (
            {"secType": "OPT", "symbol": "SPX", "tradingClass": "SPXW", "multiplier": "100", "currency": "USD"}
            | {"lastTradeDateOrContractMonth": "20240119", "strike": 4500.0, "right": "P"},
            instrument_of("SPXW-20240119-P-4500"),
        ),
    ],
)
def test_what_tws_reports_goes_by_the_name_that_people_use(told, instrument) -> None:
    assert instrument_from(Contract(**told)) == instrument


def test_a_future_of_another_program_is_named_with_its_terms() -> None:
    told = Contract(
        secType="FUT", symbol="XYZ", currency="USD", multiplier="10", lastTradeDateOrContractMonth="20240119"
    )

    assert Contracts().name_of(told) == ("XYZ-20240119@UNKNOWN_USD_10", 10)


def test_the_rule_of_the_order_s_exchange_decides_how_prices_move() -> None:
    details = ContractDetails(validExchanges="SMART,AMEX,CBOE", marketRuleIds="32,109,110")

    assert [market_rule_of(details, exchange) for exchange in ("SMART", "CBOE", "NYSE")] == [32, 110, None]
    assert market_rule_of(ContractDetails(), "SMART") is None


def test_a_rule_that_begins_below_nothing_has_the_same_steps_there() -> None:
    assert increments_of([PriceIncrement(-9999.0, 1.0), PriceIncrement(0.0, 1.0)]) == ((0.0, 1.0),)
    assert increments_of([PriceIncrement(3.0, 0.1), PriceIncrement(0.0, 0.05)]) == ((0.0, 0.05), (3.0, 0.1))


@pytest.mark.parametrize("rule", [[], [(0.0, 0.0)], [(0.0, math.nan)], [(math.nan, 0.1)], [(1.0, 0.1)]])
def test_a_rule_that_makes_no_sense_is_none(rule) -> None:
    assert increments_of([PriceIncrement(*each) for each in rule]) == ()


def test_shares_and_currencies_are_ordered_in_whole_numbers_whatever_tws_says_of_fractions() -> None:
    def completed(instrument: AnyInstrument, increment: float) -> float:
        details = ContractDetails(contract=contract_of(instrument), minTick=0.01, sizeIncrement=increment)
        return instrument_with(instrument, details).size_increment

    assert completed(Stock("AAPL"), 0.0001) == 1
    assert completed(Forex("EUR", currency="USD"), 0.01) == 1
    assert completed(Stock("7203", exchange="TSEJ", currency="JPY"), 100.0) == 100
    assert completed(Stock("AAPL"), 0.0) == 1
    assert completed(Future("ES", expiry="202612"), 1.0) == 1


def test_an_instrument_of_a_kind_we_do_not_trade_keeps_a_name_of_its_own() -> None:
    bond = contract_of(Stock("US T"))
    bond.secType, bond.localSymbol = "BOND", "US-T 4.25"

    with pytest.raises(InstrumentError, match="type BOND"):
        instrument_from(bond)
    assert Contracts().name_of(bond) == ("BOND:US-T 4.25", 1.0)


@given(st.integers(1, 5000), st.sampled_from([60, 300, 3600, 86_400]))
def test_the_span_asked_for_holds_so_many_bars(count, interval) -> None:
    session = Session("America/New_York", 570, 960)

    weeks = seconds_for(count, interval * 10**9, session) / (7 * 86_400)

    # A regular week has 5 sessions of 390 minutes; a bar of a day is one session.
    assert weeks * 5 * (1 if interval == 86_400 else 390 * 60 / interval) >= count


@pytest.mark.parametrize(
    ("seconds", "text"), [(1, "1 S"), (0.2, "1 S"), (86_400, "86400 S"), (86_401, "2 D"), (400 * 86_400, "2 Y")]
)
def test_a_span_is_written_in_the_unit_that_tws_takes(seconds, text) -> None:
    assert duration(seconds) == text
