"""The rows of a Flex statement file, XML or CSV, as text cells with the same names for both forms.

The file is untrusted: it is read as a stream, its size, depth and rows are bounded, and a document type, which could
define entities, is refused.
"""

from __future__ import annotations

import csv
import enum
from collections.abc import Iterator
from pathlib import Path
from xml.parsers import expat

import msgspec

from ibdesk.errors import DataError

MOST_BYTES = 512 * 1024 * 1024
MOST_ROWS = 2_000_000
_DEEPEST = 16
_CHUNK_BYTES = 64 * 1024
# A CSV file of IB has about 90 columns in its widest section.
_MOST_CELLS = 500


class StatementError(DataError):
    """A statement cannot be read."""


class StatementSection(enum.Enum):
    """The section of a statement that a row belongs to."""

    ACCOUNT = "account"
    TRADE = "trade"
    TRADE_CONFIRM = "trade_confirm"
    CASH_TRANSACTION = "cash_transaction"
    CASH_REPORT = "cash_report"


class StatementRow(msgspec.Struct, frozen=True):
    """One row: its section and its cells by name. A row without cells marks a section that may be empty.

    `number` counts the rows of the file from 1. Names are those of the XML form in lower case, without punctuation.
    """

    section: StatementSection
    cells: dict[str, str]
    number: int


# Cells whose name differs between the XML and the CSV form, or between activity statements and trade confirmations.
_NAMES = {
    "clientaccountid": "accountid",
    "currencyprimary": "currency",
    "assetclass": "assetcategory",
    "price": "tradeprice",
    "commission": "ibcommission",
    "commissioncurrency": "ibcommissioncurrency",
    "execid": "ibexecid",
    "tax": "taxes",
}
_ELEMENTS = {
    "FlexStatement": StatementSection.ACCOUNT,
    "Trade": StatementSection.TRADE,
    "TradeConfirm": StatementSection.TRADE_CONFIRM,
    "CashTransaction": StatementSection.CASH_TRANSACTION,
    "CashReportCurrency": StatementSection.CASH_REPORT,
}
_CONTAINERS = {
    "Trades": StatementSection.TRADE,
    "TradeConfirms": StatementSection.TRADE_CONFIRM,
    "CashTransactions": StatementSection.CASH_TRANSACTION,
}


def rows_of(path: Path) -> Iterator[StatementRow]:
    """Yield the rows of a Flex statement in the order of the file.

    Raises:
        StatementError: If the file is too large, is not a Flex statement, or cannot be read.
    """
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise StatementError(
                f"{path} has {size:,} bytes; at most {MOST_BYTES:,} are allowed: request a shorter period from IB"
            )
        with path.open("rb") as file:
            is_xml = file.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")
        yield from _bounded(_xml_rows(path) if is_xml else _csv_rows(path), path)
    except OSError as error:
        raise StatementError(f"{path} cannot be read: {error.strerror or error}") from error


def _bounded(rows: Iterator[StatementRow], path: Path) -> Iterator[StatementRow]:
    for row in rows:
        if row.number > MOST_ROWS:
            raise StatementError(f"{path} has more than {MOST_ROWS:,} rows: request a shorter period from IB")
        yield row


def _name_of(text: str) -> str:
    name = "".join(filter(str.isalnum, text)).lower()
    return _NAMES.get(name, name)


# ---- XML ----------------------------------------------------------------------------------------------------------


def _xml_rows(path: Path) -> Iterator[StatementRow]:
    reader = _XmlReader(path)
    with path.open("rb") as file:
        while True:
            chunk = file.read(_CHUNK_BYTES)
            reader.feed(chunk)
            yield from reader.taken()
            if not chunk:
                break
    if not reader.is_flex:
        raise StatementError(f"{path} is not a Flex statement: it has no element FlexStatement")


class _XmlReader:
    """Collects the rows from the elements of a document."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[StatementRow] = []
        self._depth = self._count = 0
        self.is_flex = False
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.EntityDeclHandler = self._refuse

    def feed(self, chunk: bytes) -> None:
        """Parse the next bytes; empty bytes end the document.

        Raises:
            StatementError: If they are not well-formed, or have a document type.
        """
        try:
            self._parser.Parse(chunk, not chunk)
        except (expat.ExpatError, ValueError, LookupError) as error:
            raise StatementError(f"{self._path} is not well-formed XML: {error}") from None

    def taken(self) -> list[StatementRow]:
        """Return the rows since the last call."""
        rows, self._rows = self._rows, []
        return rows

    def _start(self, element: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise StatementError(f"{self._path} nests elements more than {_DEEPEST} deep, as no Flex statement does")
        if element in _CONTAINERS:
            self._rows.append(StatementRow(_CONTAINERS[element], {}, self._count))
        section = _ELEMENTS.get(element)
        if section is not None:
            self.is_flex = self.is_flex or section is StatementSection.ACCOUNT
            self._count += 1
            self._rows.append(
                StatementRow(section, {_name_of(name): text for name, text in attributes.items()}, self._count)
            )

    def _end(self, _element: str) -> None:
        self._depth -= 1

    def _refuse(self, *_declared: object) -> None:
        raise StatementError(f"{self._path} declares a document type, which Flex statements do not have")


# ---- CSV ----------------------------------------------------------------------------------------------------------

# The first cells of lines that state the kind of line; after HEADER and DATA follows the code of the section.
_MARKS = frozenset({"BOF", "BOA", "BOS", "EOS", "EOA", "EOF"})


def _csv_rows(path: Path) -> Iterator[StatementRow]:
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        lines = csv.reader(file, strict=True)
        reader = _CsvReader(path)
        try:
            for line in lines:
                if len(line) > _MOST_CELLS:
                    raise StatementError(
                        f"{path}, line {lines.line_num}, has {len(line)} cells: no Flex statement does"
                    )
                row = reader.take(line) if line else None
                if row is not None:
                    yield row
        except csv.Error as error:
            raise StatementError(f"{path}, line {lines.line_num}, is not CSV: {error}") from None
    if not reader.is_flex:
        raise StatementError(
            f"{path} is not a Flex statement: it is neither XML nor has a column ClientAccountID or CurrencyPrimary"
        )


class _CsvReader:
    """Turns lines into rows by the headings above them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names: list[str] = []
        self._section: StatementSection | None = None
        self._count = 0
        self.is_flex = False

    def take(self, line: list[str]) -> StatementRow | None:
        """Return a line as a row, None if its section is not needed; for headings a row without cells."""
        mark = line[0].strip()
        if mark in _MARKS:
            self.is_flex, self._names, self._section = True, [], None
            return self._row(StatementSection.ACCOUNT, _head_of(line)) if mark == "BOF" else None
        cells = line[2:] if mark in ("HEADER", "DATA") else line
        if mark == "HEADER" or (mark != "DATA" and _is_heading(cells)):
            self._names = [_name_of(cell) for cell in cells]
            self._section = _section_with(self._names)
            self.is_flex = self.is_flex or self._section is not None
            return None if self._section is None else StatementRow(self._section, {}, self._count)
        if self._section is None:
            return None
        return self._row(self._section, dict(zip(self._names, cells, strict=False)))

    def _row(self, section: StatementSection, cells: dict[str, str]) -> StatementRow:
        self._count += 1
        return StatementRow(section, cells, self._count)


def _head_of(line: list[str]) -> dict[str, str]:
    """Return the header record of a file: account, name of the query, sections, period, time of writing."""
    names = ("", "accountid", "queryname", "", "fromdate", "todate", "whengenerated")
    return {name: cell.strip() for name, cell in zip(names, line, strict=False) if name}


def _is_heading(cells: list[str]) -> bool:
    names = {_name_of(cell) for cell in cells}
    # Columns that every section may have, and that no row has as a value.
    return bool(names & {"accountid", "currency"}) and len(names) > 1


def _section_with(names: list[str]) -> StatementSection | None:
    """Return the section with these columns; None if it is not needed here."""
    known = set(names)
    if "ibexecid" in known and "quantity" in known:
        return StatementSection.TRADE
    if "endingcash" in known:
        return StatementSection.CASH_REPORT
    if {"amount", "type"} <= known and "quantity" not in known:
        return StatementSection.CASH_TRANSACTION
    return None
