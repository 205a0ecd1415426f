"""A Sphinx extension that writes the generated parts of the reference while the documentation is built.

A page of `docs/reference` has a line ``<!-- generated: settings -->``. In its place comes what `as_markdown` of the
module of that name returns, so that the page cannot say anything else than the code does.
"""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

PARTS = ("python", "commands", "settings", "rest", "feed", "journal", "risk", "metrics", "errors", "gateway")
"""The modules that write a part of a page."""

_FOLDER = "reference/"
_MARK = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)


def filled(text: str) -> str:
    """Return the text of a page with its generated parts in their places.

    Raises:
        KeyError: If a mark names a part that does not exist.
    """
    return _MARK.sub(lambda found: _part(found[1]), text)


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx of the extension."""
    app.connect("source-read", _on_source)
    app.connect("env-get-outdated", _outdated)
    # Before napoleon, which reads the words before a colon as a type.
    app.connect("autodoc-process-docstring", _on_docstring, priority=400)
    app.connect("autodoc-before-process-signature", _on_signature)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _on_source(_app: Sphinx, name: str, source: list[str]) -> None:
    if name.startswith(_FOLDER):
        source[0] = filled(source[0])


def _on_docstring(_app: Sphinx, what: str, _name: str, _thing: object, _options: object, lines: list[str]) -> None:
    if what in {"attribute", "data", "property"} and lines:
        lines[:1] = lines[0].replace(": ", ":\n").split("\n")


def _on_signature(_app: Sphinx, thing: object, _is_bound: bool) -> None:
    from ibdesk_reference.python import sign_client_method

    sign_client_method(thing)


def _outdated(
    _app: Sphinx, env: BuildEnvironment, _added: set[str], _changed: set[str], _removed: set[str]
) -> Iterable[str]:
    """Return the pages of the reference: the code may have changed where their own text has not."""
    return [name for name in env.found_docs if name.startswith(_FOLDER)]


def _part(name: str) -> str:
    if name not in PARTS:
        raise KeyError(f"no generated part is named {name}; there are {', '.join(PARTS)}")
    text: str = importlib.import_module(f"{__name__}.{name}").as_markdown()
    return text
