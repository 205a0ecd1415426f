"""The root of a settings tree: reads all sources, validates them together, and knows each value's origin."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, PrivateAttr, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from ibdesk.config.layer import Given
from ibdesk.config.setting import MASK, Catalog, Path_, catalog_of
from ibdesk.config.sources import environment_layer, file_layer, given_layer, settings_file
from ibdesk.errors import ConfigError

DEFAULT, PROGRAM = "default", "set by the program"


class SettingsTree(BaseSettings):
    """A root of settings. `load` reads ``ibdesk.toml``, the environment and its arguments; the constructor does not."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    others: ClassVar[frozenset[str]] = frozenset()
    """Sections of other roots that the file or the environment may hold."""
    is_part: ClassVar[bool] = False
    """Whether any other section, known or not, belongs to another root."""

    _origins: dict[Path_, str] = PrivateAttr(default_factory=dict)
    _file: Path | None = PrivateAttr(default=None)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - theirs
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - theirs
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - theirs
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - theirs
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Disable pydantic's own sources; `load` reads them."""
        return (init_settings,)

    @classmethod
    def catalog(cls) -> Catalog:
        """Return the catalog of all settings of this root."""
        return catalog_of(cls, cls.others, is_part=cls.is_part)

    @classmethod
    def load(cls, *given: Given, config: Path | None = None) -> Self:
        """Return the settings; `given` overrides the environment, which overrides the file, which overrides defaults.

        `config` names the file instead of ``IBDESK_CONFIG`` and ``./ibdesk.toml``.

        Raises:
            ConfigError: If settings are unknown or invalid; the message names each one and its origin.
        """
        catalog, file = cls.catalog(), settings_file(config)
        layers = [] if file is None else [file_layer(cls, catalog, file)]
        layers += [environment_layer(cls, catalog), given_layer(catalog, given)]
        values = {path: value for layer in layers for path, value in layer.values.items()}
        origins = {path: origin for layer in layers for path, origin in layer.origins.items()}
        faults = [fault for layer in layers for fault in layer.faults]
        tree: Self | None = None
        try:
            tree = cls(**_nested(values))
        except ValidationError as error:
            faults += [_fault(catalog, details, values, origins) for details in error.errors()]
        except ConfigError as error:
            faults.append(_with_origins(str(error), origins))
        if faults or tree is None:
            heading = "this setting cannot be used" if len(faults) == 1 else f"{len(faults)} settings cannot be used"
            raise ConfigError(f"{heading}: {'; '.join(faults)}")
        tree._origins.update(origins)
        tree._file = file
        return tree

    @property
    def file(self) -> Path | None:
        """Return the settings file that was read, or None."""
        return self._file

    def origin(self, name: str) -> str:
        """Return the origin of a setting such as ``tws.port``: a file, a variable, an option or the default."""
        return self._origins.get(tuple(name.split(".")), DEFAULT)

    @property
    def has_origins(self) -> bool:
        """Return whether any setting has an origin other than the default."""
        return bool(self._origins)

    def with_value(self, name: str, value: Any) -> Self:
        """Return a copy with another value for a setting such as ``tws.port``; the value is not validated."""
        path = tuple(name.split("."))
        tree: Self = _replaced(self, path, value)
        tree._origins = self._origins | {path: PROGRAM}
        return tree


def _replaced(section: Any, path: Path_, value: Any) -> Any:
    name, rest = path[0], path[1:]
    changed = _replaced(getattr(section, name), rest, value) if rest else value
    if isinstance(section, BaseModel):
        return section.model_copy(update={name: changed})
    return dataclasses.replace(section, **{name: changed})


def _nested(values: dict[Path_, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, value in values.items():
        branch = tree
        for name in path[:-1]:
            branch = branch.setdefault(name, {})
        branch[path[-1]] = value
    return tree


def _fault(catalog: Catalog, details: ErrorDetails, values: dict[Path_, Any], origins: dict[Path_, str]) -> str:
    """Return an error of pydantic in words."""
    location = tuple(str(part) for part in details["loc"])
    message = _told(details)
    path = next((location[:end] for end in range(len(location), 0, -1) if location[:end] in catalog.settings), None)
    if path is None:
        section = ".".join(location)
        return _with_origins(f"{section}: {message}" if section else message, origins)
    value = values.get(path)
    if catalog.settings[path].is_secret:
        plain = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        message, shown = message.replace(plain, MASK) if plain else message, MASK
    else:
        shown = repr(str(value) if isinstance(value, Path) else value)
    return f"{catalog.settings[path].name} cannot be {shown} ({origins.get(path, DEFAULT)}): {message}"


def _told(details: ErrorDetails) -> str:
    message = details["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return f"it should{message.removeprefix('Input should')}" if message.startswith("Input should") else message


def _with_origins(sentence: str, origins: dict[Path_, str]) -> str:
    """Return a message about several settings, extended by the origins of those it names."""
    named = dict.fromkeys(re.findall(r"\b[a-z_]+(?:\.[a-z_]+)*\b", sentence))
    known = [f"{name} from {origins[path]}" for name in named if (path := tuple(name.split("."))) in origins]
    return f"{sentence} ({'; '.join(known)})" if known else sentence
