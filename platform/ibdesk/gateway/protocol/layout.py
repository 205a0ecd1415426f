"""The layout of a message in words at one server version, for authors of clients."""

from __future__ import annotations

from collections.abc import Iterator

from ibdesk.gateway.protocol.fields import (
    CONDITION_BODIES,
    AnyOf,
    ConditionBody,
    ContentTest,
    Entry,
    Field,
    FieldKind,
    MessageSpec,
    NoneOf,
    OneOf,
    Positive,
    Repeat,
    When,
    for_version,
)

_KINDS = {
    FieldKind.INTEGER: "integer",
    FieldKind.NUMBER: "number",
    FieldKind.SIZE: "size",
    FieldKind.FLAG: "0 or 1",
    FieldKind.TEXT: "text",
}
_INDENT = "    "


def layout(message: MessageSpec, version: int) -> Iterator[str]:
    """Yield a line for each field of a message in wire order; dependent parts are indented."""
    yield f"{message.id}  the number of {message.name}"
    yield from _lines(for_version(message.entries, version), "")


def _lines(entries: tuple[Entry, ...], indent: str) -> Iterator[str]:
    for entry in entries:
        match entry:
            case Field(name, kind, constant):
                yield f"{indent}{name}: {_KINDS[kind]}" + (f", always {constant}" if constant else "")
            case When(test, then):
                yield f"{indent}only {_words(test)}:"
                yield from _lines(then, indent + _INDENT)
            case Repeat(count, _, each):
                yield f"{indent}{count}: integer, and as often:"
                yield from _lines(each, indent + _INDENT)
            case ConditionBody():
                for number, body in CONDITION_BODIES.items():
                    yield f"{indent}only with condType {number}:"
                    yield from _lines(body, indent + _INDENT)


def _words(test: ContentTest) -> str:
    match test:
        case OneOf(name, texts):
            return f"with {name} {' or '.join(map(_shown, texts))}"
        case NoneOf(name, texts):
            return f"with {name} other than {' or '.join(map(_shown, texts))}"
        case Positive(name):
            return f"with {name} above 0"
        case AnyOf(tests):
            return ", or ".join(map(_words, tests))


def _shown(text: str) -> str:
    return text or "empty"
