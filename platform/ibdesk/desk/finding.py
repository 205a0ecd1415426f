"""Resolution of names to instruments at the desk's TWS, with suggestions for unknown names."""

from __future__ import annotations

import asyncio
import difflib
import re

from ibdesk.desk.naming import qualify_named
from ibdesk.errors import IbdeskError, InstrumentError
from ibdesk.model import AnyInstrument, Instrument, instrument_of
from ibdesk.tws import TwsService

# Time limit of the search for similar names when a name is unknown.
_LOOK_SECONDS = 3.0
_MOST_SUGGESTED = 3
_SEPARATORS = re.compile(r"[\s,;/|]+")


async def found(
    service: TwsService, name: str | Instrument, at_ns: int, *, is_embedded: bool, from_memory: bool
) -> AnyInstrument:
    """Return the instrument with its terms from TWS, or `from_memory` if it was qualified before.

    Raises:
        InstrumentError: If it is unknown or ambiguous; for an unknown one the message suggests similar names.
        LinkError: If TWS cannot be asked.
    """
    try:
        return await qualify_named(service, name, at_ns, from_memory=from_memory)
    except InstrumentError as error:
        hints = await _hints(service, name if isinstance(name, str) else name.symbol)
        if hints is None:
            raise
        if is_embedded:
            hints.append("the embedded market has it if gateway.symbols names it, or with gateway.invent = true")
        raise InstrumentError("; ".join([str(error), *hints])) from error


async def _hints(service: TwsService, name: str) -> list[str] | None:
    """Return suggestions; None if TWS knows the symbol, so that something else is wrong."""
    symbol = name.strip().upper()
    parts = [part for part in _SEPARATORS.split(symbol) if part]
    if len(parts) > 1 and not _is_one(symbol):
        return [f"several instruments are given apart: {', '.join(parts)}"]
    # For a future or an option, the underlying's symbol may be mistyped.
    symbol = symbol.partition("-")[0]
    known: list[str] = []
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            for text in (symbol, symbol[:2], symbol[:1]):
                known += [match.symbol for match in await service.search(text) if match.kind != "forex"]
                if symbol in known:
                    return None
                if close := difflib.get_close_matches(symbol, dict.fromkeys(known), n=_MOST_SUGGESTED, cutoff=0.5):
                    return [f"did you mean {' or '.join(close)}?"]
    except (TimeoutError, IbdeskError):
        pass
    return []


def _is_one(name: str) -> bool:
    """Return whether a name with a blank means one instrument, such as a share class (``BRK B``)."""
    try:
        instrument_of(name)
    except InstrumentError:
        return False
    return True
