"""What a strategy's code raises, in words for people and for the journal."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from ibdesk.errors import IbdeskError, StrategyError
from ibdesk.interrupts import is_interrupt

_LONGEST_ERROR = 500
# Where an object lies in memory, as Python writes it into messages: another place at each replay.
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def error_words(error: BaseException) -> str:
    """Return kind and text of an error: at most a few hundred characters, the same at each replay.

    The text is the strategy's own code too, and may fail itself.
    """
    kind = type(error).__name__
    if isinstance(error, RecursionError):
        # Its text tells in which function of Python's the stack was full, which is another one at each replay.
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
    """Return `text` as a plain string that the journal can hold: valid Unicode, and cut where it is longer."""
    plain = str(text)[: longest + 1].encode(errors="replace").decode()
    return plain if len(plain) <= longest else f"{plain[:longest]}..."


@contextlib.contextmanager
def as_strategy_error(what: str) -> Iterator[None]:
    """Turn whatever a strategy's code raises inside the block into a StrategyError that begins with `what`.

    Errors of ibdesk and Ctrl-C come through as they are.
    """
    try:
        yield
    except IbdeskError:
        raise
    except BaseException as error:
        if is_interrupt(error):
            raise
        raise StrategyError(f"{what}: {error_words(error)}") from error
