"""The contract that a client means, found over the wire by an unmodified client."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Callable
from typing import Any

import ib_async as ib
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibdesk.clock import ManualClock
from ibdesk.gateway import Gateway, Replay
from ibdesk.gateway.contracts.book import ContractBook
from ibdesk.gateway.contracts.contract import FIRST_MADE_UP_ID, ContractData, made_up_id
from ibdesk.gateway.contracts.futures import last_trading_day, third_friday
from ibdesk.gateway.market.walk import RandomWalk
from ibdesk.gateway.protocol.codec import Fields
from ibdesk.model import nanoseconds

# A Monday; the front future of the S&P 500 is June's, whose third Friday is the 19th.
OPENED_AT = dt.datetime(2026, 4, 13, 14, 0, tzinfo=dt.UTC)
UNKNOWN = (200, "No security definition has been found for the request")


@pytest.fixture
def market() -> RandomWalk:
    return RandomWalk(seed=1, prices={"AAPL": 230.0})


@pytest.fixture
async def gateway(market: RandomWalk, strict: bool) -> AsyncIterator[Gateway]:
    clock = ManualClock(nanoseconds(OPENED_AT))
    async with Gateway(market=market, clock=clock, strict=strict) as running:
        yield running


@pytest.fixture
def strict() -> bool:
    return False


@pytest.fixture
def tolerated() -> set[int]:
    return {200, 321}


@pytest.fixture
def errors(client: ib.IB) -> list[tuple[int, str]]:
    """Return the errors to the client from now on, as code and text."""
    heard: list[tuple[int, str]] = []
    client.errorEvent += lambda _id, code, text, _contract: heard.append((code, text))
    return heard


async def symbols(client: ib.IB, contract: ib.Contract) -> list[str]:
    """Return the local symbols of every contract that fits."""
    found = await client.reqContractDetailsAsync(contract)
    return [details.contract.localSymbol for details in found if details.contract is not None]


async def test_a_stock_listed_twice_is_found_twice_and_once_by_currency_or_listing(client: ib.IB) -> None:
    found = await client.reqContractDetailsAsync(ib.Stock("SAP", "SMART", ""))
    listings = [(each.contract.currency, each.contract.primaryExchange) for each in found if each.contract]

    assert listings == [("USD", "NYSE"), ("EUR", "IBIS")]
    [in_euro] = await client.qualifyContractsAsync(ib.Stock("SAP", "SMART", "EUR"))
    [by_listing] = await client.qualifyContractsAsync(ib.Stock("SAP", "SMART", "", primaryExchange="IBIS"))
    assert in_euro == by_listing
    assert [each.timeZoneId for each in found] == ["US/Eastern", "MET"]


async def test_an_ambiguous_contract_is_refused_where_one_is_needed(
    client: ib.IB, errors: list[tuple[int, str]]
) -> None:
    contract = ib.Future("ES", exchange="CME")

    assert list(await client.reqHistoricalDataAsync(contract, "", "60 S", "5 secs", "TRADES", False)) == []
    assert errors == [(200, "The contract description specified for ES is ambiguous.")]


async def test_a_symbol_that_is_not_shipped_is_a_share_with_a_market_of_its_own(
    client: ib.IB, gateway: Gateway, until: Callable[..., Any]
) -> None:
    [share] = await client.qualifyContractsAsync(ib.Stock("ZZZZ", "SMART", "USD"))
    assert isinstance(share, ib.Contract)
    assert share.conId >= FIRST_MADE_UP_ID

    trade = client.placeOrder(share, ib.LimitOrder("BUY", 1, 1.00))
    await until(client, lambda: trade.orderStatus.status in ("Submitted", "PreSubmitted"))


@pytest.mark.parametrize(
    "contract",
    [
        ib.Stock("TOOLONG", "SMART", "USD"),
        ib.Stock("zzzz", "SMART", "USD"),
        ib.Stock("AAPL", "SMART", "CHF"),
        ib.Stock("AAPL", "IBIS", "USD"),
        ib.Forex("USDEUR"),
        ib.Forex("EURXXX"),
        ib.Future("ES", "202604", "CME"),
        ib.Contract(conId=1),
    ],
)
async def test_what_does_not_exist_is_unknown(
    client: ib.IB, errors: list[tuple[int, str]], contract: ib.Contract
) -> None:
    assert await client.reqContractDetailsAsync(contract) == []
    assert errors == [UNKNOWN]


@pytest.mark.parametrize("strict", [True])
async def test_in_strict_mode_only_shipped_contracts_are_known(client: ib.IB, errors: list[tuple[int, str]]) -> None:
    assert await symbols(client, ib.Stock("XYZA", "SMART", "USD")) == []
    assert await symbols(client, ib.Forex("USDSEK")) == []
    assert await symbols(client, ib.Stock("AAPL", "SMART", "USD")) == ["AAPL"]
    assert errors == [UNKNOWN, UNKNOWN]


@pytest.mark.parametrize("strict", [True])
@pytest.mark.parametrize(
    "market",
    [
        RandomWalk(seed=1, prices={"AAPL": 230.0, "XYZA": 10.0, "USD.SEK": 9.5}),
        Replay(
            pl.DataFrame(
                [
                    (name, OPENED_AT + dt.timedelta(minutes=row), *[10.0] * 5)
                    for name in ("AAPL", "XYZA")
                    for row in (0, 1)
                ],
                schema=["symbol", "opened_at", "open", "high", "low", "close", "volume"],
                orient="row",
            )
        ),
    ],
    ids=["walk", "replay"],
)
async def test_in_strict_mode_the_market_plays_unshipped_symbols_unseen(
    client: ib.IB, gateway: Gateway, errors: list[tuple[int, str]]
) -> None:
    gateway.advance(10)

    # The market has moved, and there is no contract for symbols that are not shipped.
    assert gateway.tape.quote("XYZA") is not None
    assert await symbols(client, ib.Stock("XYZA", "SMART", "USD")) == []
    assert await symbols(client, ib.Stock("AAPL", "SMART", "USD")) == ["AAPL"]
    assert errors == [UNKNOWN]


async def test_any_pair_of_known_currencies_is_found_in_the_order_of_the_market(client: ib.IB) -> None:
    [details] = await client.reqContractDetailsAsync(ib.Forex("USDSEK"))

    assert details.contract is not None
    assert (details.contract.localSymbol, details.minTick) == ("USD.SEK", 0.00005)


async def test_a_pair_in_yen_moves_by_half_a_pip_of_yen(client: ib.IB) -> None:
    [details] = await client.reqContractDetailsAsync(ib.Forex("USDJPY"))

    assert details.contract is not None
    assert (details.contract.conId, details.minTick) == (15016059, 0.005)


async def test_a_future_is_found_by_month_by_day_and_by_local_symbol(client: ib.IB) -> None:
    assert await symbols(client, ib.Future("ES", "202606", "CME")) == ["ESM6"]
    assert await symbols(client, ib.Future("ES", "20260618", "CME")) == ["ESM6"]
    assert await symbols(client, ib.Future(localSymbol="ESM6", exchange="CME")) == ["ESM6"]
    assert await symbols(client, ib.Future("ES", "202606", multiplier="50")) == ["ESM6"]
    assert await symbols(client, ib.Future("ES", "202606", multiplier="5")) == []


async def test_an_expired_future_is_found_when_expired_ones_are_included(client: ib.IB) -> None:
    expired = ib.Future("ES", "202603", "CME")

    assert await symbols(client, expired) == []
    expired.includeExpired = True
    assert await symbols(client, expired) == ["ESH6"]


async def test_the_month_of_crude_oil_is_a_later_one_than_that_of_its_last_day(client: ib.IB) -> None:
    [details] = await client.reqContractDetailsAsync(ib.Future("CL", "202606", "NYMEX"))

    # The 25th of May 2026 is a Monday; three business days before are the 20th.
    assert details.contract is not None
    assert details.contract.lastTradeDateOrContractMonth == "20260520"
    assert (details.contractMonth, details.contract.multiplier, details.minTick) == ("202606", "1000", 0.01)


async def test_a_continuous_future_is_the_front_month(client: ib.IB) -> None:
    [front] = await client.qualifyContractsAsync(ib.Future("ES", "202606", "CME"))
    [continuous] = await client.qualifyContractsAsync(ib.ContFuture("ES", "CME"))

    assert isinstance(front, ib.Contract)
    assert isinstance(continuous, ib.Contract)
    assert (continuous.secType, continuous.localSymbol, continuous.conId) == ("CONTFUT", "ESM6", front.conId)


async def test_a_share_is_found_by_its_international_number(client: ib.IB) -> None:
    found = await client.reqContractDetailsAsync(ib.Contract(secIdType="ISIN", secId="US0378331005", exchange="SMART"))

    assert [details.contract.conId for details in found if details.contract] == [265598]
    assert [(each.tag, each.value) for each in found[0].secIdList] == [("ISIN", "US0378331005")]


async def test_an_id_is_known_only_where_the_contract_trades(client: ib.IB, errors: list[tuple[int, str]]) -> None:
    assert await symbols(client, ib.Contract(conId=265598, exchange="ISLAND")) == ["AAPL"]
    assert await symbols(client, ib.Contract(conId=265598, exchange="CME")) == []
    assert errors == [UNKNOWN]


async def test_nasdaq_may_be_called_island(client: ib.IB) -> None:
    assert await symbols(client, ib.Stock("AAPL", "SMART", "USD", primaryExchange="ISLAND")) == ["AAPL"]
    assert await symbols(client, ib.Stock("AAPL", "SMART", "USD", primaryExchange="NYSE")) == []


async def test_the_details_of_a_future_name_the_underlying_and_the_last_hour(client: ib.IB) -> None:
    [details] = await client.reqContractDetailsAsync(ib.Future("ES", "202606", "CME"))

    assert (details.underSymbol, details.underSecType, details.underConId) == ("ES", "IND", 11004968)
    assert (details.lastTradeTime, details.realExpirationDate) == ("08:30:00", "20260618")
    assert details.liquidHours.startswith("20260413:0000-20260414:0000;")


def test_no_two_contracts_share_a_number() -> None:
    book = ContractBook(OPENED_AT.date())
    numbers = [contract.con_id for contract in book]
    options = [option.con_id for each in tuple(book) if (chain := book.chain(each)) for option in chain.options]

    # Some sixty contracts are shipped, and well over ten thousand options on them are listed.
    assert len(numbers) > 60
    assert len(options) > 10_000
    assert len({*numbers, *options}) == len(numbers) + len(options)


def test_what_is_singled_out_is_announced_once() -> None:
    book, announced = ContractBook(OPENED_AT.date()), list[ContractData]()
    book.on_new = announced.append
    [apple] = book.find(Fields("", {"symbol": "AAPL", "secType": "STK"}))

    book.single_out(apple)
    book.single_out(apple)

    assert announced == [apple]


def test_the_last_days_of_futures_are_those_of_the_exchange() -> None:
    # December 2026: the third Friday is the 18th. Christmas Day, a Friday, is no business day, so that oil of January
    # 2027 ends three business days before Thursday the 24th: the 21st. Gold ends on the third last business day (31st,
    # 30th, 29th); the note seven before the last one (30th, 29th, 28th, 24th, 23rd, 22nd, 21st).
    assert last_trading_day("third friday", 2026, 12) == dt.date(2026, 12, 18)
    assert last_trading_day("energy", 2027, 1) == dt.date(2026, 12, 21)
    assert last_trading_day("metal", 2026, 12) == dt.date(2026, 12, 29)
    assert last_trading_day("note", 2026, 12) == dt.date(2026, 12, 21)


def test_an_index_future_ends_a_day_earlier_when_its_friday_is_a_holiday() -> None:
    # Friday 2026-06-19 is Juneteenth; the future MESM6 of a paper account ended on the 18th.
    assert last_trading_day("third friday", 2026, 6) == dt.date(2026, 6, 18)


@given(st.integers(1970, 2200), st.integers(1, 12))
def test_a_third_friday_is_a_friday_from_the_15th_to_the_21st(year: int, month: int) -> None:
    day = third_friday(year, month)

    assert day.weekday() == 4
    assert 15 <= day.day <= 21


# ---- combinations and continuous futures --------------------------------------------------------------------------


def spread(buy: ib.Contract, sell: ib.Contract, ratio: int = 1) -> ib.Bag:
    """Return one share bought and `ratio` of another sold, as one contract."""
    return ib.Bag(
        symbol="AAPL",
        currency="USD",
        exchange="SMART",
        comboLegs=[
            ib.ComboLeg(conId=buy.conId, ratio=1, action="BUY", exchange="SMART"),
            ib.ComboLeg(conId=sell.conId, ratio=ratio, action="SELL", exchange="SMART"),
        ],
    )


@pytest.fixture
async def two_shares(client: ib.IB, gateway: Gateway) -> tuple[ib.Contract, ib.Contract]:
    """Return AAPL and MSFT, quoted 230.00 to 230.02 and 100.00 to 100.05."""
    apple, microsoft = await client.qualifyContractsAsync(
        ib.Stock("AAPL", "SMART", "USD"), ib.Stock("MSFT", "SMART", "USD")
    )
    assert isinstance(apple, ib.Contract)
    assert isinstance(microsoft, ib.Contract)
    gateway.quote("AAPL", 230.00, 230.02)
    gateway.quote("MSFT", 100.00, 100.05, bid_size=300, ask_size=300)
    return apple, microsoft


async def test_a_combination_is_quoted_at_the_net_of_its_legs(
    client: ib.IB, dial: Callable[..., Any], two_shares: tuple[ib.Contract, ib.Contract]
) -> None:
    apple, microsoft = two_shares
    wire = await dial()
    legs = [
        {"legConId": apple.conId, "ratio": 1, "legAction": "BUY", "legExchange": "SMART"},
        {"legConId": microsoft.conId, "ratio": 2, "legAction": "SELL", "legExchange": "SMART"},
    ]

    wire.send(1, reqId=5, symbol="AAPL", secType="BAG", exchange="SMART", currency="USD", comboLegs=legs)
    wire.send(49)
    seen = await wire.until("currentTime")

    ticks = {fields["tickType"]: fields for name, fields in seen if name == "tickPrice"}
    # Sold now it brings 230.00 less twice 100.05; bought now it costs 230.02 less twice 100.00.
    assert (float(ticks["1"]["price"]), float(ticks["2"]["price"])) == (29.90, 30.02)
    # A hundred of AAPL are shown, and 300 of MSFT, which is 150 pairs.
    assert (ticks["1"]["size"], ticks["2"]["size"]) == ("100", "100")


async def test_a_combination_is_filled_leg_by_leg(
    client: ib.IB, two_shares: tuple[ib.Contract, ib.Contract], until: Callable[..., Any]
) -> None:
    trade = client.placeOrder(spread(*two_shares), ib.LimitOrder("BUY", 10, 131.00))
    await until(client, lambda: trade.orderStatus.status == "Filled")

    positions = {each.contract.symbol: each.position for each in await client.reqPositionsAsync()}
    assert positions == {"AAPL": 10, "MSFT": -10}


async def test_a_combination_with_an_unknown_leg_is_unknown(
    client: ib.IB, two_shares: tuple[ib.Contract, ib.Contract], errors: list[tuple[int, str]], until: Callable[..., Any]
) -> None:
    client.placeOrder(spread(two_shares[0], ib.Contract(conId=1)), ib.MarketOrder("BUY", 10))
    await until(client, lambda: errors)

    assert errors == [UNKNOWN]


async def test_a_continuous_future_takes_no_orders(
    client: ib.IB, errors: list[tuple[int, str]], until: Callable[..., Any]
) -> None:
    [continuous] = await client.qualifyContractsAsync(ib.ContFuture("ES", "CME"))
    assert isinstance(continuous, ib.Contract)
    client.placeOrder(continuous, ib.MarketOrder("BUY", 1))
    await until(client, lambda: errors)

    assert [code for code, _text in errors] == [321]


def test_two_made_up_numbers_that_collide_are_distinguished() -> None:
    book = ContractBook(OPENED_AT.date())

    # The checksums of these two symbols, from which ids are made up, are equal.
    assert made_up_id("CXAA") == made_up_id("PMOQ")
    [first] = book.find(Fields("", {"symbol": "CXAA", "secType": "STK"}))
    [second] = book.find(Fields("", {"symbol": "PMOQ", "secType": "STK"}))

    assert second.con_id == first.con_id + 1
    assert book.find(Fields("", {"conId": str(second.con_id)})) == [second]
