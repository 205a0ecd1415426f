"""The content of a file before its layout is known: a table of text, a JSON document, or a typed frame."""

from __future__ import annotations

import bz2
import csv
import functools
import gzip
import io
import json
import lzma
import os
import statistics
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import polars as pl

from ibdesk.data.layouts import layout_of
from ibdesk.errors import DataError

_DELIMITERS = ("\t", ";", "|", ",")
# The number of lines at the top of a text that are used to recognize it.
_HEAD_LINES, _HEAD_BYTES = 24, 1 << 16
_FEWEST_CELLS = 4
_CHUNK = 1 << 20
# RuntimeError and NotImplementedError: zip files with a password, or compressed by a method unknown to Python.
_UNPACKING_ERRORS = (
    *(OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, RuntimeError),
)
MAX_BYTES = 8 << 30
"""The largest unpacked size that is read."""

Cells = list[str]


class Content:
    """The content of one file or frame."""

    def __init__(
        self,
        name: str,
        *,
        text: bytes = b"",
        document: Any = None,
        frame: pl.DataFrame | None = None,
    ) -> None:
        self.name, self.document, self.frame = name, document, frame
        self.notes: list[str] = []
        self._text = text
        self._starts = 0
        if text:
            self._skip_preamble()

    @functools.cached_property
    def delimiter(self) -> str:
        """The separator of a line's cells."""
        lines = _lines(self._text)
        if lines and lines[0].lower().startswith("sep=") and len(lines[0]) == 5:
            return lines[0][4]
        best, most = ",", 0
        for delimiter in _DELIMITERS:
            counts = sorted(len(cells) for cells in _cells(lines, delimiter))
            usual = counts[len(counts) // 2] if counts else 0
            if usual > max(most, _FEWEST_CELLS - 1) and counts.count(usual) * 2 > len(counts):
                best, most = delimiter, usual
                if delimiter != "," and usual > _FEWEST_CELLS:
                    break
        return best

    @functools.cached_property
    def head(self) -> list[Cells]:
        """The first lines as cells without surrounding blanks; empty if the content is not a table of text."""
        lines = _lines(self._text[self._starts : self._starts + _HEAD_BYTES])
        return [[cell.strip() for cell in cells] for cells in _cells(lines, self.delimiter)]

    @property
    def header(self) -> Cells:
        """The first line's cells, normalized by `plain`."""
        return [plain(cell) for cell in self.head[0]] if self.head else []

    def table(self, header_lines: int) -> pl.DataFrame:
        """Return the rows below the header as text; columns are named by position (``c0``, ``c1`` …).

        Raises:
            DataError: If the lines differ in their cells.
        """
        body = self._text[self._below(header_lines) :]
        if not body or body.isspace():
            raise DataError(f"{self.name} has a header and no rows")
        comments = body.count(b"\n#") + body.startswith(b"#") if b"#" in body else 0
        if comments:
            self.notes.append(f"{comments} comment line{'s were' if comments > 1 else ' was'} left out")
        # As many columns as most rows have: a longer row is reported below, and a shorter one lacks its last columns.
        width = statistics.mode(len(cells) for cells in self.head[header_lines:] or self.head)
        try:
            table = pl.read_csv(
                body,
                has_header=False,
                schema={f"c{place}": pl.String() for place in range(width)},
                separator=self.delimiter,
                comment_prefix="#" if comments else None,
                missing_columns="insert",
                quote_char='"' if b'"' in body else None,
            )
        except pl.exceptions.PolarsError as error:
            raise self._ragged(body, width) or DataError(
                f"{self.name} cannot be read as a table: {str(error).partition(chr(10))[0]}"
            ) from None
        return self._without_blank_rows(table)

    def _below(self, header_lines: int) -> int:
        """Return the offset at which the rows begin; searched in place, as each slice would copy a long text."""
        at = self._starts
        for _ in range(header_lines):
            end = self._text.find(b"\n", at)
            at = len(self._text) if end < 0 else end + 1
            while self._text[at : at + 1] == b"\n":
                at += 1
        return at

    def _without_blank_rows(self, table: pl.DataFrame) -> pl.DataFrame:
        """Drop empty lines, rows of empty cells, and a last line of words; note the last line."""
        blank = table["c0"].is_null() | (table["c0"].str.strip_chars() == "")
        if blank.any():
            filled = ((pl.col(name).str.strip_chars() != "").fill_null(value=False) for name in table.columns)
            table = table.filter(pl.any_horizontal(filled))
        last = [cell for cell in table.row(-1) if cell and cell.strip()] if table.height > 1 else []
        if len(last) == 1 and table.width >= _FEWEST_CELLS and layout_of(last[0].strip()) is None:
            self.notes.append(f"the last line was left out: {last[0].strip()[:60]!r}")
            table = table.head(-1)
        return table

    def _ragged(self, body: bytes, width: int) -> DataError | None:
        reader = csv.reader(io.StringIO(body.decode()), delimiter=self.delimiter)
        try:
            for row, cells in enumerate(cells for cells in reader if cells and not cells[0].startswith("#")):
                if len(cells) > width:
                    return DataError(
                        f"{self.name} cannot be read as a table: row {row} has {len(cells)} cells, the rows above "
                        f"have {width}"
                    )
        except csv.Error:
            return None
        return None

    def _skip_preamble(self) -> None:
        """Skip the lines before the table: comments, titles, Excel's line about the separator."""
        lines = self._text[:_HEAD_BYTES].split(b"\n", _HEAD_LINES)[:_HEAD_LINES]
        offset, skipped = 0, 0
        for line in lines:
            text = line.decode(errors="replace").strip()
            cells = next(iter(_cells([text], self.delimiter)), [])
            if not text.startswith(("#", "//")) and len([cell for cell in cells if cell.strip()]) >= _FEWEST_CELLS:
                break
            # A header of several lines may have few cells, as yfinance's for one ticker; it begins with names.
            offset += len(line) + 1
            skipped += bool(text)
        else:
            return
        self._starts = offset
        if skipped:
            self.notes.append(f"left out before the header: {skipped} line{'s' if skipped > 1 else ''}")


def plain(name: str) -> str:
    """Return the name of a column in lower case, without blanks, underscores, brackets, dots and stars."""
    return "".join(c for c in name.lower() if c not in " _<>*.\t\"'\ufeff")


def read_content(path: Path, *, max_bytes: int = MAX_BYTES) -> Content:
    """Return the unpacked content of a file; its first bytes decide its kind, not its name.

    Raises:
        DataError: If it cannot be read, is longer than `max_bytes`, or is neither text nor a known kind of table.
    """
    try:
        data = _unpacked(path, max_bytes)
    except _UNPACKING_ERRORS as error:
        reason = getattr(error, "strerror", None) or str(error) or "it ends too early"
        raise DataError(f"{path} cannot be read: {reason}") from None
    return content_of(str(path), data)


def content_of(name: str, data: bytes) -> Content:
    """Return the content of a file from its bytes.

    Raises:
        DataError: If they are neither text nor a known kind of table.
    """
    typed = _typed_table(name, data)
    if typed is not None:
        return Content(name, frame=typed)
    text = _text(name, data)
    if not text:
        raise DataError(f"{name} cannot be read as a table: it is empty")
    if text[:1] in b"[{":
        return Content(name, document=_document(name, text))
    return Content(name, text=text)


def _unpacked(path: Path, max_bytes: int) -> bytes:
    with path.open("rb") as file:
        magic = file.read(6)
        file.seek(0)
        if magic[:2] == b"\x1f\x8b":
            return _limited(gzip.GzipFile(fileobj=file), path, max_bytes)
        if magic[:3] == b"BZh":
            return _limited(bz2.BZ2File(file), path, max_bytes)
        if magic == b"\xfd7zXZ\x00":
            return _limited(lzma.LZMAFile(file), path, max_bytes)
        if magic[:4] == b"\x28\xb5\x2f\xfd":
            raise DataError(f"{path} is compressed with zstd, which is not supported: unpack it first with `zstd -d`")
        if magic[:4] == b"PK\x03\x04":
            with zipfile.ZipFile(file) as archive:
                names = [name for name in archive.namelist() if not name.endswith(("/", ".txt~"))]
                if any(name.startswith("xl/") for name in names):
                    raise DataError(f"{path} is an Excel workbook: save its sheet as CSV")
                if len(names) != 1:
                    raise DataError(f"{path} holds {len(names)} files: unpack it and name one, or the folder")
                with archive.open(names[0]) as member:
                    return _limited(member, path, max_bytes)
        size = os.fstat(file.fileno()).st_size if path.is_file() else 0
        if 0 < size <= max_bytes:
            # Read at once, as joining chunks copies them; if the file grows meanwhile, its first part is read.
            return file.read(size)
        return _limited(file, path, max_bytes)


def _limited(file: IO[bytes] | gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile, path: Path, max_bytes: int) -> bytes:
    chunks, size = [], 0
    while chunk := file.read(_CHUNK):
        chunks.append(chunk)
        size += len(chunk)
        if size > max_bytes:
            raise DataError(f"{path} is longer than the {max_bytes:,} bytes that may be read")
    return b"".join(chunks)


def _typed_table(name: str, data: bytes) -> pl.DataFrame | None:
    """Return a Parquet or Arrow table, None for anything else."""
    kinds: tuple[tuple[bytes, Callable[[bytes], pl.DataFrame]], ...] = (
        (b"PAR1", pl.read_parquet),
        (b"ARROW1", pl.read_ipc),
    )
    for magic, read in kinds:
        if data.startswith(magic):
            try:
                return read(data)
            except (pl.exceptions.PolarsError, OSError, ValueError, BaseException) as error:
                if isinstance(error, (KeyboardInterrupt, SystemExit, MemoryError)):
                    raise
                raise DataError(f"{name} cannot be read as a table: {str(error).partition(chr(10))[0]}") from None
    return None


def _text(name: str, data: bytes) -> bytes:
    """Return a text as UTF-8 with plain line ends and no surrounding blanks."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        data = _decoded(name, data, "utf-16")
    elif data[:200].count(b"\0") * 3 > min(len(data), 200):
        data = _decoded(name, data, "utf-16-le" if data[1:2] == b"\0" else "utf-16-be")
    if b"\0" in data:
        raise DataError(f"{name} cannot be read as a table: it is not text")
    data = data.removeprefix(b"\xef\xbb\xbf")
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError:
            data = data.decode("cp1252", errors="replace").encode()
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return data.strip(b" \n\x0b\x0c\x1a") if data[:1] != b"\t" else data.strip(b" \n\x1a")


def _decoded(name: str, data: bytes, encoding: str) -> bytes:
    try:
        return data.decode(encoding).encode()
    except UnicodeError:
        raise DataError(f"{name} cannot be read as a table: it is not text") from None


def _document(name: str, text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = str(error)
    try:
        return [json.loads(line) for line in text.split(b"\n") if line.strip()]
    except (ValueError, RecursionError):
        raise DataError(f"{name} is not valid JSON: {reason}") from None


def _lines(text: bytes) -> list[str]:
    lines = text[:_HEAD_BYTES].split(b"\n", _HEAD_LINES)[:_HEAD_LINES]
    return [line.decode(errors="replace") for line in lines if line.strip()]


def _cells(lines: list[str], delimiter: str) -> list[Cells]:
    try:
        return list(csv.reader(lines, delimiter=delimiter))
    except csv.Error:
        return [line.split(delimiter) for line in lines]
