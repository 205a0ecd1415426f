"""Values of the wire and the record as tables: the fields of a msgspec class, and notes of enumerations."""

from __future__ import annotations

import enum
import inspect
import re
import types
from typing import Any, Union, get_args, get_origin

import msgspec

from ibdesk_reference.markdown import code, table

_NOTE = re.compile(r"^\s*# ([A-Z_]+)(?:, ([^:]*?))?(?:[:.] ?(.*))?$")
_COMMENT = re.compile(r"^\s*# ?(.*)$")
_MEMBER = re.compile(r"^\s*([A-Z_]+) = ")


def fields(cls: type[msgspec.Struct]) -> str:
    """Return the fields of a class as a table."""
    rows = [
        [code(field.encode_name), kind(field.type), "" if field.required else default(field)]
        for field in msgspec.structs.fields(cls)
    ]
    return table(["field", "type", "default"], rows) if rows else ""


def kind(annotation: Any) -> str:
    """Return a type as code, by the names of its parts."""
    return code(_named(annotation))


def default(field: Any) -> str:
    """Return the default of a field as code."""
    if field.default_factory is not msgspec.NODEFAULT:
        made = field.default_factory()
        return code("[]" if made == [] else "{}" if made == {} else f"{type(made).__name__}()")
    value = field.default
    if isinstance(value, enum.Enum):
        return code(value.value)
    if isinstance(value, msgspec.Struct):
        return code(f"{type(value).__name__}()")
    return code(repr(value))


def notes_of(cls: type[enum.Enum]) -> dict[str, str]:
    """Return what the source says of each member: its attribute docstring, or the comment above it that names it."""
    found: dict[str, str] = {}
    note, last = "", ""
    for each in inspect.getsource(cls).splitlines():
        if labeled := _NOTE.match(each):
            note = ": ".join(filter(None, [labeled[2], labeled[3]]))
        elif (more := _COMMENT.match(each)) and note:
            note += f" {more[1]}"
        elif member := _MEMBER.match(each):
            last = member[1]
            found[last] = note.strip()
            note = ""
        elif last and each.strip().startswith('"""') and not found[last]:
            found[last] = each.strip().strip('"')
    return found


def _named(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin in {Union, types.UnionType}:
        return " | ".join(_named(each) for each in get_args(annotation))
    if hasattr(annotation, "__metadata__"):
        return _named(get_args(annotation)[0])
    if origin is not None:
        inner = ", ".join("..." if each is Ellipsis else _named(each) for each in get_args(annotation))
        return f"{getattr(origin, '__name__', str(origin))}[{inner}]"
    if annotation is type(None):
        return "None"
    return getattr(annotation, "__name__", str(annotation))
