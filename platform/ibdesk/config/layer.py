"""The settings of one source: values, their origins and the errors found in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from pydantic import BaseModel
from pydantic.dataclasses import is_pydantic_dataclass

from ibdesk.config.secret_file import read_value
from ibdesk.config.setting import MASK, Catalog, Path_, Setting, fields_of
from ibdesk.errors import ConfigError

FILE_SUFFIX = "_file"

Origin = Callable[[Path_], str]
"""A function that returns the origin of a path's value in words."""


class Given(msgspec.Struct, frozen=True):
    """A setting or section from a command line or a program: ``Given("tws.port", 4002, "--tws-port")``.

    The value None means that it was not given.
    """

    setting: str
    value: Any
    origin: str


class Layer(msgspec.Struct):
    """The values, origins and errors of one source."""

    values: dict[Path_, Any] = {}
    origins: dict[Path_, str] = {}
    faults: list[str] = []

    def put(self, path: Path_, value: Any, origin: str) -> None:
        """Store a value with its origin."""
        self.values[path], self.origins[path] = value, origin


class Reader:
    """Reads a source into a layer, setting by setting.

    Relative paths start at the folder `base`, or at the working directory if it is None.
    """

    def __init__(self, catalog: Catalog, layer: Layer, origin: Origin, base: Path | None = None) -> None:
        self._catalog, self._layer, self._origin, self._base = catalog, layer, origin, base

    def read(self, raw: Mapping[str, Any], path: Path_ = ()) -> None:
        """Read a section with its settings and subsections."""
        for name, value in raw.items():
            self.read_one((*path, str(name)), value)

    def read_one(self, path: Path_, value: Any) -> None:
        """Read one setting, the file that holds its value, or a section."""
        settings, sections = self._catalog.settings, self._catalog.sections
        if path in settings:
            self._take(settings[path], value, self._origin(_first_leaf(path, value)))
        elif path in sections:
            self._read_section(path, value)
        elif (of := _setting_of_file(path)) in settings:
            self._take_file(settings[of], path, value)
        elif not self._catalog.is_elsewhere(path[0]):
            origin = self._origin(_first_leaf(path, value))
            self._fault(f"there is no setting {'.'.join(path)} ({origin}): {self._catalog.nearest(path)}")

    def _read_section(self, path: Path_, value: Any) -> None:
        if isinstance(value, Mapping):
            self.read(value, path)
        elif isinstance(value, BaseModel) or is_pydantic_dataclass(type(value)):
            # A section object: each of its fields counts as given.
            self.read({name: getattr(value, name) for name in fields_of(type(value))}, path)
        else:
            self._fault(f"{'.'.join(path)} ({self._origin(path)}) is a section, not a single setting")

    def _take_file(self, setting: Setting, path: Path_, value: Any) -> None:
        origin = self._origin(path)
        file = self._from_base(Path(str(value)))
        try:
            text = read_value(file, secret=setting.is_secret)
        except ConfigError as error:
            self._fault(f"{setting.name} ({origin}): {error}")
        else:
            self._take(setting, text, f"{origin}, {file}")

    def _take(self, setting: Setting, value: Any, origin: str) -> None:
        if setting.path in self._layer.values:
            self._fault(f"{setting.name} is given twice, {self._layer.origins[setting.path]} and {origin}: keep one")
        elif setting.is_secret and value == MASK:
            self._fault(f"{setting.name} ({origin}) is the mask that `ibdesk config show` prints: give the real secret")
        else:
            self._layer.put(setting.path, self._shaped(setting, value), origin)

    def _shaped(self, setting: Setting, value: Any) -> Any:
        if isinstance(value, str):
            if not value and setting.may_be_none:
                return None
            if setting.is_list:
                return _listed(value)
            if setting.is_path:
                return self._from_base(Path(value))
        return value

    def _from_base(self, path: Path) -> Path:
        path = path.expanduser()
        return path if self._base is None else self._base / path

    def _fault(self, sentence: str) -> None:
        self._layer.faults.append(sentence)


def _listed(text: str) -> Any:
    """Return the items of a comma-separated or JSON list; other text is left to the type's validation."""
    if not text.lstrip().startswith("["):
        return [part for part in (part.strip() for part in text.split(",")) if part]
    try:
        return json.loads(text)
    except ValueError:
        return text


def _setting_of_file(path: Path_) -> Path_:
    return (*path[:-1], path[-1].removesuffix(FILE_SUFFIX)) if path[-1].endswith(FILE_SUFFIX) else ()


def _first_leaf(path: Path_, value: Any) -> Path_:
    while isinstance(value, Mapping) and value:
        name, value = next(iter(value.items()))
        path = (*path, str(name))
    return path
