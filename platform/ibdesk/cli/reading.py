"""Files of bars as commands read them: what a file does not say is an option."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from ibdesk.data import Bars, read_bars
from ibdesk.errors import ConfigError, DataError

_PAIR = re.compile(r"'([^']*)': '([^']*)'")


class Reading(msgspec.Struct, frozen=True):
    """What a file of bars does not say itself; see `read_bars`."""

    symbol: str | None = None
    zone: str | None = None
    date_order: str | None = None
    decimal: str | None = None
    format: str | None = None
    interval: str | Mapping[str, str] | None = None
    splits: Sequence[str] = ()


NOTHING = Reading()


def read_file(path: Path, reading: Reading = NOTHING) -> Bars:
    """Return the bars of a file, or of all files of a folder; bars may be missing in it.

    Raises:
        DataError: If they cannot be used; what has to be asked for is named as an option.
    """
    if not path.exists():
        raise DataError(f"there is no file {path}: name a file of bars, or a folder of them")
    try:
        return read_bars(path, **msgspec.structs.asdict(reading), allow_gaps=True)
    except DataError as error:
        raise DataError(as_options(str(error))) from None


def interval_of(texts: Sequence[str]) -> str | dict[str, str] | None:
    """Return what ``--interval`` says: one length for all, or ``SYMBOL=LENGTH`` for each.

    Raises:
        ConfigError: If it says both, or several lengths for all.
    """
    named = dict(text.split("=", 1) for text in texts if "=" in text)
    if named and len(named) == len(texts):
        return {symbol.strip(): length for symbol, length in named.items()}
    if len(texts) > 1:
        raise ConfigError("--interval is given once for all symbols, or as SYMBOL=LENGTH for each")
    return texts[0] if texts else None


def as_options(sentence: str) -> str:
    """Return a sentence of `read_bars` with its arguments written as options."""

    def each_length(match: re.Match[str]) -> str:
        return " ".join(f"--interval '{symbol}={length}'" for symbol, length in _PAIR.findall(match[1]))

    sentence = re.sub(r"interval=\{([^}]*)\}", each_length, sentence)
    # Instruments are objects of Python: in a terminal one symbol after the other is read.
    sentence = re.sub(r"instruments=\{('[^']*'): [^}]*\}", r"--symbol \1 to read that one alone", sentence)
    sentence = re.sub(r"splits=\['([^']*)'\]", r"--split '\1'", sentence)
    sentence = re.sub(r"interval='([^']*)'", r"--interval '\1'", sentence)
    sentence = sentence.replace("date_order='", "--date-order='").replace("allow_gaps=True", "--allow-gaps")
    sentence = re.sub(r"(?<![\w-])(?:--)?(symbol|zone|date-order|decimal|format)='([^']*)'", r"--\1 \2", sentence)
    return re.sub(r"(?:--(?:date-order|decimal) \S+)(?:,? (?:or )?'[^']+')+", lambda m: m[0].replace("'", ""), sentence)
