"""The calls of the REST API, defined once for `ApiClient` and `AioApiClient`.

Calls about backtests are in `ibdesk_server.client.backtest_calls`.
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
    """Return the health of the desk and its parts, latency and feed."""
    return ApiCall(method="GET", path="/health/detailed", read=msgspec.json.decode)


def feed_clients() -> ApiCall[Listing[FeedClientAnswer]]:
    """List the feed clients of the server that answers, largest lag first; for admins."""
    return get("feed/clients", Listing[FeedClientAnswer])


# --- the book


def account() -> ApiCall[AccountAnswer]:
    """Return the account's figures as TWS reports them."""
    return get("account", AccountAnswer)


def flatten(*, symbol: str = "") -> ApiCall[FlattenAnswer]:
    """Close the positions opened by hand, in one instrument or all; cancels their open orders first."""
    return ask("POST", "positions/flatten", FlattenAnswer, body={"symbol": symbol})


def reconciliation() -> ApiCall[ReconciliationAnswer]:
    """Return the differences between the books and the account, and the time of the comparison."""
    return get("reconciliation", ReconciliationAnswer)


def positions(
    *, owner: str | None = None, symbol: str | None = None, held: bool = False, limit: int = 100
) -> ApiCall[Listing[PositionAnswer]]:
    """List the positions by owner and instrument; `held` leaves out flat ones."""
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
    """List the fills of our orders, newest first."""
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
    """List the round trips, newest first."""
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
    """List the orders, open and closed, newest first."""
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
    """Return an order."""
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
    """Place an order by hand: a market order unless `limit` or `stop` is given.

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
    """Change the terms of an open order. If its version is not `seen` any more, the change is refused (412)."""
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
    """Ask the venue to cancel an order; returns it in its present state."""
    return ask("DELETE", f"orders/{quote(order_id, safe='')}", OrderAnswer)


# --- the market


def quotes(*, symbol: str | None = None, max_age: float = 0) -> ApiCall[Listing[QuoteAnswer]]:
    """List the best bids and asks; the answer may be `max_age` seconds old."""
    return get("quotes", Listing[QuoteAnswer], symbol=symbol, max_age=max_age)


def bars(symbol: str, *, bar: str = "5 secs", count: int = 500, max_age: float = 0) -> ApiCall[Listing[BarAnswer]]:
    """List the last bars of this session, newest last."""
    return get(f"bars/{quote(symbol, safe='')}", Listing[BarAnswer], bar=bar, count=count, max_age=max_age)


def history(symbol: str, *, bar: str = "1 day", count: int = 300, max_age: float = 0) -> ApiCall[Listing[BarAnswer]]:
    """List past bars, newest last."""
    return get(f"history/{quote(symbol, safe='')}", Listing[BarAnswer], bar=bar, count=count, max_age=max_age)


def search_instruments(text: str) -> ApiCall[Listing[MatchAnswer]]:
    """Search TWS for instruments by symbol or name."""
    return get("instruments", Listing[MatchAnswer], text=text)


def instrument(symbol: str) -> ApiCall[InstrumentAnswer]:
    """Return the terms of an instrument, from TWS."""
    return get(f"instruments/{quote(symbol, safe='')}", InstrumentAnswer)


# --- strategies


def strategies() -> ApiCall[list[StrategyAnswer]]:
    """List the strategy files, each with the JSON schema of its parameters or its error."""
    return get("strategies", list[StrategyAnswer])


def strategy(file: str) -> ApiCall[StrategyAnswer]:
    """Return a strategy file."""
    return get(f"strategies/{quote(file, safe='')}", StrategyAnswer)


def runs(*, state: str | None = None, limit: int = 100) -> ApiCall[Listing[RunAnswer]]:
    """List the runs, newest first."""
    return get("runs", Listing[RunAnswer], state=state, limit=limit)


def run(run_id: str) -> ApiCall[RunAnswer]:
    """Return a run."""
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
    """Start a strategy and return the run. Repeated with the same `key`, it returns the first run.

    `budget` holds the run's own limits, by name.
    """
    request: dict[str, Any] = {"file": file, "symbols": list(on), "bar": bar, "warm_up": warm_up}
    request |= {"parameters": dict(parameters or {}), "budget": None if budget is None else dict(budget)}
    return ask("POST", "runs", RunAnswer, body=request, key=key_or_new(key))


def run_state(run_id: str) -> ApiCall[RunStateAnswer]:
    """Return the inner state of a run: stored state, positions, last bars, features and orders."""
    return get(f"runs/{quote(run_id, safe='')}/state", RunStateAnswer)


def run_log(run_id: str, *, limit: int = 100, cursor: str | None = None, journal: str = "") -> ApiCall[RunLogAnswer]:
    """Return the log of a run; `cursor` is the `next` of a page of newer lines, `journal` an earlier journal."""
    return get(f"runs/{quote(run_id, safe='')}/log", RunLogAnswer, limit=limit, cursor=cursor, journal=journal)


def change_parameters(run_id: str, parameters: Mapping[str, Any]) -> ApiCall[RunAnswer]:
    """Change parameters of a run; those not named stay the same."""
    body = {"parameters": dict(parameters)}
    return ask("PATCH", f"runs/{quote(run_id, safe='')}/parameters", RunAnswer, body=body)


def stop(run_id: str, *, flatten: bool = False) -> ApiCall[RunAnswer]:
    """Stop a run and return it; `flatten` also closes its positions."""
    return ask("POST", f"runs/{quote(run_id, safe='')}/stop", RunAnswer, params={"flatten": flatten})


# --- risk


def risk(*, owner: str | None = None) -> ApiCall[RiskAnswer]:
    """Return the limits of the risk gate, their use, and the trading halts."""
    return get("risk", RiskAnswer, owner=owner)


def change_limits(limits: Mapping[str, float | str | bool | None]) -> ApiCall[RiskAnswer]:
    """Change limits of the risk gate by name; None switches one off."""
    return ask("PATCH", "risk/limits", RiskAnswer, body={"limits": dict(limits)})


def stop_account(level: str = "halt", *, reason: str, kill: bool = False, account: str = "") -> ApiCall[StopAnswer]:
    """Stop the account: ``halt``, ``cancel`` every order, or also ``flatten`` every position.

    It works without the engine, too.
    """
    body = {"level": level, "reason": reason, "kill": kill, "account": account}
    return ask("POST", "stop", StopAnswer, body=body)


def halt(reason: str, *, scope: str = "desk", state: str = "halted") -> ApiCall[HaltAnswer]:
    """Halt trading: only orders that reduce a position are accepted. The answer has the id that lifts the halt.

    `scope` is ``desk``, ``run:<id>`` or ``instrument:<name>``, `state` ``reducing`` or ``halted``.
    """
    return ask("POST", "risk/halt", HaltAnswer, body={"reason": reason, "scope": scope, "state": state})


def resume(reason: str, *, id: str) -> ApiCall[None]:  # noqa: A002 - as the API says
    """Lift the halt with this id."""
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
    """Return the events that reached the engine, and its actions, newest first."""
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
    """List the journals of this desk, newest first."""
    return get("journals", Listing[JournalInfoAnswer], limit=limit)


def settings(*, section: str = "") -> ApiCall[Listing[SettingAnswer]]:
    """List the settings in effect, or those of a section, with the source of each."""
    return get("settings", Listing[SettingAnswer], section=section)
