"""Ctrl-C and SIGTERM: one and the same request to end."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import TracebackType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def interrupt() -> None:
    """Raise what Ctrl-C raises."""
    raise KeyboardInterrupt


@contextlib.contextmanager
def on_stop_signals(handler: Callable[[], object]) -> Iterator[None]:
    """Call `handler`, on the main thread, for each request to end inside the block; then what was before returns."""
    before = {number: signal.signal(number, lambda *_: handler()) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


def rearm() -> None:
    """Make the handlers in force interrupt waits again, after libraries were imported.

    Polars, while it is imported, puts a handler of its own under Python's that restarts system calls, so that Ctrl-C
    would no longer end a wait for a lock.
    """
    for number in _SIGNALS:
        signal.signal(number, signal.getsignal(number))


class CleanupStack(contextlib.ExitStack):
    """What a command has opened. It is closed in full: whoever presses Ctrl-C again meanwhile interrupts nothing."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Close all, the newest first."""
        with on_stop_signals(lambda: None):
            return bool(super().__exit__(kind, error, trace))
