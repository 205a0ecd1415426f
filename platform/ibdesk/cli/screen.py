"""Output of the commands to the terminal: facts, tables, and formats of figures."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path

from rich import box
from rich.console import Console, ConsoleDimensions
from rich.table import Column, Table
from rich.text import Text

# Wider than any line, so that output to a pipe or file is not cut or wrapped.
_UNLIMITED = 10_000


class _Screen(Console):
    """Standard output; only a terminal has a width."""

    @property
    def size(self) -> ConsoleDimensions:
        """Return columns and lines."""
        found = super().size
        return found if self.file.isatty() else ConsoleDimensions(_UNLIMITED, found.height)

    @size.setter
    def size(self, new: tuple[int, int]) -> None:
        """Fix columns and lines; only a terminal has them."""
        self.width, self.height = new


console = _Screen(highlight=False)
"""Standard output."""

_DASH = "\N{EN DASH}"
_MINUS = "\N{MINUS SIGN}"


def step(text: str) -> None:
    """Print the heading of one step of a command."""
    console.print(f"[bold cyan]\N{BULLET}[/] [bold]{text}[/]")


def line(label: str, value: str | Text, *, style: str = "dim") -> None:
    """Print one fact under a step. A string wraps in its column; a `Text`, such as an address, is not broken."""
    heading = Text(f"  {label:<11}", style=style)
    if isinstance(value, Text):
        console.print(Text.assemble(heading, value), soft_wrap=True)
        return
    row = Table.grid(Column(no_wrap=True), Column())
    row.add_row(heading, value)
    console.print(row)


def address(url: str) -> Text:
    """Return a link that most terminals open with a click."""
    return Text(url, style=f"underline link {url}")


def file_address(path: Path) -> Text:
    """Return a link to a file."""
    return address(path.resolve().as_uri())


@contextlib.contextmanager
def waiting(text: str) -> Iterator[None]:
    """Show a status inside the block; on a pipe, print one line at its start."""
    if not console.is_terminal:
        console.print(f"  {text} ...")
        yield
        return
    with console.status(f"{text} ..."):
        yield


def plain_table(*headings: str, title: str, right: int = 0) -> Table:
    """Return an empty table; the last `right` columns hold figures."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, heading in enumerate(headings):
        is_figure = index >= len(headings) - right
        table.add_column(heading, justify="right" if is_figure else "left", no_wrap=is_figure)
    return table


def show_table(table: Table) -> None:
    """Print a table uncut; on a terminal that is too narrow its lines wrap."""
    width = console.measure(table, options=console.options.update(width=_UNLIMITED)).maximum
    if width <= console.width:
        console.print(table)
        return
    whole = Console(file=console.file, width=width, force_terminal=console.is_terminal, highlight=False)
    whole.print(table)


def money(amount: float | None) -> Text:
    """Return an amount with two decimals, red if it is negative; a dash for None or NaN."""
    if amount is None or math.isnan(amount):
        return Text(_DASH, style="dim")
    # Avoid the sign of a negative zero.
    amount = round(amount, 2) + 0.0
    return Text(f"{_MINUS if amount < 0 else ''}{abs(amount):,.2f}", style="red" if amount < 0 else "")


def price(figure: float | None) -> str:
    """Return a price with two to five decimals; a dash for None or NaN."""
    if figure is None or math.isnan(figure):
        return _DASH
    digits = f"{figure:,.5f}".rstrip("0")
    whole, _, decimals = digits.partition(".")
    return f"{whole}.{decimals:0<2}"


def quantity(figure: float) -> str:
    """Return a quantity without trailing zeros."""
    return f"{_MINUS if figure < 0 else ''}{abs(figure):,.10g}"


def milliseconds(figure: float) -> str:
    """Return a time in ms to about three digits."""
    if math.isnan(figure):
        return _DASH
    return f"{figure:.3g} ms" if figure < 100 else f"{figure:,.0f} ms"


def span(seconds: float) -> str:
    """Return a duration as ``mm:ss`` or ``h:mm:ss``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


def until(seconds: float | None) -> str:
    """Return in words what ends a command that runs for `seconds`."""
    return "Ctrl-C" if seconds is None else f"in {seconds:g} seconds, or Ctrl-C"
