"""Names: of instruments as people write them, of what the desk counts."""

from __future__ import annotations

from ibdesk.model import AnyInstrument, Instrument, instrument_of


def base36(number: int) -> str:
    """Return a positive number in digits and small letters."""
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[rest] + digits
    return digits


def named(name: str | Instrument) -> AnyInstrument:
    """Return the instrument that a name stands for; an instrument stands for itself."""
    return instrument_of(name) if isinstance(name, str) else name  # type: ignore[return-value] # all kinds are listed
