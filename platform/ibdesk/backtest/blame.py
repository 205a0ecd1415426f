"""Errors of a strategy's code in a backtest, with file and line."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from pathlib import Path

from ibdesk.errors import DecisionError, IbdeskError


@contextlib.contextmanager
def blaming(strategy: Path) -> Iterator[None]:
    """Convert an exception of the strategy's code inside the block to an error that names the line.

    Raises:
        DecisionError: Instead of such an exception; other exceptions and MemoryError pass unchanged.
    """
    try:
        yield
    except (IbdeskError, MemoryError):
        raise
    except Exception as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(strategy)]
        if not frames:
            raise
        where = f"{strategy}, line {frames[-1].lineno}, in {frames[-1].name}"
        raise DecisionError(f"{where}: {type(error).__name__}: {error}") from error
