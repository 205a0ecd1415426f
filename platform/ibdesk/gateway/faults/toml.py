"""Fault scripts in TOML: a seed, and one flat table per step."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping

from ibdesk.errors import ConfigError


def parsed(text: str) -> tuple[int, list[dict[str, object]]]:
    """Return the seed and the tables ``[[fault]]`` of a script, unchecked.

    Raises:
        ConfigError: If it is not valid TOML, or has other keys.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"it is not valid TOML: {error}") from None
    seed, tables = document.pop("seed", 0), document.pop("fault", [])
    if document:
        raise ConfigError(f"unknown key {next(iter(document))!r}: a script has seed and tables [[fault]]")
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise ConfigError(f"seed must be a whole number, got {seed!r}")
    if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
        raise ConfigError("fault must be tables, each headed [[fault]]")
    return seed, tables


def table(name: str, values: Mapping[str, object]) -> str:
    """Return one table of an array of tables, one key per line."""
    return "".join([f"[[{name}]]\n", *(f"{key} = {_text(value)}\n" for key, value in values.items())])


def _text(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case int() | float():
            return repr(value)
        case str():
            # JSON's escapes are TOML's, except for the delete character, which TOML requires to be escaped.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
        case list() | tuple():
            return f"[{', '.join(map(_text, value))}]"
    raise TypeError(f"a script cannot hold values like {value!r}")
