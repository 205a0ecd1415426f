"""The description of one setting (name, variable, type, bounds), and the catalog of all settings."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import msgspec
from pydantic import BaseModel, Secret, SecretBytes, SecretStr
from pydantic.dataclasses import is_pydantic_dataclass
from pydantic.fields import FieldInfo

PREFIX, DELIMITER = "IBDESK_", "__"
MASK = "********"
"""The text shown instead of a secret."""

Path_ = tuple[str, ...]
"""The path of a setting or section from the root: ``("tws", "port")``."""

_LISTS = (tuple, list, set, frozenset)
_LIMITS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
_SECRETS = (Secret, SecretStr, SecretBytes)


class Setting(msgspec.Struct, frozen=True):
    """One setting of the tree."""

    path: Path_
    field: FieldInfo

    @property
    def name(self) -> str:
        """Return the name as used in messages: ``tws.port``."""
        return ".".join(self.path)

    @property
    def variable(self) -> str:
        """Return the name of its environment variable: ``IBDESK_TWS__PORT``."""
        return variable_of(self.path)

    @property
    def kinds(self) -> tuple[Any, ...]:
        """Return the types that a value may have: the members of a union, or the single type."""
        annotation = self.field.annotation
        return get_args(annotation) if get_origin(annotation) in {Union, UnionType} else (annotation,)

    @property
    def is_secret(self) -> bool:
        """Return whether its value is never shown."""
        return self._is(_SECRETS)

    @property
    def is_list(self) -> bool:
        """Return whether it takes several values."""
        return self._is(_LISTS)

    @property
    def is_path(self) -> bool:
        """Return whether it names a file or a folder."""
        return self._is((Path,))

    @property
    def may_be_none(self) -> bool:
        """Return whether it may be without a value."""
        return type(None) in self.kinds

    @property
    def bounds(self) -> str:
        """Return its bounds or choices in words, or an empty string if it has none."""
        choices = [choice for kind in self.kinds if get_origin(kind) is Literal for choice in get_args(kind)]
        if choices:
            return f"one of {', '.join(map(str, choices))}"
        limits = (
            f"{word} {getattr(mark, name):g}"
            for mark in self.field.metadata
            for name, word in _LIMITS.items()
            if getattr(mark, name, None) is not None
        )
        return ", ".join(limits)

    def _is(self, wanted: tuple[type, ...]) -> bool:
        kinds = (get_origin(kind) or kind for kind in self.kinds)
        return any(isinstance(kind, type) and issubclass(kind, wanted) for kind in kinds)


def variable_of(path: Path_) -> str:
    """Return the variable of a setting or a section."""
    return PREFIX + DELIMITER.join(path).upper()


class Catalog(msgspec.Struct, frozen=True):
    """All settings and sections below a root, by their paths.

    `others` are sections of other roots that the same file may hold. If `is_part`, the file may hold any other section.
    """

    settings: Mapping[Path_, Setting]
    sections: Mapping[Path_, type]
    others: frozenset[str]
    is_part: bool = False

    def is_elsewhere(self, name: str) -> bool:
        """Return whether a section unknown to this root may belong to another root."""
        return name in self.others or (self.is_part and (name,) not in self.sections)

    def nearest(self, path: Path_) -> str:
        """Return a suggestion for an unknown name, in words."""
        parent = path[:-1]
        siblings = {known[-1]: known for known in (*self.settings, *self.sections) if known and known[:-1] == parent}
        if close := difflib.get_close_matches(path[-1], siblings, n=1, cutoff=0.6):
            return f"did you mean {'.'.join(siblings[close[0]])}?"
        everywhere = [setting.name for setting in self.settings.values()]
        same = [name for name in everywhere if name.rpartition(".")[2] == path[-1]]
        if close := same[:1] or difflib.get_close_matches(".".join(path), everywhere, n=1, cutoff=0.7):
            return f"did you mean {close[0]}?"
        where = f"{'.'.join(parent)} has" if parent else "there are"
        return f"{where} {', '.join(sorted(siblings))}"


@functools.cache
def catalog_of(root: type[BaseModel], others: frozenset[str] = frozenset(), *, is_part: bool = False) -> Catalog:
    """Return the catalog of a root."""
    settings: dict[Path_, Setting] = {}
    sections: dict[Path_, type] = {(): root}
    for path, field in _walk(root, ()):
        section = section_of(field)
        if section is None:
            settings[path] = Setting(path, field)
        else:
            sections[path] = section
    return Catalog(settings, sections, others, is_part)


def section_of(field: FieldInfo) -> type | None:
    """Return the section type of a field, or None if the field is not a section."""
    kind = field.annotation
    if isinstance(kind, type) and (issubclass(kind, BaseModel) or is_pydantic_dataclass(kind)):
        return kind
    return None


def fields_of(kind: type) -> Mapping[str, FieldInfo]:
    """Return the fields of a section that are settings."""
    fields: Mapping[str, FieldInfo] = getattr(kind, "__pydantic_fields__", {})
    return {name: field for name, field in fields.items() if not field.exclude}


def _walk(kind: type, path: Path_) -> Iterator[tuple[Path_, FieldInfo]]:
    for name, field in fields_of(kind).items():
        yield (*path, name), field
        section = section_of(field)
        if section is not None:
            yield from _walk(section, (*path, name))
