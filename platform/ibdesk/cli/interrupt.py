"""Handling of Ctrl-C and SIGTERM, which both request the end of the process."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import TracebackType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def interrupt() -> None:
    """Raise KeyboardInterrupt."""
    raise KeyboardInterrupt


@contextlib.contextmanager
def on_stop_signals(handler: Callable[[], object]) -> Iterator[None]:
    """Call `handler` on the main thread for each SIGINT or SIGTERM inside the block, then restore the old handlers."""
    before = {number: signal.signal(number, lambda *_: handler()) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


def rearm() -> None:
    """Install the current handlers again after libraries were imported, so that signals interrupt waits.

    The import of Polars installs its own handler under Python's. It restarts system calls, so Ctrl-C would no longer
    end a wait for a lock.
    """
    for number in _SIGNALS:
        signal.signal(number, signal.getsignal(number))


class CleanupStack(contextlib.ExitStack):
    """The open resources of a command. Ctrl-C does not interrupt their closing."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Close all resources, newest first."""
        with on_stop_signals(lambda: None):
            return bool(super().__exit__(kind, error, trace))
