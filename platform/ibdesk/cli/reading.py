"""Reading of files of bars for commands; facts that a file does not contain are options."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from ibdesk.data import Bars, read_bars
from ibdesk.errors import ConfigError, DataError

_PAIR = re.compile(r"'([^']*)': '([^']*)'")


class Reading(msgspec.Struct, frozen=True):
    """Facts that a file of bars does not contain; see `read_bars`."""

    symbol: str | None = None
    zone: str | None = None
    date_order: str | None = None
    decimal: str | None = None
    format: str | None = None
    interval: str | Mapping[str, str] | None = None
    splits: Sequence[str] = ()


NOTHING = Reading()


def read_file(path: Path, reading: Reading = NOTHING) -> Bars:
    """Return the bars of a file, or of all files of a folder; gaps are allowed.

    Raises:
        DataError: If the bars cannot be used; the remedy is named as an option.
    """
    if not path.exists():
        raise DataError(f"there is no file {path}: name a file of bars, or a folder of them")
    try:
        return read_bars(path, **msgspec.structs.asdict(reading), allow_gaps=True)
    except DataError as error:
        raise DataError(as_options(str(error))) from None


def interval_of(texts: Sequence[str]) -> str | dict[str, str] | None:
    """Return the value of ``--interval``: one length for all symbols, or ``SYMBOL=LENGTH`` for each.

    Raises:
        ConfigError: If both forms are mixed, or several lengths are given for all.
    """
    named = dict(text.split("=", 1) for text in texts if "=" in text)
    if named and len(named) == len(texts):
        return {symbol.strip(): length for symbol, length in named.items()}
    if len(texts) > 1:
        raise ConfigError("give --interval once for all symbols, or as SYMBOL=LENGTH for each")
    return texts[0] if texts else None


def as_options(sentence: str) -> str:
    """Return a message of `read_bars` with its arguments written as options."""

    def each_length(match: re.Match[str]) -> str:
        return " ".join(f"--interval '{symbol}={length}'" for symbol, length in _PAIR.findall(match[1]))

    sentence = re.sub(r"interval=\{([^}]*)\}", each_length, sentence)
    # Instrument objects cannot be typed in a terminal: there, read one symbol at a time.
    sentence = re.sub(r"instruments=\{('[^']*'): [^}]*\}", r"--symbol \1 to read only this symbol", sentence)
    sentence = re.sub(r"splits=\['([^']*)'\]", r"--split '\1'", sentence)
    sentence = re.sub(r"interval='([^']*)'", r"--interval '\1'", sentence)
    sentence = sentence.replace("date_order='", "--date-order='").replace("allow_gaps=True", "--allow-gaps")
    sentence = re.sub(r"(?<![\w-])(?:--)?(symbol|zone|date-order|decimal|format)='([^']*)'", r"--\1 \2", sentence)
    return re.sub(r"(?:--(?:date-order|decimal) \S+)(?:,? (?:or )?'[^']+')+", lambda m: m[0].replace("'", ""), sentence)
