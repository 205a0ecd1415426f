"""The gateway's status page: sessions, orders, market and faults."""

from __future__ import annotations

import math

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from ibdesk.cli.gateway_news import order_words
from ibdesk.cli.gateway_traffic import Traffic
from ibdesk.cli.screen import plain_table, price, quantity, span
from ibdesk.gateway import Gateway
from ibdesk.gateway.market.instrument_state import InstrumentState
from ibdesk.gateway.venue.venue import OrderRecord
from ibdesk.model import Quote, moment

_MOST_ROWS = 12
_GAP = 3
_STATUS_STYLES = {"Filled": "green", "Cancelled": "yellow", "Inactive": "red"}


def status_view(gateway: Gateway, traffic: Traffic, *, seconds: float, rows: int | None = None) -> RenderableType:
    """Return the current page; `seconds` is the gateway's uptime, `rows` the maximum rows of a table."""
    most = _MOST_ROWS if rows is None else min(rows, _MOST_ROWS)
    orders: list[RenderableType] = [orders_table(gateway, most)]
    if gateway.faults.fired:
        orders.append(faults_table(gateway, most))
    market = Group(sessions_table(gateway, traffic, most), market_table(gateway, most))
    return Group(_headline(gateway, seconds), _SideBySide(market, Group(*orders)))


class _SideBySide:
    """Two parts, side by side if the terminal is wide enough, else stacked."""

    def __init__(self, left: Group, right: Group) -> None:
        self._parts = (left, right)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wanted = sum(
            max(Measurement.get(console, options, part).maximum for part in group.renderables) for group in self._parts
        )
        if wanted + _GAP > options.max_width:
            yield from self._parts
            return
        grid = Table.grid(padding=(0, _GAP, 0, 0))
        grid.add_row(*self._parts)
        yield grid


def _headline(gateway: Gateway, seconds: float) -> Text:
    clock = gateway.schedule.clock
    speed = "" if clock.speed == 1 else f"  {clock.speed:g} times real time"
    counts = (
        f"  orders {len(gateway.venue.records):,}  executions {len(gateway.venue.executions):,}"
        f"  faults {len(gateway.faults.fired):,}"
    )
    # A trader must see these two first.
    alarms = [
        text
        for text, is_so in (
            ("no connection to the market", not gateway.tape.live),
            ("connections are refused", gateway.faults.refuses_connections),
        )
        if is_so
    ]
    return Text.assemble(
        (f"\N{BULLET} {gateway.host}:{gateway.port}", "bold cyan"),
        (f"  {moment(gateway.schedule.now_ns):%Y-%m-%d %H:%M:%S} UTC", "bold"),
        (f"  up {span(seconds)}{speed}{counts}", "dim"),
        ("".join(f"\n  {alarm.upper()}" for alarm in alarms), "bold red"),
    )


def sessions_table(gateway: Gateway, traffic: Traffic, most: int) -> Table:
    """Return the clients, oldest first; `most` is the maximum number of rows, as in the other tables."""
    tallies = traffic.tallies
    table = plain_table(
        *("client", "version", "since", "sent", "got", "streams", "working"),
        title=_title("Sessions", len(tallies), most),
        right=4,
    )
    working = [record.client_id for record in gateway.venue.records.values() if not record.is_done]
    for tally in tallies[:most]:
        table.add_row(
            str(tally.client_id) if tally.client_id >= 0 else Text("greeting", style="dim"),
            str(tally.version or ""),
            f"{moment(tally.since_ns):%H:%M:%S}",
            f"{tally.heard:,}",
            f"{tally.said:,}",
            f"{len(tally.streams):,}",
            f"{working.count(tally.client_id):,}",
        )
    return table


def orders_table(gateway: Gateway, most: int) -> Table:
    """Return the newest orders, working orders first."""
    records = list(gateway.venue.records.values())
    working = [record for record in records if not record.is_done]
    done = [record for record in records if record.is_done]
    table = plain_table(
        *("client", "order", "what", "status", "filled", "at"), title=_title("Orders", len(records), most), right=2
    )
    newest = [*reversed(working), *reversed(done)]
    for record in newest[:most]:
        table.add_row(
            str(record.client_id),
            str(record.order_id),
            order_words(record),
            _status(record),
            quantity(record.filled) if record.filled else Text("0", style="dim"),
            price(record.average_price or None),
        )
    return table


def market_table(gateway: Gateway, most: int) -> Table:
    """Return the quotes, those with the most subscribers first."""
    states = [(name, state) for name, state in gateway.tape.states.items() if state.quote is not None or state.last]
    states.sort(key=lambda pair: -gateway.tape.watching(pair[0]))
    table = plain_table(
        *("symbol", "size", "bid", "ask", "size", "last", "change"),
        title=_title("Market", len(states), most),
        right=6,
    )
    for name, state in states[:most]:
        symbol = Text(f"{name} halted", style="bold red") if state.is_halted else Text(name, style="bold")
        last = None if state.last is None else state.last.price
        table.add_row(symbol, *_quoted(state.quote), price(last), _change(state))
    return table


def faults_table(gateway: Gateway, most: int) -> Table:
    """Return the newest faults."""
    fired = gateway.faults.fired
    table = plain_table("time", "fault", title=_title("Faults", len(fired), most))
    for at_ns, words in fired[-most:]:
        table.add_row(f"{moment(at_ns):%H:%M:%S}", Text(words, style="yellow"))
    return table


def _title(noun: str, count: int, shown: int) -> str:
    return f"{noun}: {count:,}" + (f", {shown} of them" if count > shown else "")


def _status(record: OrderRecord) -> Text:
    return Text(record.status, style=_STATUS_STYLES.get(record.status, "bold"))


def _quoted(quote: Quote | None) -> tuple[str, str, str, str]:
    """Return bid size, bid, ask and ask size; both prices have the same number of decimals."""
    if quote is None:
        return "", price(None), price(None), ""
    bid, ask = price(quote.bid), price(quote.ask)
    decimals = max(_decimals(bid), _decimals(ask))
    return (
        _size(quote.bid_size, quote.bid),
        _padded(bid, decimals),
        _padded(ask, decimals),
        _size(quote.ask_size, quote.ask),
    )


def _decimals(text: str) -> int:
    return len(text.partition(".")[2])


def _padded(text: str, decimals: int) -> str:
    return text + "0" * (decimals - _decimals(text)) if "." in text else text


def _size(figure: float, beside: float) -> str:
    """Return a displayed size, in millions from 1,000,000 on; empty if its price is missing."""
    if math.isnan(beside):
        return ""
    return f"{figure / 1e6:.4g}M" if figure >= 1e6 else quantity(figure)


def _change(state: InstrumentState) -> Text:
    """Return the change of the last trade from the previous close, in percent."""
    if state.last is None or not state.previous_close:
        return Text("")
    # Avoid the sign of a negative zero.
    change = round((state.last.price / state.previous_close - 1) * 100, 2) + 0.0
    return Text(f"{change:+.2f} %" if change else "0.00 %", style="red" if change < 0 else "green" if change else "dim")
