"""What can be asked of a desk. Each is written once, here, and runs on the desk's own loop."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import msgspec
import polars as pl

from ibdesk.desk.latency import LatencySummary
from ibdesk.desk.runtime import RunInfo, Runtime, named
from ibdesk.errors import ConfigError, DataError, DeskError
from ibdesk.model import (
    Account,
    BarSource,
    CancelRequest,
    HaltTrading,
    Instrument,
    Link,
    ResumeTrading,
    StopStrategy,
    interval_ns,
)
from ibdesk.store import Topic
from ibdesk.strategy import Strategy


class DeskHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How a desk is doing; `halted` is the reason of a halt or empty, times are in seconds."""

    link: Link
    address: str
    account: str
    mode: str
    halted: str
    uptime_seconds: float
    events: int
    orders: int
    open_orders: int
    fills: int
    running: int
    reconnects: int
    messages_sent: int
    messages_waiting: int
    journal: str


class Operations:
    """The desk's commands and questions, as coroutines for its loop."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._opened = time.monotonic()

    async def history(self, symbol: str | Instrument, *, bar: str = "5 secs", count: int = 300) -> pl.DataFrame:
        """Return the last `count` complete bars of an instrument, oldest first.

        The columns are ``symbol``, ``opened_at`` (Datetime ns, UTC), ``open``, ``high``, ``low``, ``close`` and
        ``volume``; `bar` is a length in words (``5 secs``, ``1 min``, ``1 day``).

        Raises:
            InstrumentError: If the instrument is unknown or ambiguous.
            HistoryError: If TWS has no such bars.
            ConfigError: If `bar` names no length.
            DataError: If `count` is below 1.
        """
        if count < 1:
            raise DataError(f"count must be at least 1 bar, got {count}")
        qualified = await self._runtime.service.qualify(named(symbol))
        return await self._runtime.service.history(qualified, interval_ns=interval_ns(bar), count=count)

    async def start(
        self,
        strategy: Strategy | type[Strategy] | str | Path,
        *,
        on: str | Instrument | Iterable[str | Instrument],
        bar: str = "5 secs",
        bars_from: BarSource | str = BarSource.BARS,
        warm_up: int = 300,
        parameters: dict[str, object] | None = None,
        cash: float = 0.0,
        run_id: str = "",
    ) -> str:
        """Run a strategy on some instruments and return the run's id.

        `strategy` is an object, a class, or the path of a strategy file; `parameters` override its own. It is warmed
        up with `warm_up` bars of history and decides from the next bar on. Its bars are built from TWS's 5-second
        bars, or with `bars_from` from ``ticks`` or ``quotes``. `cash` is the money allotted to it.

        A run that went on when an earlier life of the desk ended (its state is ``orphaned``) is continued when it is
        started like then, with the same class, parameters, instruments and bars: its book, its open orders and its
        `state` are the new run's. `run_id` names a run that has ended, or one whose parameters are to change, to
        be continued; stop an orphaned run to begin a new one in its place.

        Raises:
            StrategyError: If the file or the parameters are wrong.
            InstrumentError: If an instrument is unknown or ambiguous.
            ConfigError: If `bar` or `bars_from` is none, or `warm_up` is negative.
            DeskError: If it fails while it starts, or `run_id` names no run that has ended.
        """
        if warm_up < 0:
            raise ConfigError(f"warm_up must be a number of bars, got {warm_up}")
        names = [on] if isinstance(on, str | Instrument) else list(on)
        if not names:
            raise DeskError("name at least one instrument to run on, such as on=['AAPL']")
        return await self._runtime.start(
            strategy,
            on=names,
            bar_ns=interval_ns(bar),
            bar_source=_source(bars_from),
            warm_up=warm_up,
            parameters=parameters or {},
            cash=cash,
            run_id=run_id,
        )

    async def stop(self, run_id: str, *, flatten: bool = False) -> None:
        """End a run: its open orders are cancelled, and with `flatten` its positions are closed at the market.

        Raises:
            DeskError: If there is no such run.
        """
        self._runtime.turn(StopStrategy(run_id, self._now_ns, flatten))

    async def runs(self) -> list[RunInfo]:
        """Return every run of this desk, oldest first."""
        return self._runtime.runs()

    async def positions(self) -> pl.DataFrame:
        """Return what is or was held: a row per owner (run, or ``external``) and instrument, marked to the market."""
        return self._runtime.ledger.positions()

    async def orders(self) -> pl.DataFrame:
        """Return every order of this desk, oldest first."""
        return self._runtime.ledger.orders()

    async def fills(self) -> pl.DataFrame:
        """Return every fill, oldest first; `commission` is null until the venue has told it."""
        return self._runtime.ledger.fills()

    async def round_trips(self) -> pl.DataFrame:
        """Return every position that was opened and closed again, with what it earned, by owner and instrument."""
        return self._runtime.ledger.round_trips()

    async def account(self) -> Account:
        """Return the account as it last reported itself."""
        return self._runtime.engine.account

    async def quotes(self) -> pl.DataFrame:
        """Return the last quote of each instrument that a run watches."""
        return self._runtime.ledger.quotes()

    async def bars(self, symbol: str, *, bar: str = "5 secs", count: int = 500) -> pl.DataFrame:
        """Return the newest bars seen of an instrument that a run watches, oldest first, at most 1,000."""
        wanted_ns = interval_ns(bar)
        rows = self._runtime.feed.snapshot([Topic.BARS])[Topic.BARS]
        seen = [row for row in rows if row["symbol"] == symbol and row["interval_ns"] == wanted_ns][-count:]
        names = ("open", "high", "low", "close", "volume")
        opened_at = pl.Series("opened_at", [row["opened_ns"] for row in seen], dtype=pl.Int64)
        return pl.DataFrame(
            [
                pl.Series("symbol", [row["symbol"] for row in seen], dtype=pl.String),
                opened_at.cast(pl.Datetime("ns", "UTC")),
                *(pl.Series(name, [row[name] for row in seen], dtype=pl.Float64) for name in names),
            ]
        )

    async def latency(self) -> LatencySummary:
        """Return how long it took from market data to the orders it caused."""
        return self._runtime.latency.summary()

    async def health(self) -> DeskHealth:
        """Return how the desk is doing."""
        runtime, engine, link = self._runtime, self._runtime.engine, self._runtime.service.health
        return DeskHealth(
            link=link.link,
            address=runtime.address,
            account=link.account,
            mode=runtime.settings.mode,
            halted=engine.gate.halted,
            uptime_seconds=time.monotonic() - self._opened,
            events=runtime.journal.count,
            orders=len(engine.blotter.orders),
            open_orders=len(engine.blotter.all_open()),
            fills=runtime.ledger.count,
            running=sum(run.is_running for run in engine.runs.values()),
            reconnects=link.reconnects,
            messages_sent=link.messages_sent,
            messages_waiting=link.messages_waiting,
            journal=str(runtime.journal.path),
        )

    async def cancel(self, order_id: str) -> None:
        """Withdraw what is left of an open order.

        Raises:
            DeskError: If this desk has no such order.
        """
        if order_id not in self._runtime.engine.blotter.orders:
            raise DeskError(f"there is no order {order_id!r} on this desk")
        self._runtime.turn(CancelRequest(order_id, self._now_ns))

    async def cancel_all(self) -> None:
        """Withdraw every open order of this desk."""
        self._runtime.turn(CancelRequest("", self._now_ns))

    async def halt(self, reason: str, *, by: str = "operator") -> None:
        """Deny every order that does not reduce a position, until `resume`: also after a restart of the desk.

        `by` says who wants it.
        """
        self._runtime.turn(HaltTrading(_said(reason, "halt"), self._now_ns, by))

    async def resume(self, reason: str) -> None:
        """Lift a halt; `reason` goes on the record."""
        self._runtime.turn(ResumeTrading(_said(reason, "resume"), self._now_ns))

    @property
    def _now_ns(self) -> int:
        return self._runtime.clock.now_ns()


def _source(bars_from: BarSource | str) -> BarSource:
    try:
        return BarSource(bars_from)
    except ValueError:
        known = ", ".join(source.value for source in BarSource)
        raise ConfigError(f"bars_from must be one of {known}, got {bars_from!r}") from None


def _said(reason: str, what: str) -> str:
    if not reason.strip():
        raise DeskError(f"to {what} trading, say why: the reason goes on the record")
    return reason.strip()
