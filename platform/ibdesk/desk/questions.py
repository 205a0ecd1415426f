"""What can be asked of a desk without changing anything."""

from __future__ import annotations

import time

import polars as pl

from ibdesk.desk.answers import DeskHealth, RunInfo
from ibdesk.desk.latency import LatencySummary
from ibdesk.desk.runtime import Runtime, named
from ibdesk.errors import DataError
from ibdesk.model import Account, Instrument, interval_ns
from ibdesk.store import Topic


class Questions:
    """The desk's questions, as coroutines for its loop."""

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
