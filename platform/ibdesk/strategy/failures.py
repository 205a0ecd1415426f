"""Errors of a strategy's code as text for users and the journal."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from ibdesk.errors import IbdeskError, StrategyError
from ibdesk.interrupts import is_interrupt

_LONGEST_ERROR = 500
# Memory addresses in Python's messages differ at each replay.
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def error_words(error: BaseException) -> str:
    """Return type and text of an error: at most about 500 characters, the same at each replay.

    The text comes from the strategy's code too, and may raise itself.
    """
    kind = type(error).__name__
    if isinstance(error, RecursionError):
        # Its text names the function in which the stack was full, which differs at each replay.
        return f"{kind}: maximum recursion depth exceeded"
    try:
        text = str(error)
    except BaseException as second:
        if is_interrupt(second):
            raise
        text = f"its text cannot be shown: __str__ raises {type(second).__name__}"
    text = _ADDRESS.sub("", text[: 4 * _LONGEST_ERROR])
    return plain_text(f"{kind}: {text}" if text else kind, longest=_LONGEST_ERROR)


def plain_text(text: object, *, longest: int) -> str:
    """Return `text` as a plain string for the journal: valid Unicode, cut at `longest` characters."""
    plain = str(text)[: longest + 1].encode(errors="replace").decode()
    return plain if len(plain) <= longest else f"{plain[:longest]}..."


@contextlib.contextmanager
def as_strategy_error(what: str) -> Iterator[None]:
    """Convert any error of a strategy's code inside the block to a StrategyError that begins with `what`.

    Errors of ibdesk and Ctrl-C pass unchanged.
    """
    try:
        yield
    except IbdeskError:
        raise
    except BaseException as error:
        if is_interrupt(error):
            raise
        raise StrategyError(f"{what}: {error_words(error)}") from error
