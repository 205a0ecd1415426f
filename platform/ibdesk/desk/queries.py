"""The desk's queries, which change nothing."""

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
# More than the executions within the seconds that the guardian looks back.
_BOOKED_SHOWN = 1_000


class Queries:
    """The desk's queries, as coroutines for its loop."""

    def __init__(self, runtime: Runtime, process_context: ProcessContext) -> None:
        self._runtime, self._process_context = runtime, process_context
        self._opened_ns = monotonic_ns()

    async def history(self, symbol: str | Instrument, *, bar: str = "5 secs", count: int = 300) -> pl.DataFrame:
        """Return the last `count` complete bars of an instrument, oldest first.

        The columns are ``symbol``, ``opened_at`` (Datetime ns, UTC), ``open``, ``high``, ``low``, ``close`` and
        ``volume``; `bar` is a length in words (``5 secs``, ``1 min``, ``1 day``).

        Raises:
            InstrumentError: If the instrument is unknown or ambiguous.
            HistoryError: If TWS has no such bars, or fewer; the message says how many there are.
            ConfigError: If `bar` is not a length.
            DataError: If `count` is below 1.
        """
        if count < 1:
            raise DataError(f"count must be at least 1 bar, got {count}")
        qualified = await self._runtime.qualify(symbol)
        with self._runtime.performance.measure("history_request", symbol=qualified.id):
            bars = await self._runtime.service.history(qualified, interval_ns=interval_ns(bar), count=count)
        if bars.height < count:
            raise HistoryError(
                f"TWS has {bars.height:,} bars of {qualified.id} in bars of {bar}, and {count:,} were requested: "
                f"request count={bars.height} or less, or longer bars"
            )
        return bars

    async def runs(self) -> list[RunInfo]:
        """Return every run of this desk, oldest first."""
        return [run_info(run) for run in self._runtime.engine.runs.values()]

    async def run_state(self, run_id: str) -> RunDetail:
        """Return the details of a run: its strategy's state, and its position, features and orders per instrument.

        Raises:
            DeskError: If there is no such run.
        """
        engine = self._runtime.engine
        return run_detail(engine, engine.run_of(run_id), self._runtime.unanswered)

    async def run_log(self, run_id: str, *, limit: int = 100, before: int = 0, journal: str = "") -> RunLog:
        """Return the newest lines of a run's log, the oldest of them first.

        `before` continues from an earlier answer; `journal` names an earlier journal of this desk (see `journals`).

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
        # Every run has at least one line: its start.
        if path != self._runtime.journal.path and not (is_book or before or log.lines or log.next):
            raise DeskError(
                f"there is no run {run_id!r} in the journal {journal!r}: journal(journal={journal!r}) lists its events"
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
        """Return a page of the journal's events with the actions that they caused, as plain rows.

        Events are numbered from 1; `after` and `before` bound the numbers. Pass the page's ``next`` as `after` (as
        `before` with `newest_first`) for the following page. `kinds` are words such as ``fill`` or ``place_request``;
        `run_id` is a run, or ``manual`` for orders by hand. `journal` names an earlier journal of this desk (see
        `journals`). A page has at most 1,000 rows. Events of the last 50 ms may be missing.

        Raises:
            DataError: If `limit` is below 1, or a kind is unknown.
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
        """Return this desk's journal and the earlier ones in its folder, newest first."""
        path = self._runtime.journal.path
        return await asyncio.to_thread(journal_infos, path.parent, current=path.name, limit=limit)

    async def search_instruments(self, text: str) -> list[Match]:
        """Return TWS's instruments whose symbol or name resembles the text; TWS is asked at most once a second.

        Raises:
            InstrumentError: If the text is empty or long, or TWS refuses it.
            LinkError: If TWS cannot be asked.
        """
        wanted = text.strip()
        if not 0 < len(wanted) <= _LONGEST_SEARCH:
            raise InstrumentError(f"search for 1 to {_LONGEST_SEARCH} letters of a symbol or name")
        return await self._runtime.service.search(wanted)

    async def instrument(self, symbol: str | Instrument) -> InstrumentInfo:
        """Return an instrument with its terms at TWS; known terms are returned from memory.

        Raises:
            InstrumentError: If the instrument is unknown or ambiguous.
            LinkError: If TWS cannot be asked.
        """
        return instrument_info(await self._runtime.qualified(symbol))

    async def risk(self) -> RiskInfo:
        """Return the limits of the risk gate, how much of them is used, and whether trading is halted."""
        return risk_info(self._runtime.engine, self._runtime.clock.now_ns())

    async def reconciliation(self) -> pl.DataFrame:
        """Return the differences between books and account, oldest first; no rows if they are equal.

        `kind` is ``position``, ``cover``, ``order``, ``executions`` or ``cash``, `subject` an instrument, an order's
        id or a currency. They are compared every `desk.compare_seconds`, after each order error, and while a
        difference is examined.
        """
        return self._runtime.reconciliation.frame()

    async def positions(self) -> pl.DataFrame:
        """Return current and past positions: a row per owner and instrument, marked to the market."""
        return self._runtime.ledger.positions()

    async def orders(self) -> pl.DataFrame:
        """Return every order of this desk, oldest first."""
        return await self._runtime.ledger.orders()

    async def fills(self) -> pl.DataFrame:
        """Return every fill, oldest first; `commission` is null until the venue reports it."""
        return await self._runtime.ledger.fills()

    async def round_trips(self) -> pl.DataFrame:
        """Return every closed round trip with its profit, by owner and instrument."""
        return await self._runtime.ledger.round_trips()

    async def account(self) -> Account:
        """Return the account's last reported figures."""
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
        """Return the positions of every book and the executions booked last, for comparison with the account."""
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
        """Return the latency from market data to the orders that it caused."""
        return LatencySummary.of(self._runtime.performance.span("order_execution"))

    async def performance(self) -> dict[str, Span]:
        """Return the measured spans, by their names in the settings' section ``performance``."""
        return self._runtime.performance.spans()

    async def process(self) -> ProcessInfo:
        """Return the state of the desk's process, including its tasks and connections outside the desk."""
        around = self._process_context
        return ProcessInfo(
            vitals=vitals(),
            tasks=self._runtime.supervisor.tasks() + around.tasks(),
            pools=[health() for health in around.pools],
            lease=None if around.lease is None else around.lease(),
        )

    async def health(self) -> DeskHealth:
        """Return the state of the desk."""
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
        """Return the path of the journal with this name, by default the current one.

        Raises:
            JournalError: If there is no such journal in this desk's folder.
        """
        own = self._runtime.journal.path
        if name in ("", own.name):
            return own
        # Compared by name, so that no path leads out of the folder.
        for path in journals_in(own.parent):
            if path.name == name:
                return path
        raise JournalError(f"there is no earlier journal {name!r}: journals() lists them")
