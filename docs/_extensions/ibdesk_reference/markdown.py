"""Markdown (MyST) written from values: tables, code spans, anchors and docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence

_RST_LITERAL = re.compile(r"::[ \t]*$", re.MULTILINE)
_RICH = re.compile(r"\[/?(?:bold|dim|italic|[a-z]+ [a-z]+)\]")
_SECTION = re.compile(r"^(Args|Raises|Returns|Yields|Example|Examples):$", re.MULTILINE)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a pipe table; cells are Markdown of one line each."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows]
    return "\n".join([*lines, ""])


def code(text: object) -> str:
    """Return a code span; text with backticks gets longer fences."""
    shown = str(text)
    fence = "``" if "`" in shown else "`"
    pad = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{pad}{shown}{pad}{fence}" if shown else ""


def block(text: str, language: str = "text") -> str:
    """Return a fenced block."""
    return f"```{language}\n{text.rstrip()}\n```\n"


def anchor(name: str) -> str:
    """Return a target that other pages link to as `[text](#name)`."""
    return f"({name})=\n"


def heading(level: int, text: str, *, target: str = "") -> str:
    """Return a heading, with a target of its own if a name is given."""
    return f"{anchor(target) if target else ''}{'#' * level} {text}\n"


def escaped(text: str) -> str:
    """Return text with characters that Markdown or HTML would read escaped, except in code spans."""
    pieces = re.split(r"(`[^`]*`)", text)
    return "".join(piece if piece.startswith("`") else re.sub(r"([<>*_\[\]])", r"\\\1", piece) for piece in pieces)


def docstring(thing: object) -> str:
    """Return the docstring of a class, function or module as Markdown.

    Literal blocks after ``::`` become indented code, and Google sections such as ``Raises:`` become bold lines.
    """
    return prose(inspect.getdoc(thing) or "")


def prose(text: str) -> str:
    """Return the text of a docstring as Markdown."""
    text = _RST_LITERAL.sub(":", text)
    text = re.sub(r"^:\n", "", text, flags=re.MULTILINE)
    text = _SECTION.sub(lambda found: f"**{found[1]}**\n", text)
    return _listed(text)


def line(text: str) -> str:
    """Return text as one line."""
    return " ".join(text.split())


def first_sentence(thing: object) -> str:
    """Return the first paragraph of a docstring as one line."""
    return line(prose(inspect.getdoc(thing) or "").split("\n\n")[0])


def plain(text: str) -> str:
    """Return help text of the command line without the marks of its colors."""
    return _RICH.sub("", text)


def _listed(text: str) -> str:
    """Return text with the indented entries below a section's bold line as list items."""
    lines: list[str] = []
    inside = False
    for each in text.split("\n"):
        if each.startswith("**") and each.endswith("**"):
            inside = True
        elif inside and each.startswith("    ") and not each.startswith("     "):
            name, colon, about = each.strip().partition(": ")
            each = f"* {code(name)}: {about}" if colon else f"* {each.strip()}"  # noqa: PLW2901 - the line as it is now
        elif inside and each.startswith("     "):
            each = f"  {each.strip()}"  # noqa: PLW2901 - as above
        elif each and not each.startswith(" "):
            inside = False
        lines.append(each)
    return "\n".join(lines)


def _cell(text: str) -> str:
    return line(text).replace("|", "\\|")
