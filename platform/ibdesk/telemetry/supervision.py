"""Keeps the background work of a process going, and shows how each piece of it is."""

from __future__ import annotations

import asyncio
import enum
import logging
import random
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from ibdesk.clock import SECOND, monotonic_ns

_log = logging.getLogger(__name__)

Work = Callable[[], Coroutine[Any, Any, None]]

# _SPREAD: pauses differ by so much, so that tasks that failed together do not all come back together.
_SPREAD = 0.25


class TaskState(enum.Enum):
    """How one piece of background work is doing."""

    RUNNING = "running"
    """It works."""
    WAITING = "waiting"
    """It has failed and is started again after a pause."""
    DONE = "done"
    """It has come to its own end."""
    FAILED = "failed"
    """It has failed as often as it may, and is not started again."""
    CANCELLED = "cancelled"
    """It was stopped with the process."""


class TaskInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of work as people see it; `seconds` is how long it is in its state, `last_error` empty before one."""

    name: str
    state: str
    essential: bool
    restarts: int
    last_error: str
    seconds: float


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What is done when work fails.

    It is started again after a pause that doubles from `first_seconds` to `last_seconds`, `restarts` times at most
    (None: however often); work that went well for `steady_seconds` has its failures forgiven.
    """

    first_seconds: float = 0.5
    last_seconds: float = 30.0
    steady_seconds: float = 60.0
    restarts: int | None = None

    def pause(self, failures: int) -> float:
        """Return how long to wait after so many failures in a row, in seconds."""
        full = min(self.last_seconds, self.first_seconds * 2.0 ** min(failures - 1, 30))
        return full * random.uniform(1 - _SPREAD, 1 + _SPREAD)  # noqa: S311 - no secret hangs on it


NEVER_RESTART = Policy(restarts=0)
"""The policy of work that keeps state: once it fails, it is not started again."""


class _Task:
    def __init__(self, name: str, work: Work, policy: Policy, *, essential: bool) -> None:
        self.name, self.work, self.policy, self.essential = name, work, policy, essential
        self.state = TaskState.WAITING
        self.restarts = 0
        self.last_error = ""
        self.since_ns = monotonic_ns()

    def become(self, state: TaskState) -> None:
        self.state, self.since_ns = state, monotonic_ns()

    def info(self) -> TaskInfo:
        return TaskInfo(
            name=self.name,
            state=self.state.value,
            essential=self.essential,
            restarts=self.restarts,
            last_error=self.last_error,
            seconds=(monotonic_ns() - self.since_ns) / SECOND,
        )


class Supervisor:
    """Runs named background work; `run` is its whole life, and cancelling that is the only stop.

    Work that fails is started again by its policy. When essential work fails for good, `run` raises what it failed
    of, and so ends the process; other work stays failed, which `tasks` shows.
    """

    def __init__(self) -> None:
        self._tasks: dict[str, _Task] = {}
        self._group: asyncio.TaskGroup | None = None
        self._ended = asyncio.Event()
        self._failure: BaseException | None = None

    def add(self, name: str, work: Work, *, essential: bool = False, policy: Policy | None = None) -> None:
        """Have `work` done from now on, or from when `run` begins. It is a function that makes the coroutine anew.

        Raises:
            ValueError: If there is work of this name already.
        """
        if name in self._tasks:
            raise ValueError(f"there is a background task {name!r} already")
        task = self._tasks[name] = _Task(name, work, policy or Policy(), essential=essential)
        if self._group is not None:
            self._group.create_task(self._keep(task), name=name)

    def tasks(self) -> list[TaskInfo]:
        """Return how each piece of work is, in the order in which they were added."""
        return [task.info() for task in self._tasks.values()]

    async def run(self) -> None:
        """Keep everything going until cancelled.

        Raises:
            Exception: What essential work has failed of.
        """
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for task in self._tasks.values():
                    group.create_task(self._keep(task), name=task.name)
                # The group lives as long as the process, also while no work is in it.
                await asyncio.get_running_loop().create_future()
        except BaseExceptionGroup as failures:
            self._failure = failures.exceptions[0]
            raise self._failure from None
        finally:
            self._group = None
            self._ended.set()

    async def until_ended(self) -> None:
        """Wait until `run` has ended, for who does not run it.

        Raises:
            Exception: What essential work has failed of.
        """
        await self._ended.wait()
        if self._failure is not None:
            raise self._failure

    async def _keep(self, task: _Task) -> None:
        failures = 0
        while True:
            task.become(TaskState.RUNNING)
            try:
                await task.work()
            except asyncio.CancelledError:
                task.become(TaskState.CANCELLED)
                raise
            except Exception as error:
                failures = self._failed(task, error, failures)
                if task.state is TaskState.FAILED:
                    if task.essential:
                        raise
                    return
            else:
                task.become(TaskState.DONE)
                return
            await self._pause(task, failures)
            task.restarts += 1

    def _failed(self, task: _Task, error: Exception, failures: int) -> int:
        """Note a failure; return how many there are in a row now."""
        failures = 1 if monotonic_ns() - task.since_ns >= task.policy.steady_seconds * SECOND else failures + 1
        task.last_error = f"{type(error).__name__}: {error}"
        most = task.policy.restarts
        is_over = most is not None and failures > most
        task.become(TaskState.FAILED if is_over else TaskState.WAITING)
        if is_over and task.essential:
            # `run` raises it: whoever runs it has the last word.
            return failures
        what_now = "it is not started again" if is_over else "it is started again"
        _log.error("background task %s failed, %s", task.name, what_now, exc_info=error, extra={"task": task.name})
        return failures

    async def _pause(self, task: _Task, failures: int) -> None:
        try:
            await asyncio.sleep(task.policy.pause(failures))
        except asyncio.CancelledError:
            task.become(TaskState.CANCELLED)
            raise
