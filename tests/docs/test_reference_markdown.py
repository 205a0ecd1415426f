"""What the generated pages are written with: tables, code spans, docstrings as Markdown, notes of enumerations."""

from __future__ import annotations

import enum

import pytest

from ibdesk_reference.markdown import code, heading, plain, prose, table
from ibdesk_reference.structs import kind, notes_of


def test_a_cell_stays_one_cell_of_one_line() -> None:
    assert table(["a", "b"], [["x | y", "two\nlines"]]) == "| a | b |\n|---|---|\n| x \\| y | two lines |\n"


@pytest.mark.parametrize(
    ("text", "span"),
    [("tws.port", "`tws.port`"), (7, "`7`"), ("a `b` c", "``a `b` c``"), ("`b`", "`` `b` ``"), ("", "")],
)
def test_a_code_span_holds_any_text(text: object, span: str) -> None:
    assert code(text) == span


def test_a_heading_can_have_a_target() -> None:
    assert heading(3, "`halt`", target="fault-halt") == "(fault-halt)=\n### `halt`\n"


def test_a_literal_block_of_a_docstring_is_a_block_in_markdown() -> None:
    assert prose("Like this::\n\n    code()\n\nand on.") == "Like this:\n\n    code()\n\nand on."


def test_the_sections_of_a_docstring_are_lists() -> None:
    text = "It.\n\nRaises:\n    DataError: If there is none,\n        or two.\n    OSError: If it is\n        away."

    assert prose(text) == (
        "It.\n\n**Raises**\n\n* `DataError`: If there is none,\n  or two.\n* `OSError`: If it is\n  away."
    )


def test_the_colors_of_help_are_left_out() -> None:
    assert plain("Start with [bold]ibdesk demo[/bold] [FILE]") == "Start with ibdesk demo [FILE]"


class Commented(enum.Enum):
    """Members with comments that name them."""

    # UP: orders can leave,
    # as usual.
    UP = "up"
    # DOWN, keyed by link: nothing leaves.
    DOWN = "down"
    # LOST, keyed by link.
    LOST = "lost"
    BARE = "bare"


class Documented(enum.Enum):
    """Members with docstrings of their own."""

    UP = "up"
    """Orders can leave."""
    DOWN = "down"


def test_the_notes_of_members_are_read_from_comments_and_from_docstrings() -> None:
    assert notes_of(Commented) == {
        "UP": "orders can leave, as usual.",
        "DOWN": "keyed by link: nothing leaves.",
        "LOST": "keyed by link",
        "BARE": "",
    }
    assert notes_of(Documented) == {"UP": "Orders can leave.", "DOWN": ""}


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int | None, "`int | None`"),
        (dict[str, list[float]], "`dict[str, list[float]]`"),
        (tuple[int, ...], "`tuple[int, ...]`"),
        (Documented, "`Documented`"),
    ],
)
def test_a_type_is_told_by_the_names_of_its_parts(annotation: object, words: str) -> None:
    assert kind(annotation) == words
