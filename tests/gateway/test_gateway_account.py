"""The paper account over the wire: margin by hand-worked figures, what-if, several accounts, several currencies."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ibdesk.clock import ManualClock
from ibdesk.errors import ConfigError
from ibdesk.exchange import NoCommission
from ibdesk.gateway import Gateway, GatewaySettings, Replay
from ibdesk.gateway.account.accounts import Accounts
from ibdesk.gateway.account.margin import requirement
from ibdesk.gateway.account.margin_projection import MarginProjection
from ibdesk.gateway.account.projected_trade import ProjectedTrade
from ibdesk.gateway.contracts.book import ContractBook
from ibdesk.gateway.contracts.contract import ContractData
from ibdesk.gateway.protocol.codec import Value
from ibdesk.model import Fill, Option, Right, Side, nanoseconds

if TYPE_CHECKING:
    from tests.gateway.conftest import MakeBars, MakeWire, Wire

OPENED_AT = dt.datetime(2026, 4, 13, 14, 0, tzinfo=dt.UTC)
AAPL: dict[str, Value] = {"symbol": "AAPL", "secType": "STK", "exchange": "SMART", "currency": "USD"}
EURUSD: dict[str, Value] = {"symbol": "EUR", "secType": "CASH", "exchange": "IDEALPRO", "currency": "USD"}
EURGBP: dict[str, Value] = {"symbol": "EUR", "secType": "CASH", "exchange": "IDEALPRO", "currency": "GBP"}
FIRST, SECOND_ACCOUNT = "DU9000001", "DU9000002"
BOOK = ContractBook(OPENED_AT.date())
Rows = list[tuple[str, dict[str, str]]]


@pytest.fixture
def make_gateway(make_bars: MakeBars) -> Callable[..., Gateway]:
    """Makes gateways on a quiet market: AAPL at 100.00 (bid 99.99), 60.00 after 20 s; EUR.USD 1.2, GBP.USD 1.5."""
    rows = {
        "AAPL": [(100.0,) * 4 + (100_000.0,)] * 5 + [(60.0,) * 4 + (100_000.0,)] * 4,
        "EUR.USD": [(1.2,) * 4 + (0.0,)] * 9,
    }
    rows |= {"GBP.USD": [(1.5,) * 4 + (0.0,)] * 9, "EUR.GBP": [(0.8,) * 4 + (0.0,)] * 9}

    def make(**options: Any) -> Gateway:
        market = Replay(make_bars(rows, step=dt.timedelta(seconds=5)), start=1)
        options = {"commissions": NoCommission(), "cash": 10_000.0, **options}
        return Gateway(market=market, clock=ManualClock(nanoseconds(OPENED_AT)), **options)

    return make


async def enter(dial: MakeWire, gateway: Gateway) -> Wire:
    """Return a client that has read its first messages."""
    wire = await dial(port=gateway.port)
    await answers(wire)
    return wire


async def summary(wire: Wire, *tags: str, request_id: int = 900) -> dict[tuple[str, str], str]:
    """Return the rows of an account summary, by account or currency and tag."""
    wire.send(62, reqId=request_id, groupName="All", tags=",".join(tags))
    rows = await wire.until("accountSummaryEnd")
    wire.send(63, reqId=request_id)
    return {(texts["account"], texts["tag"]): texts["value"] for name, texts in rows if name == "accountSummary"}


async def place(wire: Wire, order_id: int, contract: dict[str, Value], **terms: Value) -> Rows:
    """Send an order and return the reports about it."""
    wire.send(3, orderId=order_id, **{"orderType": "MKT", "transmit": 1, **contract, **terms})
    return await answers(wire)


async def answers(wire: Wire) -> Rows:
    """Return all messages so far."""
    wire.send(49)
    return (await wire.until("currentTime"))[:-1]


def errors(rows: Rows) -> list[tuple[str, str]]:
    return [(texts["errorCode"], texts["errorMsg"]) for name, texts in rows if name == "errMsg"]


def status(rows: Rows) -> str:
    return [texts["status"] for name, texts in rows if name == "orderStatus"][-1]


# ---- margin ---------------------------------------------------------------------------------------------------------


async def test_shares_take_half_their_value_to_open_and_a_quarter_to_keep(
    make_gateway: Callable[..., Gateway], dial: MakeWire
) -> None:
    async with make_gateway() as gateway:
        wire = await enter(dial, gateway)

        await place(wire, 1, AAPL, action="BUY", totalQuantity=100)

        # 100 shares at 100.00 bought with 10,000: 5,000 and 2,500 are needed; buying power is twice the available
        # funds.
        assert await summary(
            wire,
            "InitMarginReq",
            "MaintMarginReq",
            "AvailableFunds",
            "ExcessLiquidity",
            "BuyingPower",
            "TotalCashValue",
        ) == {
            (FIRST, "AvailableFunds"): "5000.00",
            (FIRST, "BuyingPower"): "10000.00",
            (FIRST, "ExcessLiquidity"): "7500.00",
            (FIRST, "InitMarginReq"): "5000.00",
            (FIRST, "MaintMarginReq"): "2500.00",
            (FIRST, "TotalCashValue"): "0.00",
        }


async def test_a_short_sale_is_kept_with_thirty_percent(make_gateway: Callable[..., Gateway], dial: MakeWire) -> None:
    async with make_gateway() as gateway:
        wire = await enter(dial, gateway)

        await place(wire, 1, AAPL, action="SELL", totalQuantity=100)

        # Sold at 99.99, valued at 100.00: cash 19,999, equity 9,999; half and 30 % of 10,000 are bound.
        rows = await summary(wire, "InitMarginReq", "MaintMarginReq", "TotalCashValue", "EquityWithLoanValue")
        assert [value for _, value in sorted(rows.items())] == ["9999.00", "5000.00", "3000.00", "19999.00"]


async def test_what_if_says_what_the_order_then_does(make_gateway: Callable[..., Gateway], dial: MakeWire) -> None:
    async with make_gateway(commissions=None) as gateway:
        wire = await enter(dial, gateway)
        order: dict[str, Value] = {"action": "BUY", "totalQuantity": 100}

        [(_, told)] = await place(wire, 1, AAPL, whatIf=1, **order)
        await place(wire, 2, AAPL, **order)

        # The commission is IB's minimum of a dollar.
        after = await summary(wire, "InitMarginReq", "MaintMarginReq", "EquityWithLoanValue")
        assert list(after.values()) == ["9999.00", "5000.00", "2500.00"]
        assert [told[f"{name}After"] for name in ("equityWithLoan", "initMargin", "maintMargin")] == list(
            after.values()
        )
        assert (told["equityWithLoanBefore"], told["initMarginChange"]) == ("10000.00", "5000.00")


async def test_what_buying_power_says_can_just_be_bought(make_gateway: Callable[..., Gateway], dial: MakeWire) -> None:
    async with make_gateway() as gateway:
        wire = await enter(dial, gateway)

        # 10,000 of equity buy 20,000 of shares at 100.00: 200, and not 201.
        too_much = await place(wire, 1, AAPL, action="BUY", totalQuantity=201)
        just_enough = await place(wire, 2, AAPL, action="BUY", totalQuantity=200)

        [(code, text)] = errors(too_much)
        assert code == "201"
        assert text == (
            "Order rejected - reason:YOUR ORDER IS NOT ACCEPTED. IN ORDER TO OBTAIN THE DESIRED POSITION YOUR EQUITY "
            "WITH LOAN VALUE [10000.00 USD] MUST EXCEED THE INITIAL MARGIN [10050.00 USD]"
        )
        assert (status(too_much), status(just_enough)) == ("Inactive", "Filled")


async def test_resting_orders_cannot_together_exceed_the_account(
    make_gateway: Callable[..., Gateway], dial: MakeWire
) -> None:
    async with make_gateway() as gateway:
        wire = await enter(dial, gateway)
        limit: dict[str, Value] = {"action": "BUY", "orderType": "LMT", "lmtPrice": 80.0}

        # Each needs 100 x 80 / 2 = 4,000 of the 10,000; a sale on the other side needs no more.
        told = [await place(wire, number, AAPL, totalQuantity=100, **limit) for number in (1, 2, 3)]
        other_side = await place(wire, 4, AAPL, action="SELL", totalQuantity=100, orderType="LMT", lmtPrice=120.0)

        assert [status(rows) for rows in (*told, other_side)] == ["Submitted", "Submitted", "Inactive", "Submitted"]


async def test_a_resting_sale_does_not_free_margin_before_it_is_filled(
    make_gateway: Callable[..., Gateway], dial: MakeWire
) -> None:
    async with make_gateway() as gateway:
        wire = await enter(dial, gateway)
        await place(wire, 1, AAPL, action="BUY", totalQuantity=200)
        await place(wire, 2, AAPL, action="SELL", totalQuantity=200, orderType="LMT", lmtPrice=120.0)

        told = await place(wire, 3, EURUSD, action="BUY", totalQuantity=20_000)

        assert status(told) == "Inactive"


async def test_reducing_is_always_allowed(make_gateway: Callable[..., Gateway], dial: MakeWire) -> None:
    async with make_gateway() as gateway:
        wire = await enter(dial, gateway)
        await place(wire, 1, AAPL, action="BUY", totalQuantity=200)
        for order_id in (2, 3):
            rests = await place(wire, order_id, AAPL, action="SELL", totalQuantity=200, orderType="LMT", lmtPrice=120.0)
            assert status(rests) == "Submitted"

        # At 60.00 the equity is 2,000 for an initial margin of 6,000, and the resting order could sell 400 of 200
        # shares.
        gateway.advance(25)
        told = await place(wire, 4, AAPL, action="SELL", totalQuantity=50)

        assert status(told) == "Filled"


# ---- rules of margin ------------------------------------------------------------------------------------------------


def contract(name: str) -> ContractData:
    found = BOOK.named(name)
    assert found is not None
    return found


def option(right: Right, strike: float) -> ContractData:
    return ContractData(
        instrument=Option("AAPL", expiry="20261218", strike=strike, right=right),
        con_id=1, sec_type="OPT", symbol="AAPL", local_symbol="", trading_class="AAPL", exchange="SMART",
        primary_exchange="", long_name="",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("what", "quantity", "price", "initial", "maintenance"),
    [
        # 30 % of 10 dollars is less than 5 dollars a share, which then is also more than half of 6 dollars.
        (contract("AAPL"), -100, 10.0, 500.0, 500.0),
        (contract("AAPL"), -100, 6.0, 500.0, 500.0),
        # The table's 20,000 for an ES, and 110 % of it.
        (contract("ES-202606"), -2, 6000.0, 44_000.0, 40_000.0),
        # 3 % of 10,000 x 1.2.
        (contract("EUR.USD"), 10_000, 1.2, 360.0, 360.0),
        (option(Right.CALL, 110.0), 1, 5.0, 0.0, 0.0),
        # Sold at 5.00, underlying 100: 500 and 100 x (20 - 10 out of the money) = 1,500, the minimum of 10 % as well.
        (option(Right.CALL, 110.0), -1, 5.0, 1500.0, 1500.0),
        # In the money: 500 and 100 x 20.
        (option(Right.CALL, 90.0), -1, 5.0, 2500.0, 2500.0),
        # A put 30 out of the money: 20 % less 30 is negative, so 10 % of the strike: 500 and 100 x 7.
        (option(Right.PUT, 70.0), -1, 5.0, 1200.0, 1200.0),
        # A call 30 out of the money: 10 % of the underlying.
        (option(Right.CALL, 130.0), -1, 5.0, 1500.0, 1500.0),
    ],
)
def test_each_kind_of_position_needs_the_margin_of_its_rule(
    what: ContractData, quantity: float, price: float, initial: float, maintenance: float
) -> None:
    needed = requirement(what, quantity, price, underlying_price=100.0)

    assert needed.initial == pytest.approx(initial)
    assert needed.maintenance == pytest.approx(maintenance)


def test_a_bought_option_has_a_value_and_no_loan_value() -> None:
    prices = {"AAPL-20261218-C-110": 5.0, "AAPL": 100.0}
    ledger = Accounts([FIRST], 10_000.0, prices.get).main
    call = option(Right.CALL, 110.0)

    expected = ledger.margin([ProjectedTrade(contract=call, quantity=2, price=5.0)])
    fill = Fill(
        execution_id="1",
        order_id="1",
        instrument=call.id,
        side=Side.BUY,
        quantity=2,
        price=5.0,
        at_ns=0,
        multiplier=100,
    )
    ledger.book(call, fill, 0.0)

    # 1,000 paid for two: the net liquidation value still has them, the equity with loan value has not.
    assert (ledger.margin().net_liquidation, ledger.margin().equity, ledger.margin().initial) == (10_000, 9_000, 0)
    assert expected.equity == 9_000


def test_several_orders_of_one_group_count_once() -> None:
    ledger = Accounts([FIRST], 10_000.0, {"AAPL": 100.0}.get).main
    exits = [
        ProjectedTrade(contract=contract("AAPL"), quantity=-150, price=100.0, group=name) for name in ("a", "a", "b")
    ]

    # One sale of 150 takes 7,500 of 10,000; two would take 15,000.
    assert ledger.objection(exits[:1], projection_of(exits[1:2])) == ""
    assert "MUST EXCEED THE INITIAL MARGIN [15000.00 USD]" in ledger.objection(exits[:1], projection_of(exits[2:]))


def projection_of(trades: Iterable[ProjectedTrade]) -> MarginProjection:
    """Return the projection of an account with one order for each trade."""
    projection = MarginProjection()
    for number, trade in enumerate(trades):
        projection.enter(number, [trade])
    return projection


@settings(max_examples=60, deadline=None)
@given(
    trades=st.lists(
        st.tuples(st.sampled_from([Side.BUY, Side.SELL]), st.integers(1, 500), st.integers(50, 200)), max_size=12
    )
)
def test_cash_and_positions_add_up_to_what_was_put_in_and_the_profit(trades: list[tuple[Side, int, int]]) -> None:
    names = ("AAPL", "EUR.USD")
    prices = {"AAPL": 120.0, "EUR.USD": 1.25}
    ledger = Accounts([FIRST], 10_000.0, prices.get).main
    for index, (side, quantity, price) in enumerate(trades):
        name = names[index % 2]
        fill = Fill(
            execution_id=str(index),
            order_id="",
            instrument=name,
            side=side,
            quantity=quantity,
            price=price / 100,
            at_ns=0,
        )
        ledger.book(contract(name), fill, 1.0)

    profit = ledger.total_realized() + ledger.total_unrealized()

    assert ledger.margin().net_liquidation == pytest.approx(10_000 + profit, abs=1e-6)
    assert ledger.daily() == pytest.approx(profit, abs=1e-6)


# ---- currencies -----------------------------------------------------------------------------------------------------


async def test_cash_is_held_by_currency_and_reported_by_currency(
    make_gateway: Callable[..., Gateway], dial: MakeWire
) -> None:
    async with make_gateway() as gateway:
        wire = await enter(dial, gateway)
        bought = await place(wire, 1, EURGBP, action="BUY", totalQuantity=1000)
        [price] = [float(texts["price"]) for name, texts in bought if name == "execDetails"]

        wire.send(62, reqId=1, groupName="All", tags="$LEDGER:ALL")
        rows = [texts for name, texts in await wire.until("accountSummaryEnd") if name == "accountSummary"]

        # 1,000 euros for 1,000 x the ask in pounds; no dollars moved; a euro is 1.2 and a pound 1.5 dollars.
        cash = {texts["currency"]: float(texts["value"]) for texts in rows if texts["tag"] == "CashBalance"}
        rates = {texts["currency"]: float(texts["value"]) for texts in rows if texts["tag"] == "ExchangeRate"}
        assert cash == {
            "BASE": pytest.approx(10_000 + 1000 * rates["EUR"] - 1000 * price * rates["GBP"], abs=0.02),
            "USD": 10_000.0,
            "EUR": 1000.0,
            "GBP": pytest.approx(-1000 * price, abs=0.005),
        }
        assert rates == {
            "BASE": 1.0,
            "USD": 1.0,
            "EUR": pytest.approx(1.2, abs=1e-4),
            "GBP": pytest.approx(1.5, abs=1e-4),
        }


async def test_a_ledger_is_sent_for_the_requested_currency(
    make_gateway: Callable[..., Gateway], dial: MakeWire
) -> None:
    async with make_gateway() as gateway:
        wire = await enter(dial, gateway)
        await place(wire, 1, EURUSD, action="BUY", totalQuantity=1000)

        for tags, expected in (
            ("$LEDGER", {"BASE"}),
            ("$LEDGER:EUR", {"EUR"}),
            ("$LEDGER:ALL", {"BASE", "EUR", "USD"}),
        ):
            wire.send(62, reqId=1, groupName="All", tags=tags)
            rows = await wire.until("accountSummaryEnd")
            wire.send(63, reqId=1)
            assert {texts["currency"] for name, texts in rows if name == "accountSummary"} == expected


async def test_a_trade_in_a_currency_without_a_rate_is_refused(make_bars: MakeBars, dial: MakeWire) -> None:
    bars = make_bars({"EUR.GBP": [(0.8,) * 4 + (0.0,)] * 3}, step=dt.timedelta(seconds=5))
    async with Gateway(market=Replay(bars, start=1), clock=ManualClock(nanoseconds(OPENED_AT))) as gateway:
        wire = await enter(dial, gateway)

        told = await place(wire, 1, EURGBP, action="BUY", totalQuantity=1000)

        [(code, text)] = errors(told)
        assert code == "201"
        assert "No exchange rate from GBP to USD is known" in text


# ---- summaries ------------------------------------------------------------------------------------------------------


async def test_a_summary_has_exactly_the_requested_tags(make_gateway: Callable[..., Gateway], dial: MakeWire) -> None:
    documented = {
        "AccountType",
        "NetLiquidation",
        "TotalCashValue",
        "SettledCash",
        "AccruedCash",
        "BuyingPower",
        "EquityWithLoanValue",
        "PreviousDayEquityWithLoanValue",
        "GrossPositionValue",
        "RegTEquity",
        "RegTMargin",
        "SMA",
        "InitMarginReq",
        "MaintMarginReq",
        "AvailableFunds",
        "ExcessLiquidity",
        "Cushion",
        "FullInitMarginReq",
        "FullMaintMarginReq",
        "FullAvailableFunds",
        "FullExcessLiquidity",
        "LookAheadNextChange",
        "LookAheadInitMarginReq",
        "LookAheadMaintMarginReq",
        "LookAheadAvailableFunds",
        "LookAheadExcessLiquidity",
        "HighestSeverity",
        "DayTradesRemaining",
        "DayTradesRemainingT+1",
        "DayTradesRemainingT+2",
        "DayTradesRemainingT+3",
        "DayTradesRemainingT+4",
        "Leverage",
    }
    async with make_gateway() as gateway:
        wire = await enter(dial, gateway)

        rows = await summary(wire, *documented)

        # In the order of the tags (captured), whatever their order in the request.
        assert [tag for _, tag in rows] == sorted(documented)


async def test_account_updates_come_in_the_order_of_their_tags(
    make_gateway: Callable[..., Gateway], dial: MakeWire
) -> None:
    async with make_gateway() as gateway:
        wire = await enter(dial, gateway)

        wire.send(6, subscribe=1, acctCode="")
        rows = [texts for name, texts in await wire.until("accountDownloadEnd") if name == "accountValue"]

        keys = [texts["key"] for texts in rows]
        assert keys == sorted(keys)
        assert keys[0] == "AccountCode"
        assert [texts["currency"] for texts in rows if texts["key"] == "CashBalance"] == ["BASE", "USD"]


# ---- several accounts -----------------------------------------------------------------------------------------------


async def test_each_account_has_its_own_positions_and_figures(
    make_gateway: Callable[..., Gateway], dial: MakeWire
) -> None:
    async with make_gateway(accounts=(FIRST, SECOND_ACCOUNT)) as gateway:
        wire = await enter(dial, gateway)
        wire.send(17)
        [(_, managed)] = await wire.until("managedAccounts")
        assert managed["accounts"] == f"{FIRST},{SECOND_ACCOUNT}"

        await place(wire, 1, AAPL, action="BUY", totalQuantity=10, account=FIRST)
        await place(wire, 2, AAPL, action="BUY", totalQuantity=20, account=SECOND_ACCOUNT)

        wire.send(61)
        positions = [texts for name, texts in await wire.until("positionEnd") if name == "position"]
        assert {(texts["account"], texts["position"]) for texts in positions} == {(FIRST, "10"), (SECOND_ACCOUNT, "20")}
        # 10 and 20 shares at 100.00.
        assert await summary(wire, "TotalCashValue") == {
            (FIRST, "TotalCashValue"): "9000.00",
            (SECOND_ACCOUNT, "TotalCashValue"): "8000.00",
        }
        wire.send(74, reqId=5, account=SECOND_ACCOUNT)
        multi = [texts for name, texts in await wire.until("positionMultiEnd") if name == "positionMulti"]
        assert [(texts["account"], texts["position"]) for texts in multi] == [(SECOND_ACCOUNT, "20")]
        wire.send(76, reqId=6, account=FIRST, ledgerAndNLV=1)
        values = [texts for name, texts in await wire.until("accountUpdateMultiEnd") if name == "accountUpdateMulti"]
        assert {texts["account"] for texts in values} == {FIRST}
        assert "BuyingPower" not in {texts["key"] for texts in values} >= {"NetLiquidation", "CashBalance"}
        wire.send(94, reqId=7, account=SECOND_ACCOUNT, conId=265598)
        assert (await wire.until("pnlSingle"))[-1][1]["pos"] == "20"


@pytest.mark.parametrize(
    ("account", "code", "text"),
    [("", "435", "You must specify an account."), ("DU7", "321", "Invalid account code 'DU7'")],
)
async def test_with_several_accounts_an_order_must_name_its_own(
    make_gateway: Callable[..., Gateway], dial: MakeWire, account: str, code: str, text: str
) -> None:
    async with make_gateway(accounts=(FIRST, SECOND_ACCOUNT)) as gateway:
        wire = await enter(dial, gateway)

        [(told, words)] = errors(await place(wire, 1, AAPL, action="BUY", totalQuantity=10, account=account))

        assert told == code
        assert words.endswith(text)


async def test_the_family_code_stands_for_every_account(make_gateway: Callable[..., Gateway], dial: MakeWire) -> None:
    async with make_gateway(accounts=(FIRST, SECOND_ACCOUNT)) as gateway:
        wire = await enter(dial, gateway)

        wire.send(80)

        assert (await wire.until("familyCodes"))[-1][1]["codesCount"] == "1"


async def test_daily_profit_restarts_at_midnight_in_new_york(
    make_gateway: Callable[..., Gateway], dial: MakeWire
) -> None:
    async def profit() -> tuple[float, float]:
        wire.send(92, reqId=1, account=FIRST)
        wire.send(94, reqId=2, account=FIRST, conId=265598)
        [*_, (_, whole), (_, part)] = await wire.until("pnlSingle")
        wire.send(93, reqId=1)
        wire.send(95, reqId=2)
        await answers(wire)
        return float(whole["dailyPnL"]), float(part["dailyPnL"])

    async with make_gateway() as gateway:
        wire = await enter(dial, gateway)
        await place(wire, 1, AAPL, action="BUY", totalQuantity=10)
        gateway.advance(20)
        # Ten bought at 100.00 are worth 60.00 each.
        assert await profit() == (-400.0, -400.0)

        # It is 10:00 in New York: fourteen hours to midnight.
        gateway.advance(14 * 3600)
        assert await profit() == (0.0, 0.0)
        gateway.trade("AAPL", 61.00)

        assert await profit() == (10.0, 10.0)


async def test_one_account_at_a_time_sends_its_updates(make_gateway: Callable[..., Gateway], dial: MakeWire) -> None:
    async with make_gateway(accounts=(FIRST, SECOND_ACCOUNT)) as gateway:
        wire = await enter(dial, gateway)
        wire.send(6, subscribe=1, acctCode=FIRST)
        await wire.until("accountDownloadEnd")

        wire.send(6, subscribe=1, acctCode=SECOND_ACCOUNT)
        rows = await wire.until("accountDownloadEnd")

        assert errors(rows) == [
            ("2100", "New account data requested from TWS. API client has been unsubscribed from account data.")
        ]
        told = await place(wire, 1, AAPL, action="BUY", totalQuantity=10, account=FIRST)
        assert "portfolioValue" not in {name for name, _ in told}
        told = await place(wire, 2, AAPL, action="BUY", totalQuantity=10, account=SECOND_ACCOUNT)
        assert {texts["account"] for name, texts in told if name == "portfolioValue"} == {SECOND_ACCOUNT}


@pytest.mark.parametrize("accounts", [("DU1", "U2"), ("DU1", "DU1"), ("DU1", "D,U2")])
def test_account_ids_are_checked(accounts: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match=r"gateway\.account"):
        Gateway(accounts=accounts)
    if accounts[0] != accounts[1]:
        with pytest.raises(ValidationError, match=r"gateway\.account"):
            GatewaySettings(accounts=accounts)
