"""The handle on a desk in any process: the desk's operations as plain calls and as coroutines."""

from __future__ import annotations

import abc
import asyncio
import concurrent.futures
import enum
import functools
import html
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, Concatenate, ParamSpec, Self, TypeVar

from ibdesk.desk.answers import RunList
from ibdesk.desk.commands import Commands
from ibdesk.desk.operations import Operations
from ibdesk.desk.settings import DeskSettings
from ibdesk.desk.stopping import stop_everything
from ibdesk.display import facts_html, fields_of
from ibdesk.errors import DeskError
from ibdesk.guardian.request import StopOutcome, StopRequest
from ibdesk.guardian.stop import Level
from ibdesk.model import OPERATOR
from ibdesk.store import BatchSource, Feed
from ibdesk.store.redis import RedisHealth
from ibdesk.telemetry import track_performance

P = ParamSpec("P")
R = TypeVar("R")
# How long a notebook cell waits for a desk that it displays.
_REPR_SECONDS = 1.0
Operation = Callable[Concatenate[Operations, P], Coroutine[Any, Any, R]]

OPERATIONS: dict[str, Callable[..., Coroutine[Any, Any, Any]]] = {
    name: member
    for name, member in inspect.getmembers(Operations, inspect.iscoroutinefunction)
    if not name.startswith("_")
}
"""All operations of a desk, by name."""

COMMANDS = frozenset(name for name in OPERATIONS if hasattr(Commands, name))
"""The operations that change something; the others are queries."""


class DeskState(enum.Enum):
    """The state of a desk."""

    OPENING = "opening"
    """It connects and reconciles."""
    OPEN = "open"
    """It answers."""
    DETACHED = "detached"
    """It is in another process that cannot be reached now; the handle keeps trying."""
    FAILED = "failed"
    """It failed and stopped trading; every later error contains the cause."""
    CLOSED = "closed"
    """It was closed."""


def _blocking(operation: Operation[P, R]) -> Callable[Concatenate[DeskHandle, P], R]:
    """Return a method that runs the operation on the desk's loop and waits for it."""

    @functools.wraps(operation)
    def call(desk: DeskHandle, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return desk.submit(operation, *args, **kwargs).result()

    return call


def _awaitable(operation: Operation[P, R]) -> Callable[Concatenate[AioDesk, P], Coroutine[Any, Any, R]]:
    """Return the method's coroutine, which can be awaited on any loop."""

    @functools.wraps(operation)
    async def call(aio: AioDesk, /, *args: P.args, **kwargs: P.kwargs) -> R:
        # Measured on the caller's loop: the server's, a notebook's.
        with track_performance("desk_call", operation=operation.__name__):
            return await asyncio.wrap_future(aio.desk.submit(operation, *args, **kwargs))

    return call


@functools.wraps(Operations.runs)
def _runs(desk: DeskHandle) -> RunList:
    return RunList(desk.submit(Operations.runs).result())


@functools.wraps(Operations.runs)
async def _awaited_runs(aio: AioDesk) -> RunList:
    return RunList(await asyncio.wrap_future(aio.desk.submit(Operations.runs)))


class AioDesk:
    """The awaitable side of a handle: the same names as coroutines for any loop."""

    def __init__(self, desk: DeskHandle) -> None:
        self.desk = desk

    @classmethod
    async def open(cls, settings: DeskSettings | str | None = None, **changes: Any) -> AioDesk:
        """Open a desk without blocking the caller's loop, and return its awaitable side; see `Desk.open`."""
        from ibdesk.desk.desk import Desk

        return (await asyncio.to_thread(Desk.open, settings, **changes)).aio

    history = _awaitable(Operations.history)
    start = _awaitable(Operations.start)
    stop = _awaitable(Operations.stop)
    runs: ClassVar[Callable[[AioDesk], Coroutine[Any, Any, RunList]]] = _awaited_runs
    run_state = _awaitable(Operations.run_state)
    run_log = _awaitable(Operations.run_log)
    change_parameters = _awaitable(Operations.change_parameters)
    search_instruments = _awaitable(Operations.search_instruments)
    instrument = _awaitable(Operations.instrument)
    risk = _awaitable(Operations.risk)
    change_limits = _awaitable(Operations.change_limits)
    journal = _awaitable(Operations.journal)
    journals = _awaitable(Operations.journals)
    positions = _awaitable(Operations.positions)
    reconciliation = _awaitable(Operations.reconciliation)
    orders = _awaitable(Operations.orders)
    fills = _awaitable(Operations.fills)
    round_trips = _awaitable(Operations.round_trips)
    account = _awaitable(Operations.account)
    quotes = _awaitable(Operations.quotes)
    bars = _awaitable(Operations.bars)
    books = _awaitable(Operations.books)
    latency = _awaitable(Operations.latency)
    performance = _awaitable(Operations.performance)
    process = _awaitable(Operations.process)
    health = _awaitable(Operations.health)
    watch = _awaitable(Operations.watch)
    place = _awaitable(Operations.place)
    modify = _awaitable(Operations.modify)
    cancel = _awaitable(Operations.cancel)
    cancel_all = _awaitable(Operations.cancel_all)
    flatten = _awaitable(Operations.flatten)
    accept_external = _awaitable(Operations.accept_external)
    halt = _awaitable(Operations.halt)
    resume = _awaitable(Operations.resume)

    async def close(self) -> None:
        """Close the handle; see its `close`."""
        await asyncio.get_running_loop().run_in_executor(None, self.desk.close)


class DeskHandle(abc.ABC):
    """A handle on a desk; `aio` has the same operations as coroutines."""

    state: DeskState
    settings: DeskSettings

    def __init__(self) -> None:
        self.aio = AioDesk(self)

    history = _blocking(Operations.history)
    start = _blocking(Operations.start)
    stop = _blocking(Operations.stop)
    runs: ClassVar[Callable[[DeskHandle], RunList]] = _runs
    run_state = _blocking(Operations.run_state)
    run_log = _blocking(Operations.run_log)
    change_parameters = _blocking(Operations.change_parameters)
    search_instruments = _blocking(Operations.search_instruments)
    instrument = _blocking(Operations.instrument)
    risk = _blocking(Operations.risk)
    change_limits = _blocking(Operations.change_limits)
    journal = _blocking(Operations.journal)
    journals = _blocking(Operations.journals)
    positions = _blocking(Operations.positions)
    reconciliation = _blocking(Operations.reconciliation)
    orders = _blocking(Operations.orders)
    fills = _blocking(Operations.fills)
    round_trips = _blocking(Operations.round_trips)
    account = _blocking(Operations.account)
    quotes = _blocking(Operations.quotes)
    bars = _blocking(Operations.bars)
    books = _blocking(Operations.books)
    latency = _blocking(Operations.latency)
    performance = _blocking(Operations.performance)
    process = _blocking(Operations.process)
    health = _blocking(Operations.health)
    watch = _blocking(Operations.watch)
    place = _blocking(Operations.place)
    modify = _blocking(Operations.modify)
    cancel = _blocking(Operations.cancel)
    cancel_all = _blocking(Operations.cancel_all)
    flatten = _blocking(Operations.flatten)
    accept_external = _blocking(Operations.accept_external)
    halt = _blocking(Operations.halt)
    resume = _blocking(Operations.resume)

    def stop_account(
        self, level: Level | str = Level.HALT, *, reason: str, kill: bool = False, account: str = "", by: str = ""
    ) -> StopOutcome:
        """Stop the whole account like `ibdesk stop`, whether or not the desk answers: see docs/stop.md.

        `level` is ``halt`` (orders that open a position are refused and cancelled), ``cancel`` (every order is
        cancelled) or ``flatten`` (then every position is closed); with `kill` the engine's process is ended too. Live
        mode needs `account`.

        Raises:
            ConfigError: If the account is missing where it is needed, or is another one.
            DeskError: If the guardian refuses.
        """
        request = StopRequest(level=Level(level), kill=kill, reason=reason, by=by or OPERATOR, account=account)
        # On its own thread: a notebook's thread already runs a loop.
        with concurrent.futures.ThreadPoolExecutor(1, "stop") as threads:
            return threads.submit(asyncio.run, stop_everything(self, self.settings, request)).result()

    @property
    @abc.abstractmethod
    def feed(self) -> Feed:
        """The desk's feed in this process."""

    @property
    def pools(self) -> list[RedisHealth]:
        """The states of the handle's own connection pools in this process, if it reaches its desk over Redis."""
        return []

    @abc.abstractmethod
    def batches(self) -> BatchSource:
        """Return the desk's feed in numbered batches, for one follower."""

    @abc.abstractmethod
    def submit(self, operation: Operation[P, R], *args: P.args, **kwargs: P.kwargs) -> concurrent.futures.Future[R]:
        """Run an operation on the desk's loop and return the future of its answer.

        Raises:
            DeskError: If the desk cannot be reached now.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Close the handle; a second call does nothing."""

    def _repr_html_(self) -> str:
        if self.state is not DeskState.OPEN:
            return f"<div><b>Desk</b>: {self.state.value}</div>"
        try:
            health = self.submit(Operations.health).result(_REPR_SECONDS)
        except (DeskError, TimeoutError, concurrent.futures.TimeoutError) as error:
            return f"<div><b>Desk</b>: {self.state.value}, does not answer: {html.escape(str(error))}</div>"
        return facts_html("Desk", {"state": self.state, **fields_of(health)})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
