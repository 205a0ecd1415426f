"""What the names of a market's instruments mean: however they are spelled, a market plays their ids."""

from __future__ import annotations

import functools

from ibdesk.clock import SystemClock
from ibdesk.errors import InstrumentError
from ibdesk.model import AnyInstrument, instrument_of, moment


def named_now(name: str) -> AnyInstrument:
    """Return the instrument that a name stands for today: ``ESZ6`` expires near the present year.

    Raises:
        InstrumentError: If the name stands for none, or leaves something open.
    """
    return instrument_of(name, near_year=moment(SystemClock().now_ns()).year)


@functools.lru_cache(maxsize=4096)
def played_name(name: str) -> str:
    """Return the id of the instrument that a name stands for, the name itself where it stands for none."""
    try:
        return named_now(name).id
    except InstrumentError:
        return name


@functools.lru_cache(maxsize=4096)
def may_be_worthless(name: str) -> bool:
    """Return whether what the name stands for can trade at zero or below: futures do, shares do not."""
    try:
        return named_now(name).may_be_worthless
    except InstrumentError:
        return False
