"""The calls of the REST interface, each described once: `ApiClient` makes them and waits, `AioApiClient` awaits them.

Those that are about backtests stand in `ibdesk_server.client.backtest_calls`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from ibdesk_server.answers import (
    AccountAnswer,
    BarAnswer,
    CancelAllAnswer,
    FeedClientAnswer,
    FillAnswer,
    FlattenAnswer,
    HaltAnswer,
    InstrumentAnswer,
    JournalAnswer,
    JournalInfoAnswer,
    Listing,
    MatchAnswer,
    OrderAnswer,
    PositionAnswer,
    QuoteAnswer,
    ReconciliationAnswer,
    RiskAnswer,
    RoundTripAnswer,
    RunAnswer,
    RunLogAnswer,
    RunStateAnswer,
    SettingAnswer,
    StopAnswer,
    StrategyAnswer,
)
from ibdesk_server.client.call import ApiCall, ask, do, get, key_or_new


def health() -> ApiCall[dict[str, Any]]:
    """How the desk, its latency and the feed are."""
    return ApiCall(method="GET", path="/health/detailed", read=msgspec.json.decode)


def feed_clients() -> ApiCall[Listing[FeedClientAnswer]]:
    """Who follows the feed of the server that answers, the one furthest behind first; for admins."""
    return get("feed/clients", Listing[FeedClientAnswer])


# --- the book


def account() -> ApiCall[AccountAnswer]:
    """The account's own figures."""
    return get("account", AccountAnswer)


def flatten(*, symbol: str = "") -> ApiCall[FlattenAnswer]:
    """Close what was opened by hand, in an instrument or in all; its open orders are withdrawn first."""
    return ask("POST", "positions/flatten", FlattenAnswer, body={"symbol": symbol})


def reconciliation() -> ApiCall[ReconciliationAnswer]:
    """In what the books and the account differ, and when they were compared."""
    return get("reconciliation", ReconciliationAnswer)


def positions(
    *, owner: str | None = None, symbol: str | None = None, held: bool = False, limit: int = 100
) -> ApiCall[Listing[PositionAnswer]]:
    """What is held, by owner and instrument; with `held` without what is flat."""
    return get("positions", Listing[PositionAnswer], owner=owner, symbol=symbol, held=held, limit=limit)


def fills(
    *,
    owner: str | None = None,
    symbol: str | None = None,
    order_id: str | None = None,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    sort: str = "-filled_at",
    limit: int = 100,
) -> ApiCall[Listing[FillAnswer]]:
    """Executions of our orders, the newest first."""
    return get(
        "fills",
        Listing[FillAnswer],
        owner=owner,
        symbol=symbol,
        order_id=order_id,
        since=since,
        until=until,
        sort=sort,
        limit=limit,
    )


def round_trips(
    *,
    owner: str | None = None,
    symbol: str | None = None,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    sort: str = "-closed_at",
    limit: int = 100,
) -> ApiCall[Listing[RoundTripAnswer]]:
    """Positions opened and closed again, the newest first."""
    return get(
        "round-trips",
        Listing[RoundTripAnswer],
        owner=owner,
        symbol=symbol,
        since=since,
        until=until,
        sort=sort,
        limit=limit,
    )


# --- orders


def orders(
    *,
    owner: str | None = None,
    symbol: str | None = None,
    status: str | None = None,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    sort: str = "-created_at",
    limit: int = 100,
) -> ApiCall[Listing[OrderAnswer]]:
    """Orders, open and closed, the newest first."""
    return get(
        "orders",
        Listing[OrderAnswer],
        owner=owner,
        symbol=symbol,
        status=status,
        since=since,
        until=until,
        sort=sort,
        limit=limit,
    )


def order(order_id: str) -> ApiCall[OrderAnswer]:
    """One order."""
    return get(f"orders/{quote(order_id, safe='')}", OrderAnswer)


def place(
    symbol: str,
    side: str,
    quantity: float,
    *,
    limit: float | None = None,
    stop: float | None = None,
    time_in_force: str = "day",
    outside_regular_hours: bool = False,
    when_closed: str = "usual",
    key: str | None = None,
) -> ApiCall[OrderAnswer]:
    """Place an order by hand, at the market unless `limit` or `stop` says otherwise.

    Each call is a new order; `key` makes a repeated call the same order, also from another program.
    """
    request = {
        "symbol": symbol,
        "side": side,
        "quantity": quantity,
        "limit": limit,
        "stop": stop,
        "time_in_force": time_in_force,
        "outside_regular_hours": outside_regular_hours,
        "when_closed": when_closed,
    }
    return ask("POST", "orders", OrderAnswer, body=request, key=key_or_new(key))


def modify(
    order_id: str,
    *,
    quantity: float | None = None,
    limit: float | None = None,
    stop: float | None = None,
    seen: str | None = None,
) -> ApiCall[OrderAnswer]:
    """Ask for other terms of an open order; if it is not the `version` that was `seen` any more, nothing is asked."""
    terms = {"quantity": quantity, "limit": limit, "stop": stop}
    call = ask(
        "PATCH",
        f"orders/{quote(order_id, safe='')}",
        OrderAnswer,
        body={name: value for name, value in terms.items() if value is not None},
    )
    return msgspec.structs.replace(call, headers={"If-Match": f'"{seen}"'}) if seen else call


def cancel_all(*, owner: str | None = None, symbol: str | None = None) -> ApiCall[CancelAllAnswer]:
    """Ask the venue to cancel every open order, or those of one owner or instrument."""
    return ask("DELETE", "orders", CancelAllAnswer, params={"owner": owner, "symbol": symbol})


def cancel(order_id: str) -> ApiCall[OrderAnswer]:
    """Ask the venue to cancel an order; it is returned as it was."""
    return ask("DELETE", f"orders/{quote(order_id, safe='')}", OrderAnswer)


# --- the market


def quotes(*, symbol: str | None = None, max_age: float = 0) -> ApiCall[Listing[QuoteAnswer]]:
    """The best bids and asks; the answer may be `max_age` seconds old."""
    return get("quotes", Listing[QuoteAnswer], symbol=symbol, max_age=max_age)


def bars(symbol: str, *, bar: str = "5 secs", count: int = 500, max_age: float = 0) -> ApiCall[Listing[BarAnswer]]:
    """The last bars of this session, the newest last."""
    return get(f"bars/{quote(symbol, safe='')}", Listing[BarAnswer], bar=bar, count=count, max_age=max_age)


def history(symbol: str, *, bar: str = "1 day", count: int = 300, max_age: float = 0) -> ApiCall[Listing[BarAnswer]]:
    """Past bars, the newest last."""
    return get(f"history/{quote(symbol, safe='')}", Listing[BarAnswer], bar=bar, count=count, max_age=max_age)


def search_instruments(text: str) -> ApiCall[Listing[MatchAnswer]]:
    """What TWS has whose symbol or name is like the text."""
    return get("instruments", Listing[MatchAnswer], text=text)


def instrument(symbol: str) -> ApiCall[InstrumentAnswer]:
    """What TWS knows of an instrument."""
    return get(f"instruments/{quote(symbol, safe='')}", InstrumentAnswer)


# --- strategies


def strategies() -> ApiCall[list[StrategyAnswer]]:
    """The strategy files, each with the JSON schema of its parameters or its error."""
    return get("strategies", list[StrategyAnswer])


def strategy(file: str) -> ApiCall[StrategyAnswer]:
    """One strategy file."""
    return get(f"strategies/{quote(file, safe='')}", StrategyAnswer)


def runs(*, state: str | None = None, limit: int = 100) -> ApiCall[Listing[RunAnswer]]:
    """The strategies that run or have run, the newest first."""
    return get("runs", Listing[RunAnswer], state=state, limit=limit)


def run(run_id: str) -> ApiCall[RunAnswer]:
    """One run."""
    return get(f"runs/{quote(run_id, safe='')}", RunAnswer)


def start(
    file: str,
    *,
    on: Iterable[str],
    bar: str = "5 secs",
    warm_up: int = 300,
    parameters: Mapping[str, Any] | None = None,
    budget: Mapping[str, float] | None = None,
    key: str | None = None,
) -> ApiCall[RunAnswer]:
    """Start a strategy and return the run; asked again with the same `key`, the run that was started then.

    `budget` are limits of the run's own, by name.
    """
    request: dict[str, Any] = {"file": file, "symbols": list(on), "bar": bar, "warm_up": warm_up}
    request |= {"parameters": dict(parameters or {}), "budget": None if budget is None else dict(budget)}
    return ask("POST", "runs", RunAnswer, body=request, key=key_or_new(key))


def run_state(run_id: str) -> ApiCall[RunStateAnswer]:
    """A run from inside: what its strategy keeps, holds, saw and ordered."""
    return get(f"runs/{quote(run_id, safe='')}/state", RunStateAnswer)


def run_log(run_id: str, *, limit: int = 100, cursor: str | None = None, journal: str = "") -> ApiCall[RunLogAnswer]:
    """What a run said, did and suffered; `cursor` is the `next` of newer lines, `journal` an earlier journal."""
    return get(f"runs/{quote(run_id, safe='')}/log", RunLogAnswer, limit=limit, cursor=cursor, journal=journal)


def change_parameters(run_id: str, parameters: Mapping[str, Any]) -> ApiCall[RunAnswer]:
    """Have a run go on with other parameters; those not named stay."""
    body = {"parameters": dict(parameters)}
    return ask("PATCH", f"runs/{quote(run_id, safe='')}/parameters", RunAnswer, body=body)


def stop(run_id: str, *, flatten: bool = False) -> ApiCall[RunAnswer]:
    """Stop a run, with `flatten` also close its positions, and return it."""
    return ask("POST", f"runs/{quote(run_id, safe='')}/stop", RunAnswer, params={"flatten": flatten})


# --- risk


def risk(*, owner: str | None = None) -> ApiCall[RiskAnswer]:
    """The limits of the risk gate, how much of them is used, and whether trading is halted."""
    return get("risk", RiskAnswer, owner=owner)


def change_limits(limits: Mapping[str, float | str | bool | None]) -> ApiCall[RiskAnswer]:
    """Change limits of the risk gate by name; None switches one off."""
    return ask("PATCH", "risk/limits", RiskAnswer, body={"limits": dict(limits)})


def stop_account(level: str = "halt", *, reason: str, kill: bool = False, account: str = "") -> ApiCall[StopAnswer]:
    """Stop the account: ``halt``, ``cancel`` every order, or ``flatten`` every position too; it works always."""
    body = {"level": level, "reason": reason, "kill": kill, "account": account}
    return ask("POST", "stop", StopAnswer, body=body)


def halt(reason: str, *, scope: str = "desk", state: str = "halted") -> ApiCall[HaltAnswer]:
    """Let no order out that does not reduce a position; the answer has the id that lifts the halt.

    `scope` is ``desk``, ``run:<id>`` or ``instrument:<name>``, `state` ``reducing`` or ``halted``.
    """
    return ask("POST", "risk/halt", HaltAnswer, body={"reason": reason, "scope": scope, "state": state})


def resume(reason: str, *, id: str) -> ApiCall[None]:  # noqa: A002 - as the API says
    """Lift the halt of this id, and no other."""
    return do("POST", "risk/resume", body={"id": id, "reason": reason})


def accept_external(symbol: str, *, run_id: str = "") -> ApiCall[None]:
    """Book trades made outside the desk to the runs whose positions they closed."""
    return do("POST", "risk/accept", body={"symbol": symbol, "run_id": run_id})


# --- the record


def journal(
    *,
    kind: Iterable[str] = (),
    order_id: str = "",
    run_id: str = "",
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    sort: str = "-number",
    limit: int = 100,
    cursor: str | None = None,
    journal: str = "",
) -> ApiCall[JournalAnswer]:
    """What reached the engine, and what it did, the newest first."""
    return get(
        "journal",
        JournalAnswer,
        kind=list(kind) or None,
        order_id=order_id,
        run_id=run_id,
        since=since,
        until=until,
        sort=sort,
        limit=limit,
        cursor=cursor,
        journal=journal,
    )


def journals(*, limit: int = 100) -> ApiCall[Listing[JournalInfoAnswer]]:
    """The journals of this desk, newest first."""
    return get("journals", Listing[JournalInfoAnswer], limit=limit)


def settings(*, section: str = "") -> ApiCall[Listing[SettingAnswer]]:
    """The settings in effect, or those of a section, with where each is from."""
    return get("settings", Listing[SettingAnswer], section=section)
