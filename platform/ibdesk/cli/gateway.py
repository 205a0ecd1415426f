"""`ibdesk gateway`: runs a simulated TWS and shows its clients' activity as lines or as a status page."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from rich.console import RenderableType
from rich.live import Live

from ibdesk.cli.backtest import only
from ibdesk.cli.gateway_log import MessageLog, open_log
from ibdesk.cli.gateway_news import GatewayNews
from ibdesk.cli.gateway_status import status_view
from ibdesk.cli.gateway_traffic import Traffic
from ibdesk.cli.interrupt import on_stop_signals
from ibdesk.cli.logs import open_log as open_process_log
from ibdesk.cli.reading import read_file
from ibdesk.cli.sample import SECONDS_A_DAY, first_day
from ibdesk.cli.screen import console, line, step
from ibdesk.config import write_private
from ibdesk.data import sample_daily_bars
from ibdesk.desk.loop import spare_from_collection
from ibdesk.errors import AddressInUseError, ConfigError
from ibdesk.gateway import Gateway, GatewaySettings, make_gateway
from ibdesk.gateway.listening import Listeners, MessageListener
from ibdesk.gateway.make import clock_of
from ibdesk.gateway.market.names import named_now
from ibdesk.gateway.proxy import ConversationRecorder

_LOOK_SECONDS = 0.1
_PAGE_EVERY = 5
# Lines that the page's headings take; the tables with many rows share the rest of the terminal's height.
_HEADINGS, _FEWEST_ROWS = 18, 3


class TrafficOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to show and record a gateway's traffic: a status page, a message log, a recording."""

    status: bool = False
    log_messages: bool = False
    log_file: Path | None = None
    record: Path | None = None

    def listeners(self, cleanup: contextlib.ExitStack, now_ns: Callable[[], int]) -> list[MessageListener]:
        """Return the listeners that write the log and the recording; `cleanup` closes their files.

        Raises:
            ConfigError: If a file cannot be written.
        """
        listeners: list[MessageListener] = []
        if self.log_file is not None:
            file = cleanup.enter_context(open_log(self.log_file))
            listeners.append(MessageLog(lambda text: file.write(text + "\n"), now_ns))
        elif self.log_messages:
            listeners.append(MessageLog(print_line, now_ns))
        if self.record is not None:
            recorder = ConversationRecorder(self.record, now_ns)
            cleanup.callback(recorder.close)
            listeners.append(recorder)
        return listeners


def run_gateway_until_stopped(
    settings: GatewaySettings, watching: TrafficOptions, *, sample: bool, seconds: float | None, statement: Path | None
) -> None:
    """Serve TWS clients until Ctrl-C or for some seconds, and show their activity; then write the statement.

    Raises:
        AddressInUseError: If the port is taken.
        ConfigError: If a setting is invalid, or a file cannot be written.
        DataError: If the bars cannot be replayed.
        InstrumentError: If a symbol is not an instrument.
    """
    markets = (("--replay", settings.replay), ("--sample", sample or None), ("--script", settings.script))
    chosen = [name for name, value in markets if value is not None]
    if len(chosen) > 1:
        raise ConfigError(f"{' and '.join(chosen)} exclude each other: choose one")
    if settings.script is not None and settings.symbols:
        raise ConfigError("--script names its own symbols: leave --symbols out")
    for name in settings.symbols:
        named_now(name)
    bars = None
    if sample:
        bars = only(sample_daily_bars(), settings.symbols, where="the sample")
        market = {
            "replay": Path("the sample"),
            "play_each_over_seconds": settings.play_each_over_seconds or SECONDS_A_DAY,
            "start": settings.start or first_day(bars),
        }
        settings = settings.model_copy(update=market)
    elif settings.replay is not None:
        bars = read_file(settings.replay).only(settings.symbols).frame
    clock = clock_of(settings)
    with contextlib.ExitStack() as cleanup:
        cleanup.enter_context(open_process_log("gateway"))
        traffic = Traffic(clock.now_ns)
        listener = Listeners([traffic, *watching.listeners(cleanup, clock.now_ns)])
        gateway = make_gateway(settings, bars=bars, clock=clock, listener=listener)
        spare_from_collection()
        asyncio.run(_serve(gateway, settings, _Screen(gateway, traffic, watching), seconds=seconds))
        if statement is not None:
            _write_statement(gateway, statement)


async def _serve(gateway: Gateway, settings: GatewaySettings, screen: _Screen, *, seconds: float | None) -> None:
    with stop_asked() as stop:
        try:
            await gateway.start()
        except AddressInUseError as error:
            raise AddressInUseError(error.host, error.port, "--port") from None
        try:
            _introduce(gateway, settings)
            with screen.shown():
                await until_stopped(stop, screen.look, seconds=seconds)
            screen.end()
        finally:
            await gateway.stop()
    records = gateway.venue.records.values()
    console.print(f"closed after {len(records):,} orders and {len(gateway.venue.executions):,} executions")


def _write_statement(gateway: Gateway, path: Path) -> None:
    try:
        write_private(path, gateway.statement().encode())
    except OSError as error:
        raise ConfigError(f"--statement {path} cannot be written: {error.strerror or error}") from error
    console.print(
        f"the statement is in {path}: compare it with `ibdesk statement {path}`", markup=False, soft_wrap=True
    )


@contextlib.contextmanager
def stop_asked() -> Iterator[asyncio.Event]:
    """Yield an event that Ctrl-C and SIGTERM set inside the block."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    with on_stop_signals(lambda: loop.call_soon_threadsafe(stop.set)):
        yield stop


async def until_stopped(stop: asyncio.Event, look: Callable[[], None], *, seconds: float | None) -> None:
    """Call `look` ten times a second until `stop` is set, or for some seconds."""
    loop = asyncio.get_running_loop()
    ends = float("inf") if seconds is None else loop.time() + seconds
    while not stop.is_set() and (left := ends - loop.time()) > 0:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), min(left, _LOOK_SECONDS))
        look()


def print_line(text: str) -> None:
    """Print a line verbatim, without styles."""
    console.print(text, markup=False, soft_wrap=True)


class _Screen:
    """The terminal output of a running gateway: its events line by line, or the status page."""

    def __init__(self, gateway: Gateway, traffic: Traffic, watching: TrafficOptions) -> None:
        self._gateway = gateway
        self._traffic = traffic
        self._news = GatewayNews(gateway, traffic)
        self._wants_page = watching.status
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._began = time.monotonic()
        self._looks = 0

    @property
    def _is_page(self) -> bool:
        return self._wants_page and console.is_terminal

    def shown(self) -> contextlib.AbstractContextManager[object]:
        """Return a context manager inside which the page is redrawn in place."""
        return self._live if self._is_page else contextlib.nullcontext()

    def look(self) -> None:
        """Print new events, or redraw the page twice a second."""
        if not self._is_page:
            for text in self._news.lines():
                console.print(text, soft_wrap=True)
            return
        if self._looks % _PAGE_EVERY == 0:
            rows = max(_FEWEST_ROWS, (console.height - _HEADINGS) // 3)
            self._live.update(self._page(rows), refresh=True)
        self._looks += 1

    def end(self) -> None:
        """Print the final page, if a page was requested."""
        if self._wants_page:
            console.print(self._page())

    def _page(self, rows: int | None = None) -> RenderableType:
        return status_view(self._gateway, self._traffic, seconds=time.monotonic() - self._began, rows=rows)


def _introduce(gateway: Gateway, settings: GatewaySettings) -> None:
    symbols = gateway.market.symbols
    shown = ", ".join(symbols[:8]) + (f" and {len(symbols) - 8} more" if len(symbols) > 8 else "")
    source = "random walk" if settings.replay is None else f"bars of {settings.replay}"
    if settings.script is not None:
        source = f"script {settings.script}"
    if settings.data == "delayed":
        source += ", delayed"
    if settings.hours == "exchange":
        source += ", during the sessions of its exchanges"
    if settings.speed != 1:
        source += f", {settings.speed:g} times real time"
    step(f"gateway on {gateway.host}:{gateway.port}")
    accounts = settings.accounts or (gateway.account,)
    line("account", f"{', '.join(accounts)}, {settings.cash:,.0f} USD{' each' if len(accounts) > 1 else ''}")
    line("market", f"{shown}: {source}")
    if settings.state is not None:
        line("state", str(settings.state))
    if settings.faults is not None:
        line("faults", str(settings.faults))
    example = symbols[0] if symbols else "AAPL"
    line("connect", f"ibdesk run STRATEGY --on {example} --mode paper --port {gateway.port}, or any TWS client")
