"""Answers about the desk: risk, journal, settings; and TWS's data of an instrument."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from ibdesk_server.answers.base import ApiAnswer, Exact, Figure, Moment


class HaltAnswer(ApiAnswer):
    """A trading halt: its reason, author and time."""

    id: str = Field(description="the id for `/risk/resume`", examples=["20261130-143000-3"])
    reason: str = Field(examples=["the spread of AAPL looks wrong"])
    by: str = Field(description="a person, or `risk`", examples=["ann"])
    at: Moment
    scope: str = Field(description="desk, run:<id> or instrument:<name>", examples=["desk"])
    state: str = Field(description="reducing or halted", examples=["halted"])


class StopAnswer(ApiAnswer):
    """The outcome of a stop of the account."""

    done: bool = Field(description="whether it is complete; if not, `failure` says what remains")
    level: Literal["halt", "cancel", "flatten"]
    halt_id: str = Field(description="the id for `/risk/resume`", examples=["20261130-143000-guardian-3"])
    account: str = Field(examples=["DU9000001"])
    by_guardian: bool = Field(description="true if the guardian did it, false if the server did")
    seconds: float
    open_orders: int
    positions: dict[str, float] = Field(description="positions still open")
    failure: str = ""


class ControlAnswer(ApiAnswer):
    """One risk control: its sources, the rule that implements it, and what is not covered."""

    name: str = Field(examples=["Maximum order size"])
    sources: list[str] = Field(description="paragraphs of the sources", examples=[["RTS 6 Art. 15(1)(c)"]])
    rule: str = Field(description="empty if it is not covered", examples=["An order above its size is denied."])
    settings: list[str] = Field(examples=[["risk.max_order_shares"]])
    tests: list[str] = Field(
        description="test files of the repository, with the test's name",
        examples=[["tests/engine/test_engine_risk.py::test_the_largest_order"]],
    )
    missing: str = Field(description="what of it is not covered", examples=[""])


class ExposureAnswer(ApiAnswer):
    """An owner's position in an instrument, with its pending orders."""

    owner: str = Field(examples=["EmaCross-t4x7k2"])
    symbol: str = Field(examples=["AAPL"])
    held: Exact = Field(examples=[100])
    pending: Exact = Field(description="pending entries; protective orders do not count", examples=[0])
    exposure: Exact = Field(description="position plus pending entries", examples=[100])
    highest: Exact = Field(description="highest position possible if open orders fill", examples=[100])
    lowest: Exact = Field(description="lowest position possible if open orders fill", examples=[0])
    last_price: Figure = Field(description="price of the last trade; null if unknown", examples=[188.1])
    mark_price: Figure = Field(description="price of valuation: middle of the quote, or a trade", examples=[188.1])
    value: Figure = Field(description="value of the exposure at the mark price", examples=[18_810])


class RiskAnswer(ApiAnswer):
    """The limits of the risk gate, their use, and the trading halts."""

    limits: dict[str, float | str | bool | None] = Field(
        description="by name; null if a rule is off",
        examples=[{"max_position_shares": 50_000, "max_daily_loss": 25_000}],
    )
    changed: bool = Field(description="whether the limits differ from the settings", examples=[False])
    halts: list[HaltAnswer] = Field(description="halts in force, oldest first; empty while trading is not halted")
    link_up: bool = Field(description="whether orders can be sent at all", examples=[True])
    day_loss: Figure = Field(
        description="loss since the start of the day; positive if money was lost", examples=[120.5]
    )
    day_ends_at: Moment | None
    orders_last_second: int = Field(examples=[0])
    exposures: list[ExposureAnswer]
    uncovered: dict[str, float] = Field(
        description="book positions closed by trades outside the desk and not yet accepted, by instrument",
        examples=[{"AAPL": 100}],
    )


class InstrumentAnswer(ApiAnswer):
    """The terms of an instrument, from TWS."""

    name: str = Field(description="the id to use in orders, runs and history", examples=["AAPL"])
    kind: str = Field(examples=["stock"])
    symbol: str = Field(examples=["AAPL"])
    exchange: str = Field(examples=["SMART"])
    currency: str = Field(examples=["USD"])
    tick_size: Exact = Field(description="smallest step of a price", examples=[0.01])
    multiplier: Exact = Field(description="money per point of price and unit of quantity", examples=[1])
    zone: str = Field(examples=["America/New_York"])
    session: str = Field(description="regular trading hours", examples=["09:30-16:00"])


class MatchAnswer(ApiAnswer):
    """An instrument found by a search for its symbol or name."""

    name: str = Field(
        description="the id for orders; empty if the search result does not identify the instrument", examples=["AAPL"]
    )
    kind: str = Field(examples=["stock"])
    symbol: str = Field(examples=["AAPL"])
    exchange: str = Field(examples=["NASDAQ"])
    currency: str = Field(examples=["USD"])
    description: str = Field(examples=["APPLE INC"])
    derivatives: list[str] = Field(description="IB's names of the derivatives on it", examples=[["OPT", "FUT"]])


class JournalRowAnswer(ApiAnswer):
    """An event that reached the engine, and the engine's actions."""

    number: int = Field(description="number of the event in this journal, from 1", examples=[4_711])
    at: Moment
    kind: str = Field(examples=["fill"])
    event: dict[str, Any] = Field(
        description="the event as stored in the journal; times are ns UTC", examples=[{"order_id": "EmaCross-t4x7k2-1"}]
    )
    actions: list[dict[str, Any]] = Field(description="the engine's actions", examples=[[]])


class JournalAnswer(ApiAnswer):
    """A page of the journal. A short or empty page is the last one only if `next` is null."""

    items: list[JournalRowAnswer]
    next: str | None = Field(description="the `cursor` of the next page", examples=[None])


class JournalInfoAnswer(ApiAnswer):
    """One journal of a desk: its file and its header."""

    name: str = Field(description="the name to pass as `journal`", examples=["paper-20260302-143000-123456.sqlite"])
    size_bytes: int = Field(examples=[409_600])
    mode: str = Field(examples=["paper"])
    account: str = Field(examples=["DU1234567"])
    client_id: int = Field(examples=[1])
    started_at: Moment | None
    program: str = Field(examples=["ibdesk 0.1.0"])
    is_current: bool = Field(examples=[True])
    is_copy: bool = Field(
        description="a copy, from another machine's engine, of the entries that changed books", examples=[False]
    )
    note: str = Field(description="why the journal cannot be read or continued", examples=[""])


class SettingAnswer(ApiAnswer):
    """A setting in effect; a secret is masked."""

    name: str = Field(examples=["server.port"])
    value: Any = Field(examples=[8_000])
    origin: str = Field(description="a file, a variable, an option, or `default`", examples=["default"])
