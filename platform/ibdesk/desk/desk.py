"""A desk in this process: plain calls, answered by an event loop on its own thread."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import logging
import sys
import threading
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, ClassVar, Literal, ParamSpec, TypeVar, overload

from ibdesk.clock import Clock
from ibdesk.desk.attached import AttachedDesk
from ibdesk.desk.embedded import EmbeddedGateway
from ibdesk.desk.handle import DeskHandle, DeskState, Operation
from ibdesk.desk.loop import loop_factory
from ibdesk.desk.open_desks import OpenDesks
from ibdesk.desk.operations import Operations
from ibdesk.desk.process_context import ProcessContext
from ibdesk.desk.runtime import Runtime
from ibdesk.desk.settings import DeskSettings
from ibdesk.errors import DeskError
from ibdesk.gateway import Faults
from ibdesk.store import Feed, Sequencer
from ibdesk.tws import Fence

if TYPE_CHECKING:
    from ibdesk.desk.process import ProcessDesk

_log = logging.getLogger(__name__)

_SWITCH_SECONDS = 0.0001

P = ParamSpec("P")
R = TypeVar("R")


class Desk(DeskHandle):
    """A running desk: one engine and one TWS link on a thread with its own event loop.

    Its methods are plain calls, so a notebook needs no event loop, and a cell that computes for a minute does not stop
    trading. `aio` has the same methods as coroutines. A desk is closed by `close`, at the end of a ``with`` block, or
    when the program ends.
    """

    _open_desks: ClassVar[OpenDesks] = OpenDesks()

    def __init__(self, settings: DeskSettings, *, fence: Fence | None = None, clock: Clock | None = None) -> None:
        """Make a desk that is not open yet; use `Desk.open`."""
        super().__init__()
        self.settings = settings
        self._fence, self._clock = fence, clock
        # Other parts of its process, which `process` reports too.
        self.process_context = ProcessContext()
        self._feed = Feed()
        self.state = DeskState.OPENING
        self._closing = False
        self._gateway: EmbeddedGateway | None = None
        self._cause: BaseException | None = None
        self._operations: Operations | None = None
        self._runtime: Runtime | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._ended: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._run_thread, name="ibdesk-desk", daemon=True)

    @overload
    @classmethod
    def open(
        cls,
        settings: DeskSettings | str | None = None,
        *,
        process: Literal[False] = False,
        fence: Fence | None = None,
        clock: Clock | None = None,
        **changes: Any,
    ) -> Desk: ...

    @overload
    @classmethod
    def open(
        cls, settings: DeskSettings | str | None = None, *, process: Literal[True], **changes: Any
    ) -> ProcessDesk: ...

    @classmethod
    def open(
        cls,
        settings: DeskSettings | str | None = None,
        *,
        process: bool = False,
        fence: Fence | None = None,
        clock: Clock | None = None,
        **changes: Any,
    ) -> Desk | ProcessDesk:
        """Open a desk and return it once it is connected and reconciled.

        `settings` is a mode or complete settings: ``embedded`` starts our own gateway in this process, ``paper`` and
        ``live`` connect to a TWS or IB Gateway. `changes` are settings by name (``port=4002``, ``account="U123"``,
        ``risk={"max_position_shares": 500}``); ``live`` needs an explicit `account`. Other settings come from the
        environment and ``ibdesk.toml``. A cell that is run again receives the desk it opened before. It is an error if
        a desk with another mode, account or setting is open in this process on the same TWS or state folder.

        With `process` the desk runs in a child process, where a cell that holds the interpreter lock cannot delay it;
        there it loads strategies from their files, and it ends with this process. `fence` is checked before the bytes
        of an order leave, by a desk of this process. `clock` replaces the wall clock, for example for a simulated TWS
        with its own.

        Raises:
            ConfigError: If a setting is wrong, the account is not of the kind that the mode trades, or mode live has
                limits without a value of your own.
            LinkError: If TWS cannot be reached.
            ClientIdInUseError: If another program uses the client id.
            DeskError: If another desk is open here; the message lists the differences.
        """
        if settings is None or isinstance(settings, str):
            settings = DeskSettings.make(settings, **changes)
        elif changes:
            names = ", ".join(changes)
            raise DeskError(f"put {names} into the settings: complete settings are not changed")
        settings.check_limits()
        if process:
            from ibdesk.desk.process import ProcessDesk

            return cls._open_desks.get(settings, ProcessDesk, lambda: ProcessDesk.spawn(settings))
        return cls._open_desks.get(settings, Desk, lambda: cls._opened(settings, fence, clock))

    @classmethod
    def _opened(cls, settings: DeskSettings, fence: Fence | None, clock: Clock | None) -> Desk:
        desk = cls(settings, fence=fence, clock=clock)
        desk._thread.start()
        try:
            desk._ready.result()
        except BaseException:
            desk.close()
            raise
        atexit.register(desk.close)
        return desk

    @property
    def is_open(self) -> bool:
        """Whether it answers, so that `open` can return it again."""
        return self.state is DeskState.OPEN

    @staticmethod
    def attach(address: str = "", *, mode: str = "", account: str = "", timeout_seconds: float = 10.0) -> AttachedDesk:
        """Return a handle on a desk that runs in another process, once it answers.

        `address` is the one that `ibdesk engine` prints, such as ``unix:/path/desk.sock`` or ``redis:paper``. The
        default is the address of a desk with the current settings, which must then have their mode and account.
        `mode` and `account`, if given, must match. Closing the handle leaves the desk running.

        Raises:
            ConfigError: If the address is not valid.
            DetachedError: If no desk answers there in time.
            DeskError: If the desk there has another mode or account.
        """
        if not address:
            settings = DeskSettings.load()
            mode = mode or settings.mode
            account = account or ("" if mode == "embedded" else settings.tws.account)
        desk = AttachedDesk.open(address, timeout_seconds=timeout_seconds)
        try:
            desk.check(mode=mode, account=account)
        except BaseException:
            desk.close()
            raise
        return desk

    @property
    def account_id(self) -> str:
        """The traded account."""
        return self._running().service.account_id

    def catch_up(self) -> None:
        """Return once the desk has acted on everything that TWS sent before, and TWS has received its messages.

        Raises:
            LinkError: If there is no connection to TWS, or no answer.
        """
        loop = self._loop
        if loop is not None and self.state is DeskState.OPEN:
            asyncio.run_coroutine_threadsafe(self._running().service.round_trip(), loop).result()

    @property
    def seconds_behind(self) -> float:
        """Seconds since the desk's loop last ran, from any thread: far above 0.1 if something hangs in it.

        Zero while the desk opens or closes.
        """
        runtime = self._runtime
        return 0.0 if runtime is None or self.state is not DeskState.OPEN else runtime.watchdog.seconds_behind

    @property
    def feed(self) -> Feed:
        """The stream of state changes, for readers in this process."""
        return self._feed

    def batches(self) -> Sequencer:
        """Return the feed in numbered batches, numbered for this follower."""
        return Sequencer(self._feed)

    @property
    def address(self) -> str:
        """Host and port of the TWS, or of the embedded gateway."""
        return self._running().address

    @property
    def clock(self) -> Clock:
        """The clock that stamps its events: an embedded gateway's may run faster than the wall clock."""
        return self._running().clock

    @property
    def journal_path(self) -> str:
        """The file of this desk's journal, also after the desk is closed or has failed.

        Raises:
            DeskError: If the desk failed before it began one.
        """
        if self._runtime is None:
            raise DeskError(self._why_not()) from self._cause
        return str(self._runtime.journal.path)

    @property
    def faults(self) -> Faults:
        """The switches for faults of the embedded gateway.

        Raises:
            DeskError: If the desk has no embedded gateway: a real TWS cannot be made to fail.
        """
        if self._gateway is None:
            raise DeskError("only the embedded gateway can be made to fail; this desk is connected to a TWS")
        return self._gateway.faults

    def submit(self, operation: Operation[P, R], *args: P.args, **kwargs: P.kwargs) -> concurrent.futures.Future[R]:
        """Run an operation on the desk's loop and return the future of its answer.

        Raises:
            DeskError: If the desk is not open, or the caller is the desk's own thread, which cannot wait for itself.
        """
        loop, operations = self._loop, self._operations
        if self.state is not DeskState.OPEN or loop is None or operations is None:
            raise DeskError(self._why_not()) from self._cause
        if threading.current_thread() is self._thread:
            raise DeskError("the desk's own thread cannot wait for the desk: strategies use their helpers instead")
        return asyncio.run_coroutine_threadsafe(operation(operations, *args, **kwargs), loop)

    async def until_ended(self) -> None:
        """Wait until the desk is closed.

        Raises:
            DeskError: If it failed.
        """
        await asyncio.shield(asyncio.wrap_future(self._ended))
        if self.state is DeskState.FAILED:
            raise DeskError(self._why_not()) from self._cause

    def close(self) -> None:
        """Close the event flow of runs, the link, the journal and an embedded gateway; a second call does nothing.

        Closing a desk does not trade: open orders and positions stay.
        """
        self._closing = True
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None and not loop.is_closed():
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(stop.set)
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join()
        atexit.unregister(self.close)
        Desk._open_desks.forget(self)

    def __repr__(self) -> str:
        return f"<Desk {self.settings.mode} {self.state.value}>"

    # --- the desk's thread

    def _run_thread(self) -> None:
        # A cell that computes in pure Python releases the interpreter at this interval. At Python's default of 5 ms, an
        # order that needs the interpreter several times on its way would wait for tens of milliseconds.
        sys.setswitchinterval(min(sys.getswitchinterval(), _SWITCH_SECONDS))
        try:
            with asyncio.Runner(loop_factory=loop_factory()) as runner:
                runner.run(self._live())
            self.state = DeskState.CLOSED
            if not self._ready.done():
                self._ready.set_exception(DeskError("the desk was closed while it opened"))
            self._ended.set_result(None)
        except BaseException as error:  # noqa: BLE001 - the thread ends: every caller receives the cause
            self._cause = _only(error)
            self.state = DeskState.FAILED
            if not self._ready.done():
                self._ready.set_exception(self._cause)
            else:
                _log.critical("the desk has failed and stopped trading: %s", self._cause, exc_info=error)
            self._ended.set_result(None)

    async def _live(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        if self._closing:
            return
        with contextlib.ExitStack() as stack:
            tws, clock = self.settings.tws, self._clock
            if self.settings.mode == "embedded":
                self._gateway = stack.enter_context(EmbeddedGateway(self.settings.gateway))
                tws, clock = self._gateway.reached_by(tws), self._gateway.clock
            runtime = self._runtime = Runtime(self.settings, tws, clock, self._feed, fence=self._fence)
            stack.callback(runtime.close)
            stopping = asyncio.create_task(self._stop.wait(), name="stop")
            if not await _done_before(runtime.service.connect(), stopping):
                return
            self._operations = Operations(runtime, self.process_context)
            running = asyncio.create_task(runtime.run(), name="runtime")
            # Its first step starts threads, which the interpreter forbids once the program ends.
            await asyncio.sleep(0)
            self.state = DeskState.OPEN
            self._ready.set_result(None)
            try:
                await asyncio.wait([running, stopping], return_when=asyncio.FIRST_COMPLETED)
            finally:
                self.state = DeskState.CLOSED
                stopping.cancel()
                running.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await running

    def _running(self) -> Runtime:
        if self._runtime is None or self.state is not DeskState.OPEN:
            raise DeskError(self._why_not()) from self._cause
        return self._runtime

    def _why_not(self) -> str:
        if self.state is DeskState.FAILED:
            return f"the desk has failed and stopped trading: {self._cause}"
        return f"the desk is {self.state.value}: open one with Desk.open"


async def _done_before(work: Coroutine[Any, Any, None], stopping: asyncio.Task[Any]) -> bool:
    """Do the work unless `stopping` is done first; return whether it was done. Its exceptions are raised."""
    task = asyncio.create_task(work, name="work")
    await asyncio.wait([task, stopping], return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
        return True
    task.cancel()
    await asyncio.wait([task])
    return False


def _only(error: BaseException) -> BaseException:
    """Return the single cause inside nested task groups' exceptions, or the error itself."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
