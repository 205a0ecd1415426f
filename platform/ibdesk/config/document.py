"""Settings as TOML or JSON with secrets masked, and a commented example file."""

from __future__ import annotations

import enum
import json
import math
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import Secret, SecretBytes, SecretStr
from pydantic.fields import FieldInfo

from ibdesk.config.setting import MASK, Path_, Setting, fields_of, section_of
from ibdesk.config.tree import SettingsTree
from ibdesk.errors import ConfigError

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_WIDTH = 100
_LONGEST_ALIGNED = 60


def as_toml(tree: SettingsTree, *, below: str = "", origins: bool = False) -> str:
    """Return the settings as TOML with secrets masked: all, or the section or setting named `below`.

    With `origins`, each line names the source of its value.

    Raises:
        ConfigError: If no section or setting has this name.
    """
    lines: list[str] = []
    for path, of_section in _sections(type(tree), below):
        if path:
            lines += ["", f"[{'.'.join(path)}]"]
        texts = [_shown(tree, setting) for setting in of_section]
        if origins:
            width = max(len(text) for text in texts if len(text) <= _LONGEST_ALIGNED)
            pairs = zip(texts, of_section, strict=True)
            texts = [f"{text:<{width}}  # {tree.origin(setting.name)}" for text, setting in pairs]
        lines += texts
    return "\n".join([*lines, ""]).lstrip()


def as_plain(tree: SettingsTree, *, below: str = "", origins: bool = False) -> dict[str, Any]:
    """Return the same as plain data for JSON; with `origins`, a setting is an object of its value and origin.

    Raises:
        ConfigError: If no section or setting has this name.
    """
    plain: dict[str, Any] = {}
    for path, of_section in _sections(type(tree), below):
        branch = plain
        for name in path:
            branch = branch.setdefault(name, {})
        for setting in of_section:
            value = _for_json(_value(tree, setting))
            branch[setting.path[-1]] = {"value": value, "origin": tree.origin(setting.name)} if origins else value
    return plain


def example(root: type[SettingsTree]) -> str:
    """Return an example file: every setting of a root with its description and default, commented out."""
    defaults = root()
    lines = [
        "# Settings of ibdesk, read from ./ibdesk.toml, from the file that IBDESK_CONFIG names, or from --config FILE.",
        "# Every value below is the default: remove the # to change a setting.",
        "# The environment overrides this file (port of [tws] as IBDESK_TWS__PORT); options override both.",
        "# Any setting can be read from a file, as secrets should be: url_file, or IBDESK_REDIS__URL_FILE.",
    ]
    for path, of_section in _sections(root):
        if path:
            lines += ["", "", *_remark(_described(root, path)), f"[{'.'.join(path)}]"]
        for setting in of_section:
            value = _value(defaults, setting)
            lines += ["", *_remark("; ".join(filter(None, [setting.field.description, setting.bounds])))]
            lines.append(f"#{_pair(setting, '' if value is None else _at_home(value))}")
    return "\n".join([*lines, ""])


def _sections(root: type[SettingsTree], below: str = "") -> Iterator[tuple[Path_, list[Setting]]]:
    """Yield the sections of a root in TOML's order: the settings of each section before its subsections.

    `below` limits them to one section or one setting.
    """
    wanted, catalog = tuple(below.split(".")) if below else (), root.catalog()
    if wanted not in catalog.sections and wanted not in catalog.settings:
        raise ConfigError(f"there is no setting {below}: {catalog.nearest(wanted)}")

    def walk(kind: type, path: Path_) -> Iterator[tuple[Path_, list[Setting]]]:
        fields = fields_of(kind)
        leaves = [Setting((*path, name), field) for name, field in fields.items() if section_of(field) is None]
        leaves = [setting for setting in leaves if setting.path[: len(wanted)] == wanted]
        if leaves:
            yield path, leaves
        for name, field in fields.items():
            section = section_of(field)
            if section is not None:
                yield from walk(section, (*path, name))

    yield from walk(root, ())


def _value(tree: SettingsTree, setting: Setting) -> Any:
    value: Any = tree
    for name in setting.path:
        value = getattr(value, name)
    match value:
        case SecretStr() | SecretBytes() | Secret():
            return MASK if value.get_secret_value() else ""
        case enum.Enum():
            return value.value
        case _:
            return value


def _described(root: type[SettingsTree], path: Path_) -> str:
    kind: type = root
    field: FieldInfo | None = None
    for name in path:
        field = fields_of(kind)[name]
        kind = section_of(field) or kind
    return (field.description if field is not None else None) or ".".join(path)


def _shown(tree: SettingsTree, setting: Setting) -> str:
    value = _value(tree, setting)
    return f"# {setting.path[-1]} is not set" if value is None else _pair(setting, value)


def _pair(setting: Setting, value: Any) -> str:
    return f"{setting.path[-1]} = {_literal(value)}"


def _literal(value: Any) -> str:
    """Return a value in TOML notation."""
    match value:
        case bool():
            return "true" if value else "false"
        case float() if not math.isfinite(value):
            return str(value)
        case float() | int():
            return repr(value)
        case Mapping():
            pairs = (f"{_key(str(key))} = {_literal(item)}" for key, item in value.items())
            return f"{{ {', '.join(pairs)} }}" if value else "{}"
        case list() | tuple() | set() | frozenset():
            return f"[{', '.join(_literal(item) for item in value)}]"
        case _:
            # TOML's basic strings have JSON's escapes; JSON leaves one control character unescaped.
            return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _literal(name)


def _for_json(value: Any) -> Any:
    match value:
        case float() if not math.isfinite(value):
            return str(value)
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return {str(key): _for_json(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_for_json(item) for item in value]
        case _:
            return str(value)


def _at_home(value: Any) -> Any:
    """Return a path below the user's home folder in the form ``~/...``."""
    if isinstance(value, Path) and value.is_relative_to(Path.home()):
        return f"~/{value.relative_to(Path.home())}"
    return value


def _remark(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, _WIDTH)]
