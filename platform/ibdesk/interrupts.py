"""Interrupts of running code: a signal (Ctrl-C, SIGTERM), or another thread after a time limit."""

from __future__ import annotations

import dis
import functools
import signal
import threading
from types import CodeType


class CallInterrupted(BaseException):
    """A strategy's code did not return in time.

    Another thread raises it. It is not an `Exception`, so that the strategy's own handlers do not catch it. Its only
    argument is a sentence that names the line where the code was.
    """


_RAISE = dis.opmap["RAISE_VARARGS"]


def is_interrupt(error: BaseException) -> bool:
    """Return whether a signal handler raised `error`, so that the whole program should end.

    Python runs signal handlers on the main thread, between two instructions of the code that runs there. A handler
    written in Python appears in the traceback. Python's own handler of Ctrl-C does not: its KeyboardInterrupt comes
    from any instruction except ``raise``.
    """
    if threading.current_thread() is not threading.main_thread():
        return False
    handlers, last, step = _handlers(), None, error.__traceback__
    while step is not None:
        if step.tb_frame.f_code in handlers:
            return True
        last, step = step, step.tb_next
    if not isinstance(error, KeyboardInterrupt):
        return False
    return last is None or last.tb_frame.f_code.co_code[last.tb_lasti] != _RAISE


def _handlers() -> list[CodeType]:
    """Return the code of the handlers in force."""
    found = []
    for number in (signal.SIGINT, signal.SIGTERM):
        handler = signal.getsignal(number)
        while isinstance(handler, functools.partial):
            handler = handler.func
        code = getattr(handler, "__code__", None)
        if isinstance(code, CodeType):
            found.append(code)
    return found
