"""Answers about the book: orders, fills, positions, round trips and the account."""

from __future__ import annotations

from pydantic import Field

from ibdesk_server.answers.base import ApiAnswer, Exact, Figure, Moment


class PositionAnswer(ApiAnswer):
    """The position of one owner in one instrument."""

    owner: str = Field(
        description="its run; `manual` for orders by hand, `external` for trades made elsewhere",
        examples=["EmaCross-t4x7k2"],
    )
    symbol: str = Field(examples=["AAPL"])
    quantity: Exact = Field(description="negative is short", examples=[100])
    average_price: Figure = Field(examples=[187.42])
    last_price: Figure = Field(description="price of the last trade; null if unknown", examples=[188.1])
    mark_price: Figure = Field(description="price of valuation: middle of the quote, or a trade", examples=[188.1])
    unrealized_pnl: Figure = Field(examples=[68])
    realized_pnl: Figure = Field(examples=[0])
    commission: Figure = Field(examples=[1])


class OrderAnswer(ApiAnswer):
    """An order and its status."""

    id: str = Field(examples=["EmaCross-t4x7k2-1"])
    owner: str = Field(description="the run that placed it; `manual` if placed by hand", examples=["EmaCross-t4x7k2"])
    symbol: str = Field(examples=["AAPL"])
    side: str = Field(description="buy or sell", examples=["buy"])
    quantity: Exact = Field(examples=[100])
    filled: Exact = Field(description="executed quantity", examples=[0])
    type: str = Field(description="market, limit, stop or stop_limit", examples=["limit"])
    limit_price: Figure = Field(examples=[187.4])
    stop_price: Figure = Field(examples=[None])
    time_in_force: str = Field(description="day, gtc or ioc", examples=["day"])
    status: str = Field(
        description="created, denied (by our risk gate), sent, unknown, held, working, filled, cancelled, rejected "
        "(by the venue) or expired",
        examples=["working"],
    )
    average_price: Figure = Field(description="average price of its fills; null before the first", examples=[None])
    reason: str = Field(description="why it was denied, rejected or cancelled", examples=[""])
    by: str = Field(description="who placed it by hand; empty for an order of a strategy", examples=[""])
    correlation_id: str = Field(
        description="id of the request that placed it; empty for an order of a strategy", examples=[""]
    )
    version: str = Field(
        description="changes with its terms and with each fill; pass it in quotes as `If-Match` of a change",
        examples=["3"],
    )
    pending: str = Field(description="`change` or `cancel`, until the venue has answered that request", examples=[""])
    pending_since: Moment | None
    created_at: Moment | None
    updated_at: Moment | None


class CancelAllAnswer(ApiAnswer):
    """The number of orders that the venue was asked to cancel."""

    cancelling: int = Field(examples=[3])


class FlattenAnswer(ApiAnswer):
    """The orders that close the positions."""

    orders: list[str] = Field(description="order ids; empty if there was no position", examples=[["manual-hoi0u57oa2"]])


class FillAnswer(ApiAnswer):
    """One execution of an order."""

    execution_id: str = Field(examples=["0000e0d5.65e3a1b2.01.01"])
    order_id: str = Field(examples=["EmaCross-t4x7k2-1"])
    owner: str = Field(examples=["EmaCross-t4x7k2"])
    symbol: str = Field(examples=["AAPL"])
    side: str = Field(examples=["buy"])
    quantity: Exact = Field(examples=[100])
    price: Exact = Field(examples=[187.42])
    commission: Figure = Field(description="null until the venue reports it", examples=[1])
    filled_at: Moment


class DifferenceAnswer(ApiAnswer):
    """One difference between the books and the account."""

    kind: str = Field(description="position, cover, order, executions or cash", examples=["position"])
    subject: str = Field(description="an instrument, an order's id or a currency", examples=["AAPL"])
    books: Figure = Field(examples=[100])
    account: Figure = Field(examples=[0])
    since: Moment
    text: str = Field(examples=["AAPL: the account holds 0, the books say 100"])


class ReconciliationAnswer(ApiAnswer):
    """The differences between the books and the account, and the time of the comparison."""

    compared_at: Moment | None = Field(description="last comparison of the whole account; null before the first")
    fault: str = Field(description="data missing in that comparison; empty if it was complete", examples=[""])
    differences: list[DifferenceAnswer] = Field(description="oldest first; empty if books and account agree")


class RoundTripAnswer(ApiAnswer):
    """A position from opening to closing, and its profit."""

    owner: str = Field(examples=["EmaCross-t4x7k2"])
    symbol: str = Field(examples=["AAPL"])
    side: str = Field(description="long or short", examples=["long"])
    quantity: Exact = Field(description="total quantity opened", examples=[100])
    opened_at: Moment
    closed_at: Moment
    entry_price: Figure = Field(description="average, weighted by quantity", examples=[187.42])
    exit_price: Figure = Field(description="average, weighted by quantity", examples=[188.42])
    gross_pnl: Figure = Field(examples=[100])
    commission: Figure = Field(examples=[2])
    pnl: Figure = Field(description="after commission", examples=[98])
    return_: Figure = Field(alias="return", description="`pnl` over the entry's value; 0.05 is 5 %", examples=[0.00523])
    fills: int = Field(examples=[2])


class AccountAnswer(ApiAnswer):
    """The account's figures as TWS reports them, in its currency."""

    id: str = Field(examples=["DU1234567"])
    currency: str = Field(examples=["USD"])
    net_liquidation: Figure = Field(examples=[1_000_068])
    cash: Figure = Field(examples=[981_258])
    buying_power: Figure = Field(examples=[3_925_032])
    available_funds: Figure = Field(examples=[981_258])
    realized_pnl: Figure = Field(examples=[0])
    unrealized_pnl: Figure = Field(examples=[68])
    cash_by_currency: dict[str, float] = Field(
        description="cash by currency, each in that currency", examples=[{"USD": 981_258.0}]
    )
    updated_at: Moment | None
