"""Formatting of values: figures as text, and structs as HTML tables for notebooks."""

from __future__ import annotations

import datetime as dt
import enum
import html
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

UNKNOWN = "–"  # noqa: RUF001 - a dash, as tables of prices print it
# Fields that hold an amount of money in any struct.
_MONEY = frozenset(
    {"available_funds", "buying_power", "cash", "day_loss", "net_liquidation", "pnl", "realized_pnl"}
    | {"unrealized_pnl", "value"}
)
_CELL = "text-align:left;padding:2px 14px 2px 0;vertical-align:top"
_NUMBER_CELL = "text-align:right;padding:2px 14px 2px 0;font-variant-numeric:tabular-nums;vertical-align:top"


def without_noise(figure: float) -> float:
    """Return a figure without the rounding noise of binary arithmetic: 228.97999999999996 becomes 228.98.

    Twelve significant digits remain, more than any price, quantity or account has.
    """
    return float(f"{figure:.12g}") if math.isfinite(figure) else figure


class HtmlRepr:
    """A mixin for structs: notebooks show their fields as a table."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return facts_html(type(self).__name__.removesuffix("Info"), fields_of(self))


def fields_of(struct: Any) -> dict[str, Any]:
    """Return the fields of a msgspec struct by name."""
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


def facts_html(title: str, facts: Mapping[str, Any]) -> str:
    """Return named facts as an HTML table; lists of structs become tables below it."""
    tables = {name: value for name, value in facts.items() if _is_table(value)}
    rows = "".join(
        f'<tr><td style="{_CELL};opacity:.65">{html.escape(label(name))}</td>'
        f'<td style="{_CELL};font-variant-numeric:tabular-nums">{html.escape(written(name, value))}</td></tr>'
        for name, value in facts.items()
        if name not in tables
    )
    below = "".join(rows_html(label(name), value) for name, value in tables.items())
    return f"<div><b>{html.escape(title)}</b><table>{rows}</table>{below}</div>"


def rows_html(title: str, structs: Sequence[Any], *, names: Sequence[str] = ()) -> str:
    """Return structs of one type as an HTML table, one row each, with all fields or those in `names`."""
    if not structs:
        return f"<div><b>{html.escape(title)}</b>: none</div>"
    names = names or structs[0].__struct_fields__
    head = "".join(f'<th style="{_CELL}">{html.escape(label(name))}</th>' for name in names)
    body = "".join("<tr>" + "".join(_cell(name, getattr(each, name)) for name in names) + "</tr>" for each in structs)
    return f"<div><b>{html.escape(title)}</b><table><thead><tr>{head}</tr></thead>{body}</table></div>"


def label(name: str) -> str:
    """Return a field's name as words, without its unit: ``started_ns`` becomes ``started``."""
    return name.removesuffix("_ns").removesuffix("_seconds").replace("_", " ")


def written(name: str, value: Any) -> str:
    """Return a field's value as text: times in UTC, money with two decimals, a dash if unknown."""
    match value:
        case None:
            return UNKNOWN
        case bool():
            return "yes" if value else "no"
        case enum.Enum():
            return str(value.value)
        case int() | float():
            return _number(name, value)
        case Mapping():
            return _joined(f"{key} {written(str(key), each)}" for key, each in value.items())
        case list() | tuple():
            return _joined(written(name, each) for each in value)
    return str(value)


def _number(name: str, value: float) -> str:
    if name.endswith("_ns"):
        return f"{dt.datetime.fromtimestamp(value / 1e9, dt.UTC):%Y-%m-%d %H:%M:%S} UTC" if value else UNKNOWN
    if not math.isfinite(value):
        return "no limit" if value == math.inf else UNKNOWN
    if name.endswith("_seconds"):
        return f"{value:,.1f} s"
    return f"{value:,.2f}" if name in _MONEY else f"{value:,.10g}"


def _joined(texts: Iterable[str]) -> str:
    return ", ".join(texts) or "none"


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and hasattr(value[0], "__struct_fields__")


def _cell(name: str, value: Any) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and not name.endswith("_ns")
    return f'<td style="{_NUMBER_CELL if is_number else _CELL}">{html.escape(written(name, value))}</td>'
