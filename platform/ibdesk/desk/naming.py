"""Names of instruments as people write them, and ids of the desk's own."""

from __future__ import annotations

from ibdesk.errors import InstrumentError, UnlistedFutureError
from ibdesk.model import AnyInstrument, Instrument, instrument_of, moment
from ibdesk.tws import TwsService


def base36(number: int) -> str:
    """Return a positive number in base 36, in digits and lowercase letters."""
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[rest] + digits
    return digits


def named(name: str | Instrument, at_ns: int) -> AnyInstrument:
    """Return the instrument with this name; an instrument is returned unchanged.

    `at_ns` decides the decade of ``ESH7``: IB lists the contracts of the coming years.

    Raises:
        InstrumentError: If the name is unknown or incomplete.
    """
    if not isinstance(name, str):
        return name  # type: ignore[return-value] # all kinds are listed
    # From four years before to five years after this one.
    return instrument_of(name, near_year=moment(at_ns).year)


def id_named(name: str, at_ns: int) -> str:
    """Return the id of the instrument with this name, or the name itself if it is unknown."""
    try:
        return named(name, at_ns).id
    except InstrumentError:
        return name


async def qualify_named(
    service: TwsService, name: str | Instrument, at_ns: int, *, from_memory: bool = False
) -> AnyInstrument:
    """Return the instrument with its terms at TWS, including a future whose terms only TWS knows.

    With `from_memory` TWS is not asked again about an instrument that is already qualified.

    Raises:
        InstrumentError: If TWS finds no instrument, or several.
        LinkError: If TWS cannot be asked.
    """
    try:
        instrument = named(name, at_ns)
    except UnlistedFutureError as unlisted:
        return await service.qualify_unlisted(unlisted.symbol, unlisted.expiry)
    if from_memory and service.knows(instrument.id):
        return service.instrument(instrument.id)
    return await service.qualify(instrument)
