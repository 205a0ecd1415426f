"""An event loop on virtual time that runs several simulated processes, one turn of one process after the other."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import contextvars
import heapq
import itertools
import random
from asyncio import events
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple, Unpack

from ibdesk.clock import SECOND

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

# The shortest and the longest turn of a process, in ns of virtual time.
_TURN_NS = (20_000, 400_000)
# The monotonic clock of the simulated machine at the start: no clock begins at zero.
_SINCE_BOOT_NS = 1_000 * SECOND


class Process:
    """One simulated process: its pending work, and the context that marks its callbacks.

    Its callbacks run in the order that asyncio promises; chance decides which process has the next turn.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_alive = True
        # skew_ns: how far its wall clock is ahead of the machine's.
        self.skew_ns = 0
        # free_ns: the earliest time of its next turn.
        self.free_ns = 0
        # on_turn: called at the end of each of its turns, before its output leaves.
        self.on_turn: Callable[[], None] | None = None
        self.ready: collections.deque[asyncio.Handle] = collections.deque()
        self.timers: list[tuple[int, int, asyncio.TimerHandle]] = []
        self.context = contextvars.copy_context()
        self.context.run(PROCESS.set, self)

    def due_ns(self) -> int | None:
        """Return the earliest time of its next turn, None if it has nothing to do."""
        while self.timers and self.timers[0][2].cancelled():
            heapq.heappop(self.timers)
        if not self.is_alive:
            return None
        if self.ready:
            return self.free_ns
        return max(self.free_ns, self.timers[0][0]) if self.timers else None

    def end(self) -> None:
        """Stop it for good."""
        self.is_alive = False
        self.ready.clear()
        self.timers.clear()


PROCESS: contextvars.ContextVar[Process] = contextvars.ContextVar("process")
"""The process that the running code belongs to."""


class _Task(asyncio.Task[T]):
    """A task whose place in a set does not depend on its address."""

    def __init__(self, coro: Any, *, loop: VirtualLoop, **options: Any) -> None:
        self._number = loop.next_number()
        super().__init__(coro, loop=loop, **options)

    def __hash__(self) -> int:
        return self._number


class VirtualLoop(asyncio.AbstractEventLoop):
    """An event loop for the callbacks, tasks and timers of all processes, in an order decided by a seed."""

    def __init__(self, chance: random.Random, *, start_ns: int) -> None:
        """Create a loop whose wall clock begins at `start_ns`, ns UTC."""
        self.now_ns = start_ns
        self.turns = 0
        # errors: uncaught exceptions of callbacks, by process.
        self.errors: list[tuple[str, str]] = []
        self.processes: list[Process] = []
        # after_turn: called after each turn of a process.
        self.after_turn: Callable[[Process], None] = lambda _process: None
        self._chance, self._start_ns = chance, start_ns
        self._numbers = itertools.count()
        self._tasks: list[asyncio.Task[Any]] = []
        self._is_closed = False
        self.network: Any = None
        self.world = self.process("world")

    def next_number(self) -> int:
        """Return a number that is unique in this loop."""
        return next(self._numbers)

    # ---- processes --------------------------------------------------------------------------------------------

    def process(self, name: str) -> Process:
        """Start a process."""
        process = Process(name)
        process.free_ns = self.now_ns
        self.processes.append(process)
        return process

    def end(self, process: Process) -> None:
        """End a process at once, as `kill -9` does: none of its code runs any more, not even a `finally`."""
        process.end()
        self.processes.remove(process)

    def run_in(self, process: Process, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Start a task of a process."""
        return self.create_task(work, name=name, context=process.context.copy())

    # ---- time -------------------------------------------------------------------------------------------------

    def wall_ns(self) -> int:
        """Return the wall clock of the current process, ns UTC."""
        process = PROCESS.get(None)
        return self.now_ns + (process.skew_ns if process is not None else 0)

    def monotonic_ns(self) -> int:
        """Return the monotonic clock of the machine, ns."""
        return self.now_ns - self._start_ns + _SINCE_BOOT_NS

    def boot_ns(self) -> int:
        """Return the monotonic clock: the simulated machine does not sleep, its processes are stopped."""
        return self.monotonic_ns()

    def time(self) -> float:
        """Return the monotonic clock of the machine, seconds."""
        return self.monotonic_ns() / SECOND

    # ---- running ----------------------------------------------------------------------------------------------

    def run_while(self, goes_on: Callable[[], bool]) -> None:
        """Run until `goes_on` returns false, or no process has anything to do."""
        before = events._get_running_loop()
        events._set_running_loop(self)
        try:
            while goes_on() and self._step():
                pass
        finally:
            events._set_running_loop(before)

    def _step(self) -> bool:
        """Give the next process that is due a turn; return whether there was one."""
        due = [(at, process) for process in self.processes if (at := process.due_ns()) is not None]
        if not due:
            return False
        at_ns = max(min(at for at, _ in due), self.now_ns)
        first = [process for at, process in due if at <= at_ns]
        process = first[0] if len(first) == 1 else self._chance.choice(first)
        self.now_ns = at_ns
        self._turn(process)
        return True

    def _turn(self, process: Process) -> None:
        """Run the due callbacks of a process, as one iteration of its event loop does."""
        self.turns += 1
        while process.timers and process.timers[0][0] <= self.now_ns:
            handle = heapq.heappop(process.timers)[2]
            if not handle.cancelled():
                process.ready.append(handle)
        for _ in range(len(process.ready)):
            # A callback may end its process.
            if not process.is_alive:
                break
            due = process.ready.popleft()
            if not due.cancelled():
                due._run()
        process.free_ns = max(process.free_ns, self.now_ns + self._chance.randint(*_TURN_NS))
        if process.on_turn is not None:
            process.on_turn()
        self.after_turn(process)

    # ---- the interface of asyncio's event loops ----------------------------------------------------------------

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """Call in the next turn of the context's process."""
        context = contextvars.copy_context() if context is None else context
        handle = asyncio.Handle(callback, args, self, context)
        process = context.get(PROCESS, self.world)
        if process.is_alive and not self._is_closed:
            process.ready.append(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """Do the same as `call_soon`: there is one thread."""
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call after `delay` seconds."""
        return self._call_at_ns(self.now_ns + round(max(0.0, delay) * SECOND), callback, args, context)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call at a time on the clock of `time`."""
        at_ns = round(when * SECOND) - _SINCE_BOOT_NS + self._start_ns
        return self._call_at_ns(at_ns, callback, args, context)

    def _call_at_ns(
        self, at_ns: int, callback: Callable[..., object], args: Any, context: contextvars.Context | None
    ) -> asyncio.TimerHandle:
        context = contextvars.copy_context() if context is None else context
        when = (at_ns - self._start_ns + _SINCE_BOOT_NS) / SECOND
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        process = context.get(PROCESS, self.world)
        if process.is_alive and not self._is_closed:
            heapq.heappush(process.timers, (at_ns, next(self._numbers), handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Do nothing: a cancelled timer is skipped when its time comes."""

    def create_future(self) -> asyncio.Future[Any]:
        """Return a future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Any,
        *,
        name: object = None,
        context: contextvars.Context | None = None,
        **_options: Any,
    ) -> asyncio.Task[Any]:
        """Return a task of the context's process."""
        task: asyncio.Task[Any] = _Task(coro, loop=self, name=name, context=context)
        self._tasks.append(task)
        if len(self._tasks) > 2_000:
            self._tasks = [each for each in self._tasks if not each.done()]
        return task

    async def create_server(self, protocol_factory: Any, host: Any = None, port: Any = None, **_options: Any) -> Any:
        """Listen on the simulated network."""
        return await self.network.create_server(protocol_factory, host, port)

    async def create_connection(
        self, protocol_factory: Any, host: Any = None, port: Any = None, **_options: Any
    ) -> tuple[Any, Any]:
        """Connect over the simulated network."""
        connected: tuple[Any, Any] = await self.network.create_connection(protocol_factory, host, port)
        return connected

    async def create_unix_server(self, protocol_factory: Any, path: Any = None, **_options: Any) -> Any:
        """Listen at a path, and create its file as a socket does."""
        server = await self.network.create_server(protocol_factory, str(path), 1)
        self._touch(Path(path))
        return server

    @staticmethod
    def _touch(path: Path) -> None:
        path.touch()

    async def create_unix_connection(self, protocol_factory: Any, path: Any = None, **_options: Any) -> tuple[Any, Any]:
        """Connect to a process that listens at a path."""
        connected: tuple[Any, Any] = await self.network.create_connection(protocol_factory, str(path), 1)
        return connected

    def run_in_executor(self, _executor: Any, func: Callable[[Unpack[Ts]], T], *args: *Ts) -> asyncio.Future[T]:
        """Call a function at once: there are no threads."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - the future carries any error
            future.set_exception(error)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Store an uncaught exception; the checker reports it."""
        error = context.get("exception")
        words = f"{type(error).__name__}: {error}" if error is not None else ""
        self.errors.append((PROCESS.get(self.world).name, f"{context.get('message')}: {words}"))

    def get_debug(self) -> bool:
        """Return False."""
        return False

    def is_running(self) -> bool:
        """Return whether the loop runs, that is until it is closed."""
        return not self._is_closed

    def is_closed(self) -> bool:
        """Return whether the loop was closed."""
        return self._is_closed

    def close(self) -> None:
        """End all work, including that of ended processes: their coroutines are unwound without effect."""
        self._is_closed = True
        for process in self.processes:
            process.end()
        tasks, self._tasks = self._tasks, []
        with _quietly():
            for task in tasks:
                if not task.done():
                    task._log_destroy_pending = False  # type: ignore[attr-defined] # an internal switch of asyncio
                    coroutine = task.get_coro()
                    if coroutine is not None:
                        with contextlib.suppress(BaseException):
                            coroutine.close()
        self.errors.clear()


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Unset the running loop, so that work which a `finally` begins is never done."""
    before = events._get_running_loop()
    events._set_running_loop(None)
    try:
        yield
    finally:
        events._set_running_loop(before)
