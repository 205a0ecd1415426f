"""The recognized formats, in the order in which they are tried; users can add their own."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable

import msgspec

from ibdesk.data.content import Content
from ibdesk.data.formats.raw import RawBars
from ibdesk.errors import DataError

# Modules with a tuple FORMATS, tried in this order: vendors' own layouts come before general ones.
_SHIPPED = ("databento", "yfinance", "vendors", "documents", "tables")


class BarFormat(msgspec.Struct, frozen=True, kw_only=True):
    """One layout of bars.

    `recognizes` returns whether a `Content` (its `head` and `header`, `document` or `frame`) has this layout; it must
    not raise. `read` returns its bars under ibdesk's names. `about` is one line for people. `zone` and `date_order` are
    the vendor's statement about files whose layout is not unique to it: they apply if the format is requested by name,
    and must be given if only its layout was recognized.
    """

    name: str
    about: str
    recognizes: Callable[[Content], bool]
    read: Callable[[Content], RawBars]
    zone: str | None = None
    date_order: str | None = None


_added: list[BarFormat] = []


def register_format(format: BarFormat) -> None:  # noqa: A002 - the argument's name in `read_bars`
    """Add a format; it is tried before all others.

    Raises:
        DataError: If the name is taken.
    """
    if format.name in {known.name for known in bar_formats()}:
        raise DataError(f"there is already a format {format.name!r}: choose another name")
    _added.insert(0, format)


def unregister_format(name: str) -> None:
    """Remove a format that was added."""
    _added[:] = [known for known in _added if known.name != name]


def bar_formats() -> tuple[BarFormat, ...]:
    """Return all formats in the order in which they are tried."""
    return (*_added, *_shipped())


def format_of(content: Content, wanted: str | None) -> BarFormat:
    """Return the format of a file, or the requested one.

    Raises:
        DataError: If none is recognized, or the requested one does not exist.
    """
    formats = bar_formats()
    if wanted is not None:
        for known in formats:
            if known.name == wanted:
                return known
        raise DataError(f"there is no format {wanted!r}: there are {', '.join(known.name for known in formats)}")
    for known in formats:
        if known.recognizes(content):
            return known
    raise DataError(f"{content.name} cannot be read as a table of bars{_described(content)}")


def _described(content: Content) -> str:
    if content.head:
        return f": its first line is {','.join(content.head[0])[:100]!r}, none of the known formats"
    if content.frame is not None:
        return f": its columns are {', '.join(content.frame.columns[:12])}"
    return f": its JSON is of none of the known formats (a {type(content.document).__name__})"


@functools.cache
def _shipped() -> tuple[BarFormat, ...]:
    modules = (importlib.import_module(f"ibdesk.data.formats.{name}") for name in _SHIPPED)
    return tuple(known for module in modules for known in module.FORMATS)
