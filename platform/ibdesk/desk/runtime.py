"""One engine, one TWS service, one journal and one feed, joined on one event loop."""

from __future__ import annotations

import asyncio
import collections
import logging
from collections.abc import Sequence

import msgspec

from ibdesk.clock import Clock, SystemClock, monotonic_ns, wall_ns
from ibdesk.config import secure_state_folder
from ibdesk.desk.account_watch import AccountWatch
from ibdesk.desk.action_executor import ActionExecutor
from ibdesk.desk.day_notes import DayNotes
from ibdesk.desk.deadline import begin_command
from ibdesk.desk.emas import EmaMonitor
from ibdesk.desk.finding import found
from ibdesk.desk.first_prices import FirstPrices
from ibdesk.desk.ledger import Ledger
from ibdesk.desk.order_log import TOLD, OrderLog
from ibdesk.desk.order_times import OrderTimes
from ibdesk.desk.outage import OutageFence
from ibdesk.desk.publisher import Publisher
from ibdesk.desk.reconciliation import Reconciliation
from ibdesk.desk.recorder import Recorder, as_recorded, header_of
from ibdesk.desk.run_starting import RunStarter
from ibdesk.desk.settings import DeskSettings
from ibdesk.desk.stalls import StallWatch
from ibdesk.desk.stop_file import StopFileWatch
from ibdesk.desk.strategy_loading import StrategyLoading, TrialLoading
from ibdesk.desk.succession import hand_over, inherited
from ibdesk.desk.timers import Timers
from ibdesk.desk.unanswered import Unanswered
from ibdesk.desk.venue_watch import VenueWatch
from ibdesk.desk.warm_up import RecentBars
from ibdesk.desk.watchdog import Watchdog
from ibdesk.engine import LOSS_TIMER, Engine, halt_words
from ibdesk.model import (
    Action,
    AnyInstrument,
    Bar,
    Event,
    HaltTrading,
    Instrument,
    Link,
    Notice,
    OrderReport,
    Severity,
    StateChanged,
    TimerFired,
)
from ibdesk.store import (
    AccountHalts,
    AccountLock,
    Feed,
    Journal,
    JournalLogKeeper,
    JournalTidier,
    OrderIdMark,
    path_of_new_journal,
    restore_from,
    set_aside_unborn,
)
from ibdesk.strategy import StrategyRegistry
from ibdesk.telemetry import NEVER_RESTART, Performance, Supervisor, measure_lag
from ibdesk.tws import Fence, TwsService, TwsSettings

_log = logging.getLogger(__name__)

# How often losses are summed again, in addition to each price.
_LOOK_NS = 1_000_000_000
# How often positions and profit are marked.
_MARK_SECONDS = 0.25


class Runtime:
    """Everything of a desk that runs on its loop. The trading path is `turn`; it contains no queue and no await."""

    def __init__(
        self,
        settings: DeskSettings,
        tws: TwsSettings,
        clock: Clock | None,
        feed: Feed,
        *,
        fence: Fence | None = None,
        loading: StrategyLoading | None = None,
    ) -> None:
        clock = clock or SystemClock()
        self.loading = loading or TrialLoading(settings.strategy_trial)
        self.settings, self.clock, self.feed, self.address = settings, clock, feed, tws.address
        self.started_ns = clock.now_ns()
        self.strategies = StrategyRegistry()
        self.engine = Engine(strategies=self.strategies.find, limits=settings.risk, client_id=tws.client_id)
        self.unanswered = Unanswered(self.engine.blotter)
        self.ledger = Ledger(self.engine, self.unanswered)
        self.performance = Performance(settings.performance)
        self._order_times = OrderTimes(self.performance)
        self._header = header_of(settings, tws.client_id, self.started_ns)
        secure_state_folder(settings.state_folder)
        folder = settings.state_folder / "journals"
        self._set_aside = set_aside_unborn(folder, settings.mode)
        self.journal = Journal.create(path_of_new_journal(folder, settings.mode, wall_ns()), self._header)
        mark = OrderIdMark.of(settings.state_folder, host=tws.host, port=tws.port, client_id=tws.client_id)
        self.recorder = Recorder(
            self.journal, mark, self.performance, on_failure=self._record_failed, on_recovery=self._record_recovered
        )
        self._last_words_due = False
        self.venue = VenueWatch(settings.calendar(), clock, self.turn)
        self._fence = OutageFence(fence)
        self._lock: AccountLock | None = None
        self.account_watch = AccountWatch(
            self.engine.gate.halts,
            self.turn,
            clock.now_ns,
            client_id=tws.client_id,
            compare=lambda: self.service.catch_up("a halt by the guardian was lifted"),
        )
        stop_file = settings.state_folder.absolute() / "STOP"
        self._stop_file = StopFileWatch(stop_file, self.engine.gate.halts, self.turn, clock.now_ns)
        self.service = TwsService(
            tws,
            clock=clock,
            on_event=self.turn,
            first_order_id=mark.reserved,
            on_account=self._restore,
            fence=self._fence,
            compare_seconds=settings.desk.compare_seconds,
            is_away=self.venue.is_away,
            before_waiting=self._look_before_waiting,
        )
        self.reconciliation = Reconciliation(self)
        self.publisher = Publisher(self.engine, self.ledger, feed, address=tws.address, mode=settings.mode)
        self.watchdog = Watchdog(
            self.engine, settings.engine, clock=clock, recorder=self.recorder, publisher=self.publisher, turn=self.turn
        )
        self.order_log = OrderLog(self.engine)
        self.first_prices = FirstPrices(self.engine.price_of)
        # Instruments traded by hand or held by runs in earlier journals, whose quotes are not subscribed yet.
        self._inherited: list[AnyInstrument] = []
        self._earlier = ""
        self._waiting: collections.deque[Event] = collections.deque()
        self._turning = False
        self.recent_bars, self.run_starter = RecentBars(), RunStarter(self)
        self._day_notes = DayNotes(self.engine, clock, self.turn)
        self._looked_ns = 0
        self.timers = Timers(clock, self.turn)
        self._executor = ActionExecutor(self)
        self._stalls = StallWatch(
            clock, settings.stall_seconds, link=lambda: self.service.link, on_stall=self.service.catch_up
        )
        self.supervisor = Supervisor()
        for name, work in (
            ("tws", self.service.run),
            ("journal", lambda: self.recorder.keep(lambda: self.service.next_order_id)),
            ("marks", self._mark_regularly),
            ("loop lag", lambda: measure_lag(self.performance, self.watchdog.beat)),
            ("watchdog", self.watchdog.until_broken),
        ):
            self.supervisor.add(name, work, essential=True, policy=NEVER_RESTART)
        self.supervisor.add("sessions", lambda: self.venue.keep_hours(self.service, self.engine.markets))

    def close(self) -> None:
        """Write the buffer, and release the account."""
        try:
            self.journal.close()
        finally:
            self.account_watch.close()
            if self._lock is not None:
                self._lock.release()

    async def run(self) -> None:
        """Run link, journal, marks and timers until cancelled; an error in any of them ends all."""
        tidier = JournalTidier(
            self.journal.path, self.settings.mode, self.service.account_id, self._earlier, self.settings.journal
        )
        with EmaMonitor(self.feed, self.settings.ema_spans), JournalLogKeeper(self.journal.path), tidier, self.watchdog:
            await self.run_on_loop()

    async def run_on_loop(self) -> None:
        """Do what `run` does without its threads: moving averages, upkeep of journal files, watchdog."""
        for instrument in self._inherited:
            if self.service.knows(instrument.id):
                self.service.subscribe_quotes(instrument)
                self.venue.take_hours(self.service.trading_hours(instrument.id))
        try:
            async with asyncio.TaskGroup() as tasks:
                self.timers.run_in(tasks)
                tasks.create_task(self.supervisor.run(), name="background work")
        except asyncio.CancelledError:
            self._day_notes.close()
            raise

    # --- recovery

    def _restore(self, account: str) -> None:
        """Continue from the account's earlier journals, before the books are compared with TWS.

        No order may leave before that. An embedded gateway's account ends with the gateway, unless the gateway keeps
        its state in a file: without a file only halts are restored.

        Raises:
            AccountInUseError: If another process trades the account from this state folder.
            JournalError: If an earlier journal cannot be read, the disk is full, or the folder of the account's halts
                cannot be used.
        """
        settings = self.settings
        ends_with_gateway = settings.mode == "embedded" and settings.gateway.state is None
        if not ends_with_gateway:
            self._lock = AccountLock.take(settings.state_folder, settings.mode, account, leads=self._fence.leads)
            self._fence.guard(self._lock)
        self.recorder.keep_reserve(settings.state_folder / "locks" / f"{settings.mode}-{account}.reserve")
        command = restore_from(
            self.journal.path,
            self._header,
            account=account,
            at_ns=self.clock.now_ns(),
            halt_only=ends_with_gateway,
            on_gap=self._set_aside.append,
        )
        if not ends_with_gateway:
            halts = AccountHalts(settings.mode, account)
            snapshot = self.account_watch.open(halts, command.snapshot, command.at_ns)
            command = msgspec.structs.replace(command, snapshot=snapshot)
        snapshot = command.snapshot
        self._inherited, self._earlier = inherited(snapshot), command.earlier
        hand_over(self.service, command)
        self.ledger.restore(snapshot.fills)
        self.turn(command)
        self.venue.look(Link.UP)
        for text in self._set_aside:
            self.turn(Notice(text, self.clock.now_ns(), Severity.WARNING))
        self.journal.commit()
        for halt in snapshot.halts:
            _log.warning("%s", halt_words(halt))

    # --- the trading path

    def turn(self, event: Event) -> None:
        """Pass one event through engine, journal and venue; immediate answers of the venue wait for their turn."""
        self._waiting.append(event)
        if self._turning:
            return
        self._turning = True
        try:
            self._drain()
        finally:
            self._turning = False

    def command(self, command: Event, *, is_as_recorded: bool = False) -> Sequence[Action]:
        """Pass one command through engine, journal and venue, and return the actions that it caused.

        `is_as_recorded` means that the caller has already applied `as_recorded`.

        Raises:
            IbdeskError: If it cannot be carried out; then nothing has changed and it is not journaled.
        """
        if not is_as_recorded:
            command = as_recorded(command)
        begin_command()
        self._turning = True
        try:
            try:
                return self._turn(command)
            finally:
                # Events that came meanwhile are handled even if the command is refused.
                self._drain()
        finally:
            self._turning = False

    def _drain(self) -> None:
        while self._waiting or self.account_watch.is_behind:
            if not self._waiting:
                self.account_watch.match()
                continue
            self._turn(self._waiting.popleft())
        if self._last_words_due:
            self._last_words_due = False
            self.recorder.last_words()

    def _turn(self, event: Event) -> Sequence[Action]:
        for first in self._stalls.before(event):
            self._turn(first)
        read_at_ns = self.service.read_at_ns
        began_ns = read_at_ns or monotonic_ns()
        latency_ns = 0
        actions = self.watchdog.handle(event)
        self.recorder.record(event, actions)
        # States of strategies come after all other actions; alone they may wait for the next commit.
        if actions and actions[0].__class__ is not StateChanged:
            is_recorded = self.recorder.write(self.service.next_order_id)
            placed = self._executor.carry_out(
                actions, is_recorded=is_recorded, seconds_in_turn=self._stalls.seconds_in_turn()
            )
            if placed:
                latency_ns = self._order_times.sent(placed, began_ns, is_of_market=read_at_ns > 0)
            self.recorder.measure()
        if event.__class__ is HaltTrading:
            self._last_words_due = True
        if event.__class__ is OrderReport:
            self._order_times.answered(event)
        if event.__class__ is Bar:
            self.recent_bars.note(event)
        if actions or len(self.unanswered):
            self.unanswered.note(event, actions, event.at_ns)
        self.publisher.publish(event, actions)
        if actions or event.__class__ in TOLD:
            self.order_log.note(event, actions, latency_ns)
        if self.first_prices.waiting:
            self.first_prices.wake()
        return actions

    def _look_before_waiting(self) -> None:
        """Apply a stall and halts of other processes, before orders leave that waited for the budget of messages."""
        for event in self._stalls.before():
            self.turn(event)
        self.account_watch.take_news()

    def _record_failed(self, failure: str) -> None:
        _log.critical("trading is halted: %s", failure)
        self.turn(HaltTrading(failure, self.clock.now_ns(), "journal"))

    def _record_recovered(self, text: str) -> None:
        _log.warning("%s", text)
        self.turn(Notice(text, self.clock.now_ns(), Severity.WARNING))

    # --- commands

    async def qualified(self, name: str | Instrument) -> AnyInstrument:
        """Return an instrument with its terms at TWS, from memory if they are known.

        Raises:
            InstrumentError: If the instrument is unknown or ambiguous.
            LinkError: If TWS cannot be asked.
        """
        return await self.qualify(name, from_memory=True)

    async def qualify(self, name: str | Instrument, *, from_memory: bool = False) -> AnyInstrument:
        """Return an instrument with its current terms at TWS; raises as `qualified`."""
        is_embedded, at_ns = self.settings.mode == "embedded", self.clock.now_ns()
        instrument = await found(self.service, name, at_ns, is_embedded=is_embedded, from_memory=from_memory)
        self.venue.take_hours(self.service.trading_hours(instrument.id))
        return instrument

    async def _mark_regularly(self) -> None:
        while True:
            await asyncio.sleep(_MARK_SECONDS)
            self._fence.look()
            self.account_watch.look()
            self._stop_file.look()
            for event in self._stalls.before():
                self.turn(event)
            self.venue.look(self.service.link)
            self._day_notes.look()
            self._look_at_losses()
            for late in self.unanswered.overdue(self.clock.now_ns(), self.settings.answer_alert_seconds):
                self.turn(late)
            self.reconciliation.look(self.clock.now_ns())
            self.publisher.mark()

    def _look_at_losses(self) -> None:
        """Let the engine sum its losses again once a second: prices may have stopped."""
        if self.clock.now_ns() >= self._looked_ns + _LOOK_NS and self.engine.losses.is_watching:
            self._looked_ns = self.clock.now_ns()
            self.turn(TimerFired(LOSS_TIMER, self._looked_ns))
