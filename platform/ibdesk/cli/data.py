"""`ibdesk data`: shows how files of bars are interpreted and which layouts are recognized."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.text import Text

from ibdesk.cli.reading import Reading, as_options, read_file
from ibdesk.cli.screen import console, line, plain_table, step
from ibdesk.data import Bars, bar_formats, row_warnings
from ibdesk.errors import DataError, IbdeskError

_SHOWN = 20


def check_files(files: Sequence[Path], reading: Reading, *, as_json: bool) -> None:
    """Print how each file is interpreted, and its doubtful rows.

    Raises:
        UnusableFilesError: After all files, if any cannot be used.
    """
    unusable = 0
    for file in files:
        try:
            bars = read_file(file, reading)
        except DataError as error:
            unusable += 1
            _print_error(file, str(error), as_json=as_json)
            continue
        if as_json:
            console.out(msgspec.json.encode(_facts(file, bars)).decode(), highlight=False)
        else:
            _print(file, bars)
    if unusable:
        raise UnusableFilesError(unusable, len(files))


class UnusableFilesError(IbdeskError):
    """Some files of bars cannot be used as they are."""

    def __init__(self, unusable: int, files: int) -> None:
        super().__init__(unusable, files)
        self.unusable, self.files = unusable, files

    def __str__(self) -> str:
        if self.files == 1:
            return "the file cannot be used as it is"
        return f"{self.unusable} of {self.files} files cannot be used as they are"


def _print_error(file: Path, sentence: str, *, as_json: bool) -> None:
    if as_json:
        console.out(msgspec.json.encode({"file": str(file), "error": sentence}).decode(), highlight=False)
        return
    step(str(file))
    line("error", Text(sentence, style="red"))


def _print(file: Path, bars: Bars) -> None:
    step(str(file))
    for label, text in bars.facts():
        line(label, Text(text))
    for note in bars.notes:
        line("note", Text(note))
    line("gaps", Text("none" if not bars.gaps else f"{len(bars.gaps)}"))
    line("splits", Text("none suspected" if not bars.suspected else f"{len(bars.suspected)} suspected"))
    for warning in bars.warnings:
        line("warning", Text(as_options(warning), style="yellow"))
    warnings = row_warnings(bars)
    line("rows", Text("none is doubtful" if not warnings else f"{len(warnings)} doubtful"))
    for warning in warnings[:_SHOWN]:
        line("doubtful", Text(warning, style="yellow"))
    if len(warnings) > _SHOWN:
        line("doubtful", Text(f"and {len(warnings) - _SHOWN} more", style="yellow"))


def _facts(file: Path, bars: Bars) -> dict[str, Any]:
    return {
        "file": str(file),
        "format": bars.format,
        "zone": bars.zone,
        "symbols": bars.symbols,
        "interval_seconds": {symbol: interval / 1e9 for symbol, interval in bars.intervals.items()},
        "bars": len(bars),
        "first": bars["opened_at"].min(),
        "last": bars["opened_at"].max(),
        "gaps": bars.gaps,
        "splits_suspected": bars.suspected,
        "warnings": bars.warnings,
        "doubtful_rows": row_warnings(bars),
        "notes": bars.notes,
    }


def list_formats(*, as_json: bool) -> None:
    """Print the recognized formats."""
    if as_json:
        for format in bar_formats():  # noqa: A001
            console.out(msgspec.json.encode({"name": format.name, "about": format.about}).decode(), highlight=False)
        return
    table = plain_table("format", "what it is", title="Layouts of bars, in the order they are tried")
    for format in bar_formats():  # noqa: A001
        table.add_row(format.name, format.about)
    console.print(table)
