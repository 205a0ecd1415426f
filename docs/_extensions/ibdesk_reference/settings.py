"""The page of settings, from the tree of settings."""

from __future__ import annotations

import enum
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import Secret, SecretBytes, SecretStr

from ibdesk.cli import gateway_settings
from ibdesk.config import as_plain
from ibdesk.config.setting import Setting, fields_of
from ibdesk_reference.markdown import code, heading, table
from ibdesk_server.settings import Settings

_WORDS = {
    bool: "true or false",
    int: "integer",
    float: "number",
    str: "text",
    Path: "path",
    SecretStr: "secret",
    SecretBytes: "secret",
}
_FOLDER = "~/.local/state/ibdesk"


def as_markdown() -> str:
    """Return every section with its settings, in the order of `ibdesk config example`."""
    catalog, defaults = Settings.catalog(), Settings()
    plain = as_plain(defaults)
    parts = []
    for path in catalog.sections:
        leaves = [setting for setting in catalog.settings.values() if setting.path[:-1] == path]
        if not leaves:
            continue
        name = ".".join(path)
        title = code(f"[{name}]") if name else "Top level"
        parts.append(heading(2, title, target=f"settings-{name or 'top-level'}"))
        if about := _about(path):
            parts.append(f"{about[0].upper()}{about[1:]}.\n")
        rows = [_row(setting, _default(setting, plain, defaults)) for setting in leaves]
        parts.append(table(["setting and variable", "type and default", "what it is"], rows))
        if path == ("gateway",):
            parts.append(f"`ibdesk gateway` reads the same section and has other defaults: {_alone(defaults)}.\n")
    return "\n".join(parts)


def _alone(defaults: Settings) -> str:
    """Return the defaults of a gateway that runs as a program of its own, where they differ."""
    alone, inside = gateway_settings._GatewayTree().gateway, defaults.gateway
    differing = [name for name in type(alone).model_fields if getattr(alone, name) != getattr(inside, name)]
    return ", ".join(code(f"{name} = {str(getattr(alone, name)).lower()}") for name in differing)


def kind_of(setting: Setting) -> str:
    """Return the type of a setting in words."""
    kinds = [kind for kind in setting.kinds if kind is not type(None)]
    return " or ".join(dict.fromkeys(_words(kind) for kind in kinds))


def _row(setting: Setting, default: str) -> list[str]:
    about = setting.field.description or ""
    bounds = setting.bounds
    return [
        f"{code(setting.name)}<br>{code(setting.variable)}",
        f"{kind_of(setting)}<br>{default}",
        f"{about} ({bounds})" if bounds else about,
    ]


def _about(path: tuple[str, ...]) -> str:
    """Return what a section is for, by the field that holds it."""
    kind: Any = Settings
    about = ""
    for name in path:
        field = fields_of(kind)[name]
        about, kind = field.description or "", field.annotation
    return about


def _default(setting: Setting, plain: dict[str, Any], defaults: Settings) -> str:
    value: Any = plain
    for name in setting.path:
        value = value[name]
    if value is None or value in ("", [], {}):
        return "not set" if value is None else "empty"
    if isinstance(value, bool):
        return code(str(value).lower())
    if isinstance(value, Mapping):
        return ", ".join(f"{code(key)}: {code(each)}" for key, each in value.items())
    if isinstance(value, list):
        return ", ".join(code(each) for each in value)
    folder = str(defaults.state_folder)
    # The same for every reader, whatever the variables of the machine that builds this page.
    text = str(value).replace(folder, _FOLDER) if setting.is_path else str(value)
    return code(int(value) if isinstance(value, float) and value.is_integer() else text)


def _words(kind: Any) -> str:
    origin = get_origin(kind)
    if origin is Literal:
        return "choice"
    if origin in {Union, types.UnionType}:
        return " or ".join(_words(each) for each in get_args(kind))
    if origin in {tuple, list, set, frozenset}:
        inner = next(each for each in get_args(kind) if each is not Ellipsis)
        return f"list of {_words(inner)}"
    if origin is dict or origin is Mapping:
        return "table"
    if hasattr(kind, "__metadata__"):
        return _words(get_args(kind)[0])
    if isinstance(kind, type):
        if issubclass(kind, Secret):
            return "secret"
        if issubclass(kind, enum.Enum):
            return "choice"
        return next((word for known, word in _WORDS.items() if issubclass(kind, known)), kind.__name__)
    return str(kind)
