"""The page of the journal: its tables, its header, every event and every action."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import msgspec

from ibdesk.model.action import Action
from ibdesk.model.event import Event
from ibdesk.store import journal
from ibdesk_reference.markdown import block, code, docstring, first_sentence, heading, table
from ibdesk_reference.structs import fields, notes_of


def as_markdown() -> str:
    """Return the schema of the file, then events, actions, and the values that they hold."""
    events, actions = members(Event), members(Action)
    parts = [
        heading(2, "The file"),
        f"The schema version is **{journal.SCHEMA_VERSION}**. The file is a SQLite database with these tables:\n",
        block(";\n".join(journal._SCHEMA) + ";", "sql"),
        _columns(),
        heading(3, "The header"),
        docstring(journal.JournalHeader) + "\n",
        "Each of the `limits` is text, because JSON has no infinity: `inf` switches a rule off.\n",
        fields(journal.JournalHeader),
        heading(3, "The mark of a copy"),
        docstring(journal.CopyMark) + "\n",
        fields(journal.CopyMark),
        heading(2, "Events"),
        "The column `event` is a msgpack map. Its key `type` names the kind.\n",
        _list(events),
        *(_entry(each) for each in events),
        heading(2, "Actions"),
        "The column `actions` is a msgpack list of maps, or NULL when the event caused none.\n",
        _list(actions),
        *(_entry(each) for each in actions),
        heading(2, "Values inside events and actions"),
        *(_value(each) for each in _values([*events, *actions])),
    ]
    return "\n".join(parts)


def _columns() -> str:
    """Return what each column of the tables holds."""
    passing = ", ".join(sorted(code(tag_of(cls)) for cls in journal._PASSING))
    rows = [
        ["`meta.key`, `meta.value`", "`header`, and `copy` in a copy of another machine's journal; both JSON"],
        ["`events.number`", "1 for the first event, without a gap; a copy has only the events marked in `books`"],
        ["`events.at_ns`", "the time of the event"],
        ["`events.event`", "the event, msgpack"],
        ["`events.actions`", "the actions that it caused, msgpack; NULL if it caused none"],
        ["`events.books`", f"NULL for these kinds if they caused no action: {passing}; 1 for all others"],
    ]
    return table(["column", "what it holds"], rows)


def members(union: Any) -> list[type[msgspec.Struct]]:
    """Return the classes of a union, by the words that the journal has for them."""
    return sorted(get_args(union), key=tag_of)


def tag_of(cls: type[msgspec.Struct]) -> str:
    """Return the word for a kind: the value of its key `type`."""
    return str(cls.__struct_config__.tag)


def target_of(cls: type[msgspec.Struct]) -> str:
    """Return the anchor of an entry."""
    return f"journal-{tag_of(cls).replace('_', '-')}"


def _list(classes: list[type[msgspec.Struct]]) -> str:
    rows = [[f"[{code(tag_of(cls))}](#{target_of(cls)})", first_sentence(cls)] for cls in classes]
    return table(["type", "what it says"], rows)


def _entry(cls: type[msgspec.Struct]) -> str:
    parts = [heading(3, code(tag_of(cls)), target=target_of(cls)), f"{docstring(cls)}\n", fields(cls)]
    return "\n".join(parts)


def _value(cls: type) -> str:
    parts = [heading(3, code(cls.__name__), target=f"journal-value-{cls.__name__.lower()}"), docstring(cls) + "\n"]
    if issubclass(cls, enum.Enum):
        notes = notes_of(cls)
        parts.append(table(["value", "meaning"], [[code(each.value), notes.get(each.name, "")] for each in cls]))
    elif issubclass(cls, msgspec.Struct):
        config = cls.__struct_config__
        if config.tag is not None:
            parts.append(f"Its key {code(config.tag_field)} is {code(config.tag)}.\n")
        parts.append(fields(cls))
    return "\n".join(parts)


def _values(roots: list[type[msgspec.Struct]]) -> list[type]:
    """Return the classes and enumerations that stand inside others, by name."""
    found: dict[str, type] = {}
    waiting: list[type] = list(roots)
    while waiting:
        for each in _inside(waiting.pop()):
            if each not in roots and each.__name__ not in found:
                found[each.__name__] = each
                waiting.append(each)
    return [found[name] for name in sorted(found)]


def _inside(cls: type) -> Iterator[type]:
    if not issubclass(cls, msgspec.Struct):
        return
    for annotation in get_type_hints(cls).values():
        yield from _classes(annotation)


def _classes(annotation: Any) -> Iterator[type]:
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct | enum.Enum):
        yield annotation
    for each in get_args(annotation):
        yield from _classes(each)
