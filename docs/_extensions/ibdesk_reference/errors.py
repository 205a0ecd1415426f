"""The page of errors: every class with its problem type, its status over REST, its exit code and its facts."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import ibdesk
import ibdesk_server
from ibdesk import cli
from ibdesk.errors import IbdeskError
from ibdesk_reference.markdown import block, code, docstring, first_sentence, heading, table
from ibdesk_server import problems
from ibdesk_server.security.login_service import LoginDelayedError, LoginRefusedError

_CLASS = re.compile(r"^class \w+Error\(", re.MULTILINE)
# The login routes answer these without a type.
_ANSWERED_BY_ROUTES = (LoginDelayedError, LoginRefusedError)
_ATTRIBUTE = re.compile(r"\bself\.([a-z]\w*)\b(?!\()")
_PACKAGES = (ibdesk, ibdesk_server)


def error_classes() -> list[type[IbdeskError]]:
    """Return every public class below `IbdeskError`, each after the class it derives from."""
    for package in _PACKAGES:
        folder = Path(str(package.__file__)).parent
        for file in sorted(folder.rglob("*.py")):
            if _CLASS.search(file.read_text()):
                words = file.relative_to(folder.parent).with_suffix("").parts
                importlib.import_module(".".join(words).removesuffix(".__init__"))
    return list(_below(IbdeskError))


def problem_type(error: type[IbdeskError]) -> str:
    """Return the `type` that a problem of this class carries."""
    return f"urn:ibdesk:{error.__name__}"


def status_of(error: type[IbdeskError]) -> HTTPStatus | None:
    """Return the status of a problem of this class; None where the class never becomes a problem of its own."""
    if issubclass(error, _ANSWERED_BY_ROUTES):
        return None
    return next((status for cls, status in problems._STATUS_OF if issubclass(error, cls)), None)


def as_markdown() -> str:
    """Return the tree of errors and an entry for each."""
    classes = error_classes()
    rows = [
        [f"[{error.__name__}](#{target_of(error)})", _status(error), code(cli.exit_code(error)), first_sentence(error)]
        for error in classes
    ]
    parts = [
        heading(2, "The tree"),
        block("\n".join(_tree(IbdeskError))),
        heading(2, "All errors"),
        table(["error", "status over REST", "exit code", "what it means"], rows),
        heading(2, "Entries"),
        *map(_entry, classes),
    ]
    return "\n".join(parts)


def target_of(error: type[IbdeskError]) -> str:
    """Return the anchor of a class's entry."""
    return f"error-{error.__name__.lower()}"


def _entry(error: type[IbdeskError]) -> str:
    parts = [heading(3, error.__name__, target=target_of(error)), docstring(error) + "\n"]
    status = status_of(error)
    if status is not None:
        parts.append(f"* Problem type: {code(problem_type(error))}, status {_status(error)}.")
    parts.append(f"* Exit code of a command: {code(cli.exit_code(error))}.")
    if facts := _facts(error):
        parts.append(f"* Facts: {', '.join(map(code, facts))}.")
    parent = error.__mro__[1]
    if parent is not IbdeskError:
        parts.append(f"* Derives from [{parent.__name__}](#{target_of(parent)}).")
    parts.append(f"* Defined in {code(error.__module__)}.\n")
    return "\n".join(parts)


def _facts(error: type[IbdeskError]) -> list[str]:
    """Return the names of a class's own attributes: what it sets when it is made."""
    made = error.__init__
    if made is Exception.__init__:
        return []
    return list(dict.fromkeys(_ATTRIBUTE.findall(inspect.getsource(made))))


def _status(error: type[IbdeskError]) -> str:
    status = status_of(error)
    return "" if status is None else f"{code(status.value)} {status.phrase}"


def _below(error: type[IbdeskError]) -> Iterator[type[IbdeskError]]:
    for each in _children(error):
        yield each
        yield from _below(each)


def _children(error: type[IbdeskError]) -> list[type[IbdeskError]]:
    ours = (each for each in error.__subclasses__() if each.__module__.partition(".")[0] in {"ibdesk", "ibdesk_server"})
    return sorted({each for each in ours if not each.__name__.startswith("_")}, key=lambda each: each.__name__)


def _tree(error: type[IbdeskError], indent: str = "") -> Iterator[str]:
    yield f"{indent}{error.__name__}"
    for each in _children(error):
        yield from _tree(each, indent + "    ")
