"""Until when a command may take effect: one that comes too late is refused, never carried out.

An engine that was stopped, or whose loop was busy, finds commands whose callers were told long ago that they have had
no answer. Every command of another process carries a deadline, and `Runtime.command` asks for it last.
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
        """Return how long the command may still take effect, below 0 when it may no more."""
        return (self._at_ns - boot_ns()) / 1e9

    def begin(self) -> None:
        """Take note that the command takes effect now.

        Raises:
            CommandExpiredError: If it may no more.
        """
        with self._lock:
            late = -self.seconds_left
            if self._is_given_up or late > 0:
                raise CommandExpiredError(self._operation, max(late, 0.0))
            self._has_begun = True

    def give_up(self) -> bool:
        """Return whether the command has had no effect, and now never will have one."""
        with self._lock:
            self._is_given_up = not self._has_begun
            return self._is_given_up


_deadline: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


@contextlib.contextmanager
def limited(deadline: Deadline | None) -> Iterator[None]:
    """Carry out what is inside, and the tasks that it begins on other loops, under a deadline."""
    token = _deadline.set(deadline)
    try:
        yield
    finally:
        _deadline.reset(token)


def begin_command() -> None:
    """Take note that the present command takes effect; commands of this process have no deadline.

    Raises:
        CommandExpiredError: If it may no more.
    """
    deadline = _deadline.get()
    if deadline is not None:
        deadline.begin()
