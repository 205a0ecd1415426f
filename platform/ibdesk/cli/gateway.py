"""`ibdesk gateway`: a TWS of our own on its own, and what its clients do, line by line."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path

import msgspec
import polars as pl
from rich.text import Text

from ibdesk.backtest import sample_daily_bars
from ibdesk.cli.backtest import only, read_file
from ibdesk.cli.interrupt import on_stop_signals
from ibdesk.cli.sample import SECONDS_A_DAY, first_day
from ibdesk.cli.screen import console, line, price, quantity, step
from ibdesk.errors import AddressInUseError, ConfigError, DataError
from ibdesk.gateway import Gateway, GatewaySettings, make_gateway
from ibdesk.gateway.venue.venue import OrderRecord
from ibdesk.model import instrument_of, moment

_LOOK_SECONDS = 0.1


def run_gateway_until_stopped(settings: GatewaySettings, *, sample: bool, seconds: float | None) -> None:
    """Serve TWS clients until Ctrl-C or for some seconds, and print what they do.

    Raises:
        AddressInUseError: If the port is taken.
        ConfigError: If a setting is wrong.
        DataError: If the bars cannot be played.
        InstrumentError: If a symbol names no instrument.
    """
    if sample and settings.replay is not None:
        raise ConfigError("--replay and --sample are two markets: choose one")
    for name in settings.symbols:
        instrument_of(name)
    bars = None
    if sample:
        bars = only(sample_daily_bars(), settings.symbols, where="the sample")
        settings = msgspec.structs.replace(
            settings,
            replay=Path("the sample"),
            play_each_over_seconds=settings.play_each_over_seconds or SECONDS_A_DAY,
            start=settings.start or first_day(bars),
        )
    elif settings.replay is not None:
        bars = only(_read(settings.replay), settings.symbols, where=str(settings.replay))
    asyncio.run(_serve(make_gateway(settings, bars=bars), settings, seconds=seconds))


def _read(path: Path) -> pl.DataFrame:
    """Return the bars of a file, or of every CSV and Parquet file of a folder.

    Raises:
        DataError: If a file cannot be used, or the folder has none.
    """
    if not path.is_dir():
        return read_file(path)
    files = sorted(file for file in path.iterdir() if file.name.endswith((".csv", ".csv.gz", ".parquet")))
    if not files:
        raise DataError(f"folder {path} holds no bars: no file in it ends with .csv, .csv.gz or .parquet")
    return pl.concat([read_file(file) for file in files]).sort("opened_at", "symbol")


async def _serve(gateway: Gateway, settings: GatewaySettings, *, seconds: float | None) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    with on_stop_signals(lambda: loop.call_soon_threadsafe(stop.set)):
        try:
            await gateway.start()
        except AddressInUseError as error:
            raise AddressInUseError(error.host, error.port, "--port") from None
        try:
            _introduce(gateway, settings)
            ends = float("inf") if seconds is None else loop.time() + seconds
            news = GatewayNews(gateway)
            while not stop.is_set() and (left := ends - loop.time()) > 0:
                await _sleep(stop, min(left, _LOOK_SECONDS))
                for text in news.lines():
                    console.print(text, soft_wrap=True)
        finally:
            await gateway.stop()
    records = gateway.venue.records.values()
    console.print(f"closed; it had {len(records):,} orders and {len(gateway.venue.executions):,} executions")


async def _sleep(stop: asyncio.Event, seconds: float) -> None:
    """Sleep, or less when it is time to stop."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


def _introduce(gateway: Gateway, settings: GatewaySettings) -> None:
    symbols = gateway.market.symbols
    shown = ", ".join(symbols[:8]) + (f" and {len(symbols) - 8} more" if len(symbols) > 8 else "")
    source = "random walk" if settings.replay is None else f"bars of {settings.replay}"
    if settings.speed != 1:
        source += f", {settings.speed:g} times as fast as the wall's clock"
    step(f"gateway on {gateway.host}:{gateway.port}")
    line("account", f"{gateway.account}, {settings.cash:,.0f} USD")
    line("market", f"{shown}: {source}")
    line("connect", f"ibdesk run STRATEGY --on {symbols[0]} --mode paper --port {gateway.port}, or any TWS client")


class GatewayNews:
    """Tells what has happened at a gateway since it was last asked: clients that came and went, orders and fills."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._clients: tuple[int, ...] = ()
        self._orders = self._executions = 0
        self._open: dict[tuple[int, int], str] = {}

    def lines(self) -> Iterator[Text]:
        """Yield a line for each thing that has happened."""
        yield from self._sessions()
        yield from self._new_orders()
        yield from self._fills()
        yield from self._ended()

    def _sessions(self) -> Iterator[Text]:
        before, self._clients = self._clients, self._gateway.client_ids
        for client in self._clients:
            if client not in before:
                yield self._dated(f"client {client} connected", "bold")
        for client in before:
            if client not in self._clients:
                yield self._dated(f"client {client} left", "bold")

    def _new_orders(self) -> Iterator[Text]:
        records = self._gateway.venue.records
        for key, record in itertools.islice(records.items(), self._orders, None):
            self._open[key] = record.status
            yield self._dated(f"client {record.client_id} order {record.order_id}: {_order_words(record)}")
        self._orders = len(records)

    def _fills(self) -> Iterator[Text]:
        executions = self._gateway.venue.executions
        for done in itertools.islice(executions, self._executions, None):
            verb = "bought" if done.fill.side.sign > 0 else "sold"
            text = f"{verb} {quantity(done.fill.quantity)} {done.fill.instrument} at {price(done.fill.price)}"
            record = done.record
            yield self._dated(f"client {record.client_id} order {record.order_id}: {text}", "green")
        self._executions = len(executions)

    def _ended(self) -> Iterator[Text]:
        """Tell of orders that ended in another way than by being filled."""
        for key in list(self._open):
            record = self._gateway.venue.records[key]
            if record.is_done:
                del self._open[key]
                if record.status != "Filled":
                    reason = f": {record.completed_status}" if record.completed_status else ""
                    yield self._dated(
                        f"client {record.client_id} order {record.order_id} {record.status}{reason}", "yellow"
                    )

    def _dated(self, text: str, style: str = "") -> Text:
        return Text.assemble((f"{moment(self._gateway.schedule.now_ns):%H:%M:%S}  ", "dim"), (text, style))


def _order_words(record: OrderRecord) -> str:
    order = record.order
    prices = [
        f"{name} {price(figure)}"
        for name, figure in (("limit", order.limit_price), ("stop", order.stop_price))
        if figure is not None
    ]
    terms = ", ".join(prices) or "at the market"
    return f"{order.side.value} {quantity(order.quantity)} {order.instrument} {terms}, {order.time_in_force.value}"
