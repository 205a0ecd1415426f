"""What can be asked of a desk without changing anything."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from ibdesk.clock import SECOND, monotonic_ns
from ibdesk.desk.answers import (
    BookRow,
    BooksInfo,
    DeskHealth,
    InstrumentInfo,
    ProcessInfo,
    RiskInfo,
    RunDetail,
    RunInfo,
    RunLog,
    WindowInfo,
)
from ibdesk.desk.inspection import instrument_info, risk_info, run_detail, run_info
from ibdesk.desk.latency import LatencySummary
from ibdesk.desk.process_context import ProcessContext
from ibdesk.desk.run_log import read_log
from ibdesk.engine import EXTERNAL, MANUAL
from ibdesk.errors import DataError, DeskError, HistoryError, InstrumentError, JournalError
from ibdesk.model import EVENT_KINDS, Account, Instrument, interval_ns
from ibdesk.store import JournalFilter, JournalInfo, JournalPage, Topic, journal_infos, journals_in, read_page
from ibdesk.telemetry import Span, vitals
from ibdesk.tws import Match

if TYPE_CHECKING:
    from ibdesk.desk.runtime import Runtime

_LONGEST_SEARCH = 64
# What fills within the seconds that the guardian looks back.
_BOOKED_SHOWN = 1_000


class Queries:
    """The desk's questions, as coroutines for its loop."""

    def __init__(self, runtime: Runtime, process_context: ProcessContext) -> None:
        self._runtime, self._process_context = runtime, process_context
        self._opened_ns = monotonic_ns()

    async def history(self, symbol: str | Instrument, *, bar: str = "5 secs", count: int = 300) -> pl.DataFrame:
        """Return the last `count` complete bars of an instrument, oldest first.

        The columns are ``symbol``, ``opened_at`` (Datetime ns, UTC), ``open``, ``high``, ``low``, ``close`` and
        ``volume``; `bar` is a length in words (``5 secs``, ``1 min``, ``1 day``).

        Raises:
            InstrumentError: If the instrument is unknown or ambiguous.
            HistoryError: If TWS has no such bars, or fewer; the sentence says how many there are.
            ConfigError: If `bar` names no length.
            DataError: If `count` is below 1.
        """
        if count < 1:
            raise DataError(f"count must be at least 1 bar, got {count}")
        qualified = await self._runtime.qualify(symbol)
        with self._runtime.performance.measure("history_request", symbol=qualified.id):
            bars = await self._runtime.service.history(qualified, interval_ns=interval_ns(bar), count=count)
        if bars.height < count:
            raise HistoryError(
                f"TWS has {bars.height:,} bars of {qualified.id} in bars of {bar}, and {count:,} were asked for: ask "
                f"for count={bars.height} or less, or for longer bars"
            )
        return bars

    async def runs(self) -> list[RunInfo]:
        """Return every run of this desk, oldest first."""
        return [run_info(run) for run in self._runtime.engine.runs.values()]

    async def run_state(self, run_id: str) -> RunDetail:
        """Return everything about a run: what its strategy keeps, and per instrument what it holds, saw and ordered.

        Raises:
            DeskError: If there is no such run.
        """
        engine = self._runtime.engine
        return run_detail(engine, engine.run_of(run_id), self._runtime.unanswered)

    async def run_log(self, run_id: str, *, limit: int = 100, before: int = 0, journal: str = "") -> RunLog:
        """Return the newest lines of what a run said, did and suffered, oldest of them first.

        `before` goes on from the answer before; `journal` names an earlier journal of this desk (see `journals`).

        Raises:
            DataError: If `limit` is below 1.
            DeskError: If there is no such run.
            JournalError: If there is no such journal, or it cannot be read.
        """
        if limit < 1:
            raise DataError(f"limit must be at least 1 line, got {limit}")
        path, is_book = self._journal(journal), run_id in (MANUAL, EXTERNAL)
        if path == self._runtime.journal.path and not is_book:
            self._runtime.engine.run_of(run_id)
        log = await asyncio.to_thread(read_log, path, run_id, before=before, limit=limit)
        # Every run has a line at least: that it was started.
        if path != self._runtime.journal.path and not (is_book or before or log.lines or log.next):
            raise DeskError(
                f"there is no run {run_id!r} in the journal {journal!r}: journal(journal={journal!r}) shows what is"
            )
        return log

    async def journal(
        self,
        *,
        after: int = 0,
        before: int = 0,
        limit: int = 100,
        newest_first: bool = False,
        kinds: list[str] | None = None,
        order_id: str = "",
        run_id: str = "",
        since_ns: int = 0,
        until_ns: int = 2**63 - 1,
        journal: str = "",
    ) -> JournalPage:
        """Return a page of what reached the engine and what it did about it, as plain rows.

        Events are numbered from 1; `after` and `before` bound the numbers, and with the page's ``next`` in place of
        `after` (of `before` with `newest_first`) the following page is asked for. `kinds` are words such as ``fill``
        or ``place_request``; `run_id` is a run, or ``manual`` for what was ordered by hand. `journal` names an earlier
        journal of this desk (see `journals`). A page has at most 1,000 rows. What happened in the last 50 ms may be
        missing.

        Raises:
            DataError: If `limit` is below 1, or a kind is none.
            JournalError: If there is no such journal, or it cannot be read.
        """
        if limit < 1:
            raise DataError(f"limit must be at least 1 row, got {limit}")
        unknown = sorted(set(kinds or ()) - set(EVENT_KINDS))
        if unknown:
            raise DataError(f"there are no events of kind {', '.join(unknown)}: there are {', '.join(EVENT_KINDS)}")
        wanted = JournalFilter(
            kinds=kinds or (), order_id=order_id, run_id=run_id, since_ns=since_ns, until_ns=until_ns
        )
        return await asyncio.to_thread(
            read_page,
            self._journal(journal),
            wanted,
            after=after,
            before=before,
            limit=limit,
            newest_first=newest_first,
        )

    async def journals(self, *, limit: int = 100) -> list[JournalInfo]:
        """Return this desk's journal and those beside it, newest first."""
        path = self._runtime.journal.path
        return await asyncio.to_thread(journal_infos, path.parent, current=path.name, limit=limit)

    async def search_instruments(self, text: str) -> list[Match]:
        """Return what TWS has whose symbol or name is like the text; new questions go out once a second.

        Raises:
            InstrumentError: If the text is empty or long, or TWS refuses it.
            LinkError: If TWS cannot be asked.
        """
        wanted = text.strip()
        if not 0 < len(wanted) <= _LONGEST_SEARCH:
            raise InstrumentError(f"write 1 to {_LONGEST_SEARCH} letters of a symbol or name to look for")
        return await self._runtime.service.search(wanted)

    async def instrument(self, symbol: str | Instrument) -> InstrumentInfo:
        """Return what TWS knows of an instrument; what it told before is remembered.

        Raises:
            InstrumentError: If the instrument is unknown or ambiguous.
            LinkError: If TWS cannot be asked.
        """
        return instrument_info(await self._runtime.qualified(symbol))

    async def risk(self) -> RiskInfo:
        """Return the limits of the risk gate, how much of them is used, and whether trading is halted."""
        return risk_info(self._runtime.engine, self._runtime.clock.now_ns())

    async def reconciliation(self) -> pl.DataFrame:
        """Return in what books and account differ, and since when, the oldest first; no rows when they are equal.

        `kind` is ``position``, ``cover``, ``order``, ``executions`` or ``cash``, `subject` an instrument, an order's
        id or a currency. They are compared every `desk.compare_seconds`, after each order error, and while a
        difference is looked into.
        """
        return self._runtime.reconciliation.frame()

    async def positions(self) -> pl.DataFrame:
        """Return what is or was held: a row per owner (run, or ``external``) and instrument, marked to the market."""
        return self._runtime.ledger.positions()

    async def orders(self) -> pl.DataFrame:
        """Return every order of this desk, oldest first."""
        return await self._runtime.ledger.orders()

    async def fills(self) -> pl.DataFrame:
        """Return every fill, oldest first; `commission` is null until the venue has told it."""
        return await self._runtime.ledger.fills()

    async def round_trips(self) -> pl.DataFrame:
        """Return every position that was opened and closed again, with what it earned, by owner and instrument."""
        return await self._runtime.ledger.round_trips()

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

    async def books(self) -> BooksInfo:
        """Return what every book holds and the executions booked last, to be compared with the account."""
        service, portfolio = self._runtime.service, self._runtime.engine.portfolio
        return BooksInfo(
            rows=[
                BookRow(owner=owner, symbol=name, con_id=service.contract_number(name), quantity=position.quantity)
                for owner, book in portfolio.books.items()
                for name, position in book.positions.items()
                if position.quantity
            ],
            executions=portfolio.last_booked(_BOOKED_SHOWN),
        )

    async def latency(self) -> LatencySummary:
        """Return how long it took from market data to the orders it caused."""
        return LatencySummary.of(self._runtime.performance.span("order_execution"))

    async def performance(self) -> dict[str, Span]:
        """Return how long the steps took that matter, by their names in the settings' section ``performance``."""
        return self._runtime.performance.spans()

    async def process(self) -> ProcessInfo:
        """Return how the process is that the desk lives in, with all that is around the desk."""
        around = self._process_context
        return ProcessInfo(
            vitals=vitals(),
            tasks=self._runtime.supervisor.tasks() + around.tasks(),
            pools=[health() for health in around.pools],
            lease=None if around.lease is None else around.lease(),
        )

    async def health(self) -> DeskHealth:
        """Return how the desk is doing."""
        runtime, engine, link = self._runtime, self._runtime.engine, self._runtime.service.health
        return DeskHealth(
            link=link.link,
            address=runtime.address,
            account=link.account,
            mode=runtime.settings.mode,
            halted=engine.gate.halts.reasons,
            halt_ids=list(engine.gate.halts),
            uptime_seconds=(monotonic_ns() - self._opened_ns) / SECOND,
            events=runtime.journal.count,
            orders=len(engine.blotter.orders),
            open_orders=len(engine.blotter.all_open()),
            fills=runtime.ledger.count,
            running=sum(run.is_running for run in engine.runs.values()),
            reconnects=link.reconnects,
            messages_sent=link.messages_sent,
            messages_waiting=link.messages_waiting,
            journal=str(runtime.journal.path),
            differences=len(engine.check.differences),
            compared_ns=runtime.service.compared.at_ns,
            comparison_fault=runtime.service.compared.fault,
            window=WindowInfo.of(runtime.venue.window),
            clock_drift_seconds=link.clock_drift_seconds,
        )

    def _journal(self, name: str) -> Path:
        """Return the journal of a name, by default the current one.

        Raises:
            JournalError: If there is none of this name beside this desk's own.
        """
        own = self._runtime.journal.path
        if name in ("", own.name):
            return own
        # Compared by name, so that no path leads out of the folder.
        for path in journals_in(own.parent):
            if path.name == name:
                return path
        raise JournalError(f"there is no earlier journal {name!r}: journals() lists them")
