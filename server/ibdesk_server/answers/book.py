"""The book: orders, fills, positions, round trips, the account."""

from __future__ import annotations

from pydantic import Field

from ibdesk_server.answers.base import ApiAnswer, Exact, Figure, Moment


class PositionAnswer(ApiAnswer):
    """What one strategy holds in one instrument."""

    owner: str = Field(
        description="the run it belongs to; `external` for what was opened elsewhere", examples=["EmaCross-t4x7k2"]
    )
    symbol: str = Field(examples=["AAPL"])
    quantity: Exact = Field(description="negative is short", examples=[100])
    average_price: Figure = Field(examples=[187.42])
    last_price: Figure = Field(description="of the last trade; null where none is known", examples=[188.1])
    mark_price: Figure = Field(description="what it is valued at: middle of the quote, or a trade", examples=[188.1])
    unrealized_pnl: Figure = Field(examples=[68])
    realized_pnl: Figure = Field(examples=[0])
    commission: Figure = Field(examples=[1])


class OrderAnswer(ApiAnswer):
    """An order and where it is in its life."""

    id: str = Field(examples=["EmaCross-t4x7k2-1"])
    owner: str = Field(description="the run that made it; `manual` for one by hand", examples=["EmaCross-t4x7k2"])
    symbol: str = Field(examples=["AAPL"])
    side: str = Field(description="buy or sell", examples=["buy"])
    quantity: Exact = Field(examples=[100])
    filled: Exact = Field(description="how much of the quantity was executed", examples=[0])
    type: str = Field(description="market, limit, stop or stop_limit", examples=["limit"])
    limit_price: Figure = Field(examples=[187.4])
    stop_price: Figure = Field(examples=[None])
    time_in_force: str = Field(description="day, gtc or ioc", examples=["day"])
    status: str = Field(
        description="created, denied (by our risk gate), sent, unknown, held, working, filled, cancelled, rejected "
        "(by the venue) or expired",
        examples=["working"],
    )
    average_price: Figure = Field(description="mean price of its fills; null before the first", examples=[None])
    reason: str = Field(description="why it was denied, rejected or cancelled", examples=[""])
    by: str = Field(description="who ordered it by hand; empty for an order of a strategy", examples=[""])
    correlation_id: str = Field(
        description="of the request that it goes back to; empty for an order of a strategy", examples=[""]
    )
    version: str = Field(
        description="new when its terms change and with each fill; `If-Match` of a change takes it, in quotes",
        examples=["3"],
    )
    pending: str = Field(description="change or cancel, while the venue has not answered it", examples=[""])
    pending_since: Moment | None
    created_at: Moment | None
    updated_at: Moment | None


class CancelAllAnswer(ApiAnswer):
    """How many orders the venue was asked to cancel."""

    cancelling: int = Field(examples=[3])


class FlattenAnswer(ApiAnswer):
    """The orders that close what was held."""

    orders: list[str] = Field(description="their ids; none when nothing was held", examples=[["manual-hoi0u57oa2"]])


class FillAnswer(ApiAnswer):
    """One execution of an order."""

    execution_id: str = Field(examples=["0000e0d5.65e3a1b2.01.01"])
    order_id: str = Field(examples=["EmaCross-t4x7k2-1"])
    owner: str = Field(examples=["EmaCross-t4x7k2"])
    symbol: str = Field(examples=["AAPL"])
    side: str = Field(examples=["buy"])
    quantity: Exact = Field(examples=[100])
    price: Exact = Field(examples=[187.42])
    commission: Figure = Field(description="null until the venue has told it", examples=[1])
    filled_at: Moment


class DifferenceAnswer(ApiAnswer):
    """One thing in which the books and the account differ."""

    kind: str = Field(description="position, cover, order, executions or cash", examples=["position"])
    subject: str = Field(description="an instrument, an order's id or a currency", examples=["AAPL"])
    books: Figure = Field(examples=[100])
    account: Figure = Field(examples=[0])
    since: Moment
    text: str = Field(examples=["AAPL: the account holds 0, the books say 100"])


class ReconciliationAnswer(ApiAnswer):
    """In what the books and the account differ, and when they were compared."""

    compared_at: Moment | None = Field(description="when the whole account was compared last; null before that")
    fault: str = Field(description="what that comparison lacked; empty when it was complete", examples=[""])
    differences: list[DifferenceAnswer] = Field(description="the oldest first; none when all is equal")


class RoundTripAnswer(ApiAnswer):
    """A position that was opened and closed again, and what it earned."""

    owner: str = Field(examples=["EmaCross-t4x7k2"])
    symbol: str = Field(examples=["AAPL"])
    side: str = Field(description="long or short", examples=["long"])
    quantity: Exact = Field(description="all that was opened", examples=[100])
    opened_at: Moment
    closed_at: Moment
    entry_price: Figure = Field(description="mean over the quantity", examples=[187.42])
    exit_price: Figure = Field(description="mean over the quantity", examples=[188.42])
    gross_pnl: Figure = Field(examples=[100])
    commission: Figure = Field(examples=[2])
    pnl: Figure = Field(description="after commission", examples=[98])
    return_: Figure = Field(alias="return", description="`pnl` over the entry's value; 0.05 is 5 %", examples=[0.00523])
    fills: int = Field(examples=[2])


class AccountAnswer(ApiAnswer):
    """The account's own figures, in its currency."""

    id: str = Field(examples=["DU1234567"])
    currency: str = Field(examples=["USD"])
    net_liquidation: Figure = Field(examples=[1_000_068])
    cash: Figure = Field(examples=[981_258])
    buying_power: Figure = Field(examples=[3_925_032])
    available_funds: Figure = Field(examples=[981_258])
    realized_pnl: Figure = Field(examples=[0])
    unrealized_pnl: Figure = Field(examples=[68])
    cash_by_currency: dict[str, float] = Field(description="each in its own money", examples=[{"USD": 981_258.0}])
    updated_at: Moment | None
