"""The desk itself: its risk, its journal, its settings; and what TWS knows of an instrument."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from ibdesk_server.answers.base import ApiAnswer, Exact, Figure, Moment


class HaltAnswer(ApiAnswer):
    """Why trading is halted, by whom and since when."""

    id: str = Field(description="what `/risk/resume` takes", examples=["20261130-143000-3"])
    reason: str = Field(examples=["the spread of AAPL looks wrong"])
    by: str = Field(description="a person, or `risk`", examples=["ann"])
    at: Moment
    scope: str = Field(description="desk, run:<id> or instrument:<name>", examples=["desk"])
    state: str = Field(description="reducing or halted", examples=["halted"])


class StopAnswer(ApiAnswer):
    """What a stop of the account has come to."""

    done: bool = Field(description="whether all of it is done; if not, `failure` says what is left")
    level: Literal["halt", "cancel", "flatten"]
    halt_id: str = Field(description="what `/risk/resume` takes", examples=["20261130-143000-guardian-3"])
    account: str = Field(examples=["DU9000001"])
    by_guardian: bool = Field(description="whether the guardian did it; without one the server does its work")
    seconds: float
    open_orders: int
    positions: dict[str, float] = Field(description="what is still held")
    failure: str = ""


class ControlAnswer(ApiAnswer):
    """One risk control: who names it, the rule that stands for it here, and what of it is not covered."""

    name: str = Field(examples=["Maximum order size"])
    sources: list[str] = Field(description="paragraphs that name it", examples=[["RTS 6 Art. 15(1)(c)"]])
    rule: str = Field(description="empty where it is not covered", examples=["An order above its size is denied."])
    settings: list[str] = Field(examples=[["risk.max_order_shares"]])
    tests: list[str] = Field(
        description="files of the repository with the name of a test",
        examples=[["tests/engine/test_engine_risk.py::test_the_largest_order"]],
    )
    missing: str = Field(description="what of it is not covered", examples=[""])


class ExposureAnswer(ApiAnswer):
    """What an owner holds of an instrument and has on the way."""

    owner: str = Field(examples=["EmaCross-t4x7k2"])
    symbol: str = Field(examples=["AAPL"])
    held: Exact = Field(examples=[100])
    pending: Exact = Field(description="entries; orders that protect what is held are none", examples=[0])
    exposure: Exact = Field(description="held and pending together", examples=[100])
    highest: Exact = Field(description="the highest position that its open orders may lead to", examples=[100])
    lowest: Exact = Field(description="the lowest position that its open orders may lead to", examples=[0])
    last_price: Figure = Field(description="of the last trade; null where none is known", examples=[188.1])
    mark_price: Figure = Field(description="what it is valued at: middle of the quote, or a trade", examples=[188.1])
    value: Figure = Field(description="of the exposure, at the mark price", examples=[18_810])


class RiskAnswer(ApiAnswer):
    """The limits of the risk gate, how much of them is used, and whether trading is halted."""

    limits: dict[str, float | str | bool | None] = Field(
        description="by name; null where a rule is off",
        examples=[{"max_position_shares": 50_000, "max_daily_loss": 25_000}],
    )
    changed: bool = Field(description="whether they differ from the settings", examples=[False])
    halts: list[HaltAnswer] = Field(description="those that hold, oldest first; none while trading goes on")
    link_up: bool = Field(description="whether orders can leave at all", examples=[True])
    day_loss: Figure = Field(description="since the day began, positive when money was lost", examples=[120.5])
    day_ends_at: Moment | None
    orders_last_second: int = Field(examples=[0])
    exposures: list[ExposureAnswer]
    uncovered: dict[str, float] = Field(
        description="positions of the books that trades outside the desk have closed, by instrument, not yet accepted",
        examples=[{"AAPL": 100}],
    )


class InstrumentAnswer(ApiAnswer):
    """What TWS knows of an instrument."""

    name: str = Field(description="what orders, runs and history take", examples=["AAPL"])
    kind: str = Field(examples=["stock"])
    symbol: str = Field(examples=["AAPL"])
    exchange: str = Field(examples=["SMART"])
    currency: str = Field(examples=["USD"])
    tick_size: Exact = Field(description="least step of a price", examples=[0.01])
    multiplier: Exact = Field(description="money gained per unit of price and quantity", examples=[1])
    zone: str = Field(examples=["America/New_York"])
    session: str = Field(description="the regular hours", examples=["09:30-16:00"])


class MatchAnswer(ApiAnswer):
    """An instrument whose symbol or name is like the word that was searched for."""

    name: str = Field(description="what orders take; empty where the search tells too little", examples=["AAPL"])
    kind: str = Field(examples=["stock"])
    symbol: str = Field(examples=["AAPL"])
    exchange: str = Field(examples=["NASDAQ"])
    currency: str = Field(examples=["USD"])
    description: str = Field(examples=["APPLE INC"])
    derivatives: list[str] = Field(description="IB's words for what is derived from it", examples=[["OPT", "FUT"]])


class JournalRowAnswer(ApiAnswer):
    """An event that reached the engine, and what it did about it."""

    number: int = Field(description="in this journal, from 1", examples=[4_711])
    at: Moment
    kind: str = Field(examples=["fill"])
    event: dict[str, Any] = Field(
        description="as it is in the journal; times are ns UTC", examples=[{"order_id": "EmaCross-t4x7k2-1"}]
    )
    actions: list[dict[str, Any]] = Field(description="what the engine had done", examples=[[]])


class JournalAnswer(ApiAnswer):
    """A page of the journal; one that is short, even empty, is the last only when `next` is null."""

    items: list[JournalRowAnswer]
    next: str | None = Field(description="the `cursor` of the next page", examples=[None])


class JournalInfoAnswer(ApiAnswer):
    """One journal of a desk: its file, and what its header says."""

    name: str = Field(description="the name that `journal` takes", examples=["paper-20260302-143000-123456.sqlite"])
    size_bytes: int = Field(examples=[409_600])
    mode: str = Field(examples=["paper"])
    account: str = Field(examples=["DU1234567"])
    client_id: int = Field(examples=[1])
    started_at: Moment | None
    program: str = Field(examples=["ibdesk 0.1.0"])
    is_current: bool = Field(examples=[True])
    is_copy: bool = Field(
        description="a copy of what changed books in the journal of another machine's engine", examples=[False]
    )
    note: str = Field(description="what is wrong with one that cannot be read, or gone on from", examples=[""])


class SettingAnswer(ApiAnswer):
    """A setting in effect; a secret is masked."""

    name: str = Field(examples=["server.port"])
    value: Any = Field(examples=[8_000])
    origin: str = Field(description="a file, a variable, an option, or `default`", examples=["default"])
