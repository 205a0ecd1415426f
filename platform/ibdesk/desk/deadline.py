"""Deadlines of commands: a command that comes too late is refused, never carried out.

An engine that was stopped, or whose loop was busy, finds commands whose callers have long received a time-out. Every
command from another process carries a deadline, and `Runtime.command` checks it last.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextvars import ContextVar

from ibdesk.clock import boot_ns
from ibdesk.errors import CommandExpiredError


class Deadline:
    """The deadline of one command, `at_ns` by the machine's clock; used by the port's thread and the desk's."""

    def __init__(self, operation: str, at_ns: int) -> None:
        self._operation, self._at_ns = operation, at_ns
        self._lock = threading.Lock()
        self._has_begun = self._is_given_up = False

    @property
    def seconds_left(self) -> float:
        """Return for how many seconds the command may still take effect, negative after the deadline."""
        return (self._at_ns - boot_ns()) / 1e9

    def begin(self) -> None:
        """Note that the command takes effect now.

        Raises:
            CommandExpiredError: If its deadline has passed.
        """
        with self._lock:
            late = -self.seconds_left
            if self._is_given_up or late > 0:
                raise CommandExpiredError(self._operation, max(late, 0.0))
            self._has_begun = True

    def give_up(self) -> bool:
        """Return whether the command has had no effect and now never will."""
        with self._lock:
            self._is_given_up = not self._has_begun
            return self._is_given_up


_deadline: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextlib.contextmanager
def limited(deadline: Deadline | None) -> Iterator[None]:
    """Run the block, and the tasks that it starts on other loops, under a deadline."""
    token = _deadline.set(deadline)
    try:
        yield
    finally:
        _deadline.reset(token)


def begin_command() -> None:
    """Note that the current command takes effect; commands of this process have no deadline.

    Raises:
        CommandExpiredError: If its deadline has passed.
    """
    deadline = _deadline.get()
    if deadline is not None:
        deadline.begin()
