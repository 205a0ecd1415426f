"""Numbers as people and vendors write them: ``$1,234.50``, ``1.234,5``, ``1.20M``, ``N/A``."""

from __future__ import annotations

import polars as pl

from ibdesk.errors import DataError

# Spellings of a missing number, in lower case.
_MISSING = ("", "-", "--", "n/a", "na", "nan", "null", "none", "#n/a", "n.a.", ".", "\N{EN DASH}", "\N{EM DASH}")
_DECORATION = "[\\s$\N{EURO SIGN}\N{POUND SIGN}\N{YEN SIGN}'\N{RIGHT SINGLE QUOTATION MARK}_]"
_FACTORS = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}


class DecimalMark:
    """The decimal mark of a file's numbers: ``,`` or ``.``."""

    def __init__(self, columns: list[pl.Series], given: str | None, where: str, plain: list[pl.Series | None]) -> None:
        """Determine it from all numbers of a file; `plain` holds the results of `plain_numbers` for each column.

        Raises:
            DataError: If a comma is ambiguous.
        """
        if given not in (None, ".", ","):
            raise DataError(f"decimal must be '.' or ',', got {given!r}")
        self.is_comma = given == "," if given else self._told_by(columns, where, plain)

    @staticmethod
    def _told_by(columns: list[pl.Series], where: str, plain: list[pl.Series | None]) -> bool:
        texts = [column for column in columns if column.dtype == pl.String]
        # A text that is a number as written contains no comma.
        doubtful = [column for column, numbers in zip(columns, plain, strict=True) if numbers is None]
        doubtful = [column for column in doubtful if column.dtype == pl.String]
        with_comma = [
            column.filter(column.str.contains(",", literal=True).fill_null(value=False)) for column in doubtful
        ]
        commas = pl.concat(with_comma) if with_comma else pl.Series([], dtype=pl.String)
        if commas.is_empty():
            return False
        bare = commas.str.replace_all(_DECORATION, "").str.replace("[KMBTkmbt%]$", "")
        numbers = bare.str.strip_chars("+-\N{MINUS SIGN}")
        if numbers.str.contains(r"\..*,").any():
            return True
        if numbers.str.contains(r",.*\.").any() or numbers.str.contains(r",.*,").any():
            return False
        if not numbers.str.contains(r"^[1-9]\d{0,2},\d{3}$").all():
            return True
        # A dot before a group of other than three digits begins decimals.
        if any(column.str.contains(r"\.(\d{1,2}|\d{4,})\D*$").any() for column in texts):
            return False
        raise DataError(
            f"{where}: {commas[0]!r} may be {commas[0].replace(',', '')} or {commas[0].replace(',', '.')}: "
            f"say which with decimal='.' or decimal=','"
        )


def plain_numbers(column: pl.Series) -> pl.Series | None:
    """Return a column of text as floats if each text is one as written, else None."""
    if column.dtype != pl.String:
        return None
    numbers = column.cast(pl.Float64, strict=False)
    if numbers.null_count() != column.null_count():
        numbers = column.str.strip_chars().cast(pl.Float64, strict=False)
    return numbers if numbers.null_count() == column.null_count() else None


def parse_numbers(column: pl.Series, mark: DecimalMark, plain: pl.Series | None) -> pl.Series:
    """Return a column as floats: null for a missing number, NaN for anything else.

    `plain` is the result of `plain_numbers`.
    """
    if column.dtype.is_numeric():
        return column.cast(pl.Float64)
    if column.dtype == pl.Null:
        return column.cast(pl.Float64)
    if column.dtype != pl.String:
        return pl.repeat(float("nan"), len(column), dtype=pl.Float64, eager=True)
    if not mark.is_comma and plain is not None:
        # The text "NaN" is not a number.
        return plain.fill_nan(None)
    lower = column.str.strip_chars().str.to_lowercase()
    missing = lower.is_null() | lower.is_in(_MISSING)
    cleaned = lower.str.replace_all(_DECORATION, "").str.replace("\N{MINUS SIGN}", "-", literal=True)
    cleaned = cleaned.str.replace_all(r"\.", "") if mark.is_comma else cleaned.str.replace_all(",", "")
    if mark.is_comma:
        cleaned = cleaned.str.replace(",", ".", literal=True)
    suffix = cleaned.str.extract(r"\d([kmbt])$")
    factor = suffix.replace_strict(_FACTORS, default=1.0, return_dtype=pl.Float64)
    parsed = cleaned.str.replace(r"[kmbt]$", "").cast(pl.Float64, strict=False) * factor
    frame = pl.DataFrame({"parsed": parsed, "missing": missing})
    return frame.select(
        pl.when("missing").then(None).otherwise(pl.col("parsed").fill_null(float("nan"))).cast(pl.Float64)
    ).to_series()
