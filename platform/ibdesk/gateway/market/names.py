"""The meaning of instrument names in a market: spellings differ, and a market plays ids."""

from __future__ import annotations

import functools

from ibdesk.clock import SystemClock
from ibdesk.errors import InstrumentError
from ibdesk.model import AnyInstrument, instrument_of, moment


def named_now(name: str) -> AnyInstrument:
    """Return the instrument that a name means today: ``ESZ6`` expires near the present year.

    Raises:
        InstrumentError: If the name is not that of an instrument, or is ambiguous.
    """
    return instrument_of(name, near_year=moment(SystemClock().now_ns()).year)


@functools.lru_cache(maxsize=4096)
def played_name(name: str) -> str:
    """Return the id of the instrument that a name means; the name itself if it means none."""
    try:
        return named_now(name).id
    except InstrumentError:
        return name


@functools.lru_cache(maxsize=4096)
def may_be_worthless(name: str) -> bool:
    """Return whether the named instrument can trade at zero or below: futures can, shares cannot."""
    try:
        return named_now(name).may_be_worthless
    except InstrumentError:
        return False
