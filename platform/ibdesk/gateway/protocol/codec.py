"""Encoding and decoding of TWS messages from the field tables.

`encode` accepts Python values. `decode` returns the texts by field name and checks that each is of its kind. `Fields`
reads them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from ibdesk.gateway.protocol.fields import (
    CONDITION_BODIES,
    INFINITE_TEXTS,
    UNSET_INTEGER,
    UNSET_NUMBER,
    UNSET_NUMBER_TEXT,
    UNSET_TEXTS,
    ConditionBody,
    Entry,
    Field,
    FieldKind,
    MessageSpec,
    Repeat,
    When,
    content_holds,
    for_version,
)
from ibdesk.gateway.protocol.framing import ProtocolError, integer, join

Scalar = str | int | float | None
Rows = Sequence[Mapping[str, "Value"]]
Value = Scalar | Rows
Texts = dict[str, "str | list[Texts]"]
"""A decoded message: a text by field name, and a list of such dictionaries for each repeated group."""

# The digits of the longest integer, a permanent id.
_LONGEST = 19
_FLAGS = frozenset({"0", "1", "true", "false"})


# ---- encoding -----------------------------------------------------------------------------------------------------


def text_of(value: Scalar, kind: FieldKind = FieldKind.TEXT) -> str:
    """Return a value in TWS's notation: flags as 0 and 1, no exponents, `None` as an empty field.

    NaN is an unset number, and is written as TWS writes those.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, int):
        return str(value)
    if value == UNSET_NUMBER or math.isnan(value):
        return UNSET_NUMBER_TEXT
    if math.isinf(value):
        return "Infinity"
    if kind is not FieldKind.NUMBER and value.is_integer():
        return str(int(value))
    text = repr(value)
    return text if "e" not in text else format(Decimal(text), "f")


@functools.cache
def plan_of(message: MessageSpec, version: int) -> tuple[Entry, ...]:
    """Return the entries of a message at one server version."""
    return for_version(message.entries, version)


def encode(message: MessageSpec, values: Mapping[str, Value], version: int) -> bytes:
    """Return the frame of `message`; a field that is not in `values` has its constant or is empty."""
    texts = [str(message.id)]
    _write(plan_of(message, version), values, texts, {})
    return join(texts)


def _write(
    entries: tuple[Entry, ...], values: Mapping[str, Value], texts: list[str], written: dict[str, object]
) -> None:
    """Append the texts of `entries`; `written` are the earlier fields of this group, on which conditions depend."""
    for entry in entries:
        match entry:
            case Field(name, kind, constant):
                written[name] = text = text_of(_scalar(values.get(name, constant)), kind)
                texts.append(text)
            case When(test, then):
                if content_holds(test, written):
                    _write(then, values, texts, written)
            case Repeat(count, rows, each):
                groups = _groups(values.get(rows))
                written[count] = str(len(groups))
                texts.append(str(len(groups)))
                for group in groups:
                    _write(each, group, texts, {})
            case ConditionBody():
                body = CONDITION_BODIES[text_of(_scalar(values.get("condType")))]
                _write(body, values, texts, written)


def _groups(value: Value) -> Rows:
    if value is None or isinstance(value, str | int | float):
        return ()
    return value


def _scalar(value: Value) -> Scalar:
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"a plain field was given rows: {value!r}")


# ---- decoding -----------------------------------------------------------------------------------------------------


class _Cursor(msgspec.Struct):
    message: MessageSpec
    texts: list[str]
    at: int = 1

    def take(self, name: str) -> str:
        if self.at >= len(self.texts):
            raise ProtocolError(f"{self.message.name} ends before field {name} (number {self.at})")
        text = self.texts[self.at]
        self.at += 1
        return text

    def refuse(self, name: str, text: str, wanted: str) -> ProtocolError:
        return ProtocolError(
            f"{self.message.name}: field {name} (number {self.at - 1}) is {text[:40]!r}, which is not {wanted}"
        )


def decode(message: MessageSpec, texts: list[str], version: int) -> Texts:
    """Return the fields of a message by name; `texts[0]` is its number.

    Raises:
        ProtocolError: If there are too few or too many fields, or one is not of its kind.
    """
    cursor = _Cursor(message, texts)
    found: Texts = {}
    _read(plan_of(message, version), cursor, found)
    if cursor.at != len(texts):
        raise ProtocolError(f"{message.name} has {len(texts) - cursor.at} field(s) too many, from number {cursor.at}")
    return found


def _read(entries: tuple[Entry, ...], cursor: _Cursor, found: Texts) -> None:
    for entry in entries:
        match entry:
            case Field(name, kind, _):
                found[name] = _checked(cursor, name, kind)
            case When(test, then):
                if content_holds(test, found):
                    _read(then, cursor, found)
            case Repeat(count, rows, each):
                text = cursor.take(count)
                found[count] = text
                found[rows] = groups = []
                for _ in range(_count(cursor, count, text)):
                    group: Texts = {}
                    _read(each, cursor, group)
                    groups.append(group)
            case ConditionBody():
                body = CONDITION_BODIES.get(str(found["condType"]))
                if body is None:
                    raise cursor.refuse("condType", str(found["condType"]), "a type of order condition")
                _read(body, cursor, found)


def _checked(cursor: _Cursor, name: str, kind: FieldKind) -> str:
    text = cursor.take(name)
    if kind is FieldKind.TEXT or text in UNSET_TEXTS:
        return text
    if kind is FieldKind.FLAG:
        if text not in _FLAGS:
            raise cursor.refuse(name, text, "0 or 1")
        return text
    if kind is not FieldKind.INTEGER and text in INFINITE_TEXTS:
        return text
    number = integer(text, _LONGEST) if kind is FieldKind.INTEGER else _decimal(text)
    if number is None:
        raise cursor.refuse(name, text, "a number")
    if not math.isfinite(number):
        raise cursor.refuse(name, text, "a finite number")
    return text


def _decimal(text: str) -> float | None:
    """Return a number of a client: ASCII, without the blanks and underscores that Python accepts too."""
    if not text.isascii() or "_" in text or text != text.strip():
        return None
    try:
        return float(text)
    except ValueError:
        return None


def _count(cursor: _Cursor, name: str, text: str) -> int:
    count = integer(text, 7) if text else 0
    # A group has at least one field, so no count costs more than the length of the message.
    if count is None or not 0 <= count <= len(cursor.texts) - cursor.at:
        raise cursor.refuse(name, text, f"a count that the {len(cursor.texts) - cursor.at} fields behind it allow")
    return count


# ---- reading a decoded message ------------------------------------------------------------------------------------


class Fields:
    """A decoded message with typed access. An unset value is `None`; an unset flag is false, an unset text empty."""

    __slots__ = ("name", "texts")

    def __init__(self, name: str, texts: Texts) -> None:
        self.name = name
        self.texts = texts

    def text(self, name: str) -> str:
        """Return the field's text; empty if the message does not have it."""
        text = self.texts.get(name, "")
        return text if isinstance(text, str) else ""

    def flag(self, name: str) -> bool:
        """Return whether the flag is set."""
        return self.text(name) in ("1", "true")

    def number(self, name: str) -> float | None:
        """Return a price or size; infinite if the client wrote that."""
        text = self.text(name)
        if text in INFINITE_TEXTS:
            return math.inf
        return None if text in UNSET_TEXTS else float(text)

    def whole(self, name: str) -> int | None:
        """Return an integer."""
        text = self.text(name)
        return None if text in UNSET_TEXTS else int(text)

    def required(self, name: str) -> int:
        """Return a required integer.

        Raises:
            ProtocolError: If it is not set.
        """
        number = self.whole(name)
        if number is None or abs(number) > UNSET_INTEGER:
            raise ProtocolError(f"{self.name} needs {name}, got {self.text(name)[:40]!r}")
        return number

    def rows(self, name: str) -> list[Texts]:
        """Return the groups of a repeated part; empty if the message does not have it."""
        rows = self.texts.get(name, [])
        return rows if isinstance(rows, list) else []


# ---- long histories without the tables -----------------------------------------------------------------------------


def texts_of(values: Sequence[float], kind: FieldKind) -> list[str]:
    """Return `text_of` of each value."""
    if kind is not FieldKind.NUMBER:
        return [str(int(value)) if value.is_integer() else text_of(value, kind) for value in values]
    texts = list(map(repr, values))
    # Exponents and the names of non-finite numbers contain one of these letters.
    return [
        text_of(value, kind) if "e" in text or "n" in text else text for value, text in zip(values, texts, strict=True)
    ]


def historical_rows(columns: Sequence[Sequence[str]]) -> bytes:
    """Return the bars of a historicalData message: the same bytes as from the tables, in a fraction of the time.

    `columns` hold the texts of date, open, high, low, close, volume, average price and count.
    """
    return "".join("\0".join(row) + "\0" for row in zip(*columns, strict=True)).encode()


def historical_frame(request_id: int, start: str, end: str, count: int, bars: Sequence[bytes]) -> bytes:
    """Return a historicalData frame of `count` encoded bars, in any number of pieces."""
    head = f"17\0{request_id}\0{start}\0{end}\0{count}\0".encode()
    length = len(head) + sum(map(len, bars))
    return b"".join((length.to_bytes(4, "big"), head, *bars))
