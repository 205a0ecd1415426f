"""The three sources of settings: the file ``ibdesk.toml``, the environment, and the options of a command."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, TomlConfigSettingsSource

from ibdesk.config.layer import FILE_SUFFIX, Given, Layer, Origin, Reader
from ibdesk.config.setting import DELIMITER, PREFIX, Catalog, Path_, variable_of
from ibdesk.errors import ConfigError

FILE = "ibdesk.toml"
FILE_VARIABLE = "IBDESK_CONFIG"


def settings_file(explicit: Path | None = None) -> Path | None:
    """Return the file to read: the explicit one, else ``IBDESK_CONFIG``, else ``./ibdesk.toml`` if it exists.

    An empty ``IBDESK_CONFIG`` means that no file is read.

    Raises:
        ConfigError: If a file that was named does not exist.
    """
    named, origin = explicit, "--config"
    if named is None:
        variable = os.environ.get(FILE_VARIABLE)
        if variable is None:
            found = Path(FILE)
            return found.absolute() if found.is_file() else None
        if not variable:
            return None
        named, origin = Path(variable), FILE_VARIABLE
    named = named.expanduser().absolute()
    if not named.is_file():
        raise ConfigError(f"there is no settings file {named} ({origin})")
    return named


def file_layer(root: type[BaseSettings], catalog: Catalog, path: Path) -> Layer:
    """Return the settings of a file.

    Raises:
        ConfigError: If it cannot be read, or is not valid TOML.
    """
    try:
        raw = TomlConfigSettingsSource(root, path).toml_data
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    layer, base = Layer(), path.parent if path.parent != Path.cwd() else None
    Reader(catalog, layer, _always(str(path)), base=base).read(raw)
    return layer


def environment_layer(root: type[BaseSettings], catalog: Catalog) -> Layer:
    """Return the settings of the variables ``IBDESK_SECTION__NAME``."""
    source = _Environment(root, env_prefix=PREFIX, env_nested_delimiter=DELIMITER)
    layer = Layer()
    Reader(catalog, layer, source.variable_of).read(source() | source.strangers(catalog))
    return layer


def given_layer(catalog: Catalog, given: Iterable[Given]) -> Layer:
    """Return the settings given by a command or a program."""
    layer = Layer()
    for one in given:
        if one.value is not None:
            Reader(catalog, layer, _always(one.origin)).read_one(tuple(one.setting.split(".")), one.value)
    return layer


class _Environment(EnvSettingsSource):
    """The environment as nested text; a section may be given as JSON."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:  # noqa: ARG002 - theirs
        """Decode a section given as JSON; other text is left to the setting's own type."""
        try:
            decoded = json.loads(value)
        except ValueError:
            return value
        return decoded if isinstance(decoded, dict) else value

    def strangers(self, catalog: Catalog) -> dict[str, Any]:
        """Return variables that look like settings of this root but are not."""
        found: dict[str, Any] = {}
        for name, text in self.env_vars.items():
            path = self._path_of(name)
            if not path or path[:1] in catalog.sections or path in catalog.settings:
                continue
            if len(path) > 1 or (path[0].removesuffix(FILE_SUFFIX),) in catalog.settings:
                found[path[0]] = _nested(path[1:], text)
        return found

    def variable_of(self, path: Path_) -> str:
        """Return the variable that a path was read from: its own, or that of a section that contains it."""
        for length in range(len(path), 0, -1):
            name = variable_of(path[:length])
            if name.lower() in self.env_vars:
                return name
        return variable_of(path)

    def _path_of(self, name: str) -> Path_:
        return tuple(name[self.env_prefix_len :].split(DELIMITER)) if name.startswith(PREFIX.lower()) else ()


def _always(origin: str) -> Origin:
    return lambda _: origin


def _nested(path: Path_, value: Any) -> Any:
    for name in reversed(path):
        value = {name: value}
    return value
