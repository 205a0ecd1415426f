"""Encoding of arguments and results of operations: plain data, ibdesk's structs, Polars frames, and errors."""

from __future__ import annotations

import functools
import inspect
import io
import os
from collections.abc import Callable, Iterable
from typing import Any, get_args, get_type_hints

import msgspec
import polars as pl

from ibdesk.errors import DeskError, IbdeskError
from ibdesk.model import AnyInstrument, Instrument
from ibdesk.strategy import Strategy

# Extension types for values without a msgpack type.
_FRAME, _INSTRUMENT = 1, 2

Operation = Callable[..., Any]


def encode_arguments(operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """Return the encoded arguments of a call of `operation`, by name; omitted ones are left out.

    Raises:
        TypeError: If the operation does not accept these arguments.
        DeskError: If one cannot be sent to another process, such as a strategy object.
    """
    bound = inspect.signature(operation).bind(None, *args, **kwargs)
    arguments = dict(list(bound.arguments.items())[1:])
    try:
        return _ENCODER.encode({name: _marked(value) for name, value in arguments.items()})
    except (TypeError, NotImplementedError, OverflowError) as error:
        raise DeskError(
            f"{operation.__name__} on a desk in another process needs plain data, and a strategy as a file: {error}"
        ) from None


def decode_arguments(operation: Operation, data: bytes) -> dict[str, Any]:
    """Return the arguments encoded by `encode_arguments`, converted to their annotated types.

    Raises:
        DeskError: If they cannot be read, or do not belong to this operation.
    """
    try:
        given = _DECODER.decode(data)
        if not isinstance(given, dict):
            raise DeskError(f"the arguments of {operation.__name__} must be given by name")
        kinds = _kinds(operation)
        unknown = set(given) - set(kinds)
        if unknown:
            raise DeskError(f"{operation.__name__} has no argument {', '.join(sorted(map(str, unknown)))}")
        return {name: _as(kinds[name], value) for name, value in given.items()}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, pl.exceptions.PolarsError) as error:
        raise DeskError(f"the arguments of {operation.__name__} cannot be read: {error}") from None


def encode_value(value: Any) -> bytes:
    """Return the bytes of an operation's result."""
    return _ENCODER.encode(value)


def decode_value(operation: Operation, data: bytes) -> Any:
    """Return an operation's result, converted to its annotated type.

    Raises:
        DeskError: If the bytes do not have that type.
    """
    try:
        return _as(_returned(operation), _DECODER.decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, pl.exceptions.PolarsError) as error:
        raise DeskError(f"the answer to {operation.__name__} cannot be read: {error}") from None


def facts_of(error: IbdeskError) -> list[str | float | int | bool | None]:
    """Return the arguments that recreate an error; others than plain data become text."""
    return [fact if isinstance(fact, str | float | int | bool | None) else str(fact) for fact in error.args]


def error_of(name: str, facts: Iterable[Any], text: str) -> IbdeskError:
    """Return the error of that class with these arguments; for an unknown class a `DeskError` with `text`."""
    found = _errors().get(name)
    if found is None:
        return DeskError(text)
    try:
        return found(*facts)
    except TypeError:
        return DeskError(text)


def _errors() -> dict[str, type[IbdeskError]]:
    """Return all error classes by name."""
    found: dict[str, type[IbdeskError]] = {}
    waiting: list[type[IbdeskError]] = [IbdeskError]
    while waiting:
        kind = waiting.pop()
        found.setdefault(kind.__name__, kind)
        waiting += kind.__subclasses__()
    return found


def _marked(value: Any) -> Any:
    """Return the argument with instruments marked: otherwise they could not be distinguished from names."""
    match value:
        case Instrument():
            return msgspec.msgpack.Ext(_INSTRUMENT, _ENCODER.encode(value))
        case list() | tuple() | set() | frozenset():
            return [_marked(item) for item in value]
    return value


def _plain(value: Any) -> Any:
    """Return a value that msgpack can encode; called for types that msgspec does not know."""
    match value:
        case Strategy():
            raise NotImplementedError(f"save {type(value).__name__} to a .py file and pass its path")
        case pl.DataFrame():
            buffer = io.BytesIO()
            value.write_ipc_stream(buffer)
            return msgspec.msgpack.Ext(_FRAME, buffer.getvalue())
        case os.PathLike():
            return os.fspath(value)
        case Iterable() if not isinstance(value, type):
            return list(value)
    raise NotImplementedError(f"a {type(value).__name__} cannot be sent to another process")


def _from_ext(code: int, data: memoryview) -> Any:
    if code == _FRAME:
        return pl.read_ipc_stream(io.BytesIO(data))
    if code == _INSTRUMENT:
        return _INSTRUMENTS.decode(data)
    raise msgspec.ValidationError(f"there is no kind {code} of values")


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_plain)
_DECODER = msgspec.msgpack.Decoder(ext_hook=_from_ext)
_INSTRUMENTS: msgspec.msgpack.Decoder[AnyInstrument] = msgspec.msgpack.Decoder(AnyInstrument)


def _as(kind: Any, value: Any) -> Any:
    """Return a decoded value converted to the annotation `kind`; unchanged if msgspec does not support the kind."""
    if kind is None or kind is type(None) or kind is pl.DataFrame:
        return value
    return msgspec.convert(value, kind) if _is_convertible(kind) else value


@functools.cache
def _is_convertible(kind: Any) -> bool:
    # Instruments are decoded already.
    if kind is Instrument or any(part is Instrument or not _is_convertible(part) for part in get_args(kind)):
        return False
    try:
        msgspec.msgpack.Decoder(kind)
    except TypeError:
        return False
    return True


@functools.cache
def _hints(operation: Operation) -> dict[str, Any]:
    return get_type_hints(operation)


def _kinds(operation: Operation) -> dict[str, Any]:
    return {name: kind for name, kind in _hints(operation).items() if name != "return"}


def _returned(operation: Operation) -> Any:
    return _hints(operation)["return"]
