"""The id that follows one request through everything it causes, so that one search of the logs finds it all."""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Iterator
from contextvars import ContextVar

correlation_id: ContextVar[str] = ContextVar("correlation_id", default="")
"""The id of what is being served or carried out; empty outside of it. Tasks inherit it, callbacks of others do not."""

_TAME = re.compile(r"[A-Za-z0-9._-]{8,64}")


def new_correlation_id() -> str:
    """Return an id that nothing had before: 32 hexadecimal digits."""
    return uuid.uuid4().hex


def is_tame(given: str) -> bool:
    """Return whether an id that somebody else made up may be used: it goes into logs, headers and file names."""
    return _TAME.fullmatch(given) is not None


@contextlib.contextmanager
def correlated(given: str = "") -> Iterator[str]:
    """Carry out what is inside under an id, by default the present one, else a new one; give the id."""
    chosen = given or correlation_id.get() or new_correlation_id()
    token = correlation_id.set(chosen)
    try:
        yield chosen
    finally:
        correlation_id.reset(token)
