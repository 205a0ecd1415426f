"""What ends code from outside: a signal (Ctrl-C, SIGTERM), or another thread that has waited long enough."""

from __future__ import annotations

import dis
import functools
import signal
import threading
from types import CodeType


class CallInterrupted(BaseException):
    """The code of a strategy did not return in time. Another thread raises it, so it is no `Exception` to go on over.

    Its only argument is the sentence that says where the code was.
    """


_RAISE = dis.opmap["RAISE_VARARGS"]


def is_interrupt(error: BaseException) -> bool:
    """Return whether a signal handler raised `error`, so that the program and not only a part of it should end.

    Python runs signal handlers on the main thread, between two instructions of the code that runs there. A handler
    written in Python stands in the traceback. Python's own one for Ctrl-C does not: its KeyboardInterrupt comes out of
    any instruction but ``raise``.
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
