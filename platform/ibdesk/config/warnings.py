"""Warnings about settings that are valid but probably mistaken."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from ibdesk.config.layer import FILE_SUFFIX
from ibdesk.config.tree import SettingsTree


def warnings(tree: SettingsTree) -> Iterator[str]:
    """Yield a warning for each variable that resembles a setting, and for files that every user can read or change."""
    yield from _missed_variables(tree)
    if tree.file is not None and os.name == "posix":
        mode = tree.file.stat().st_mode
        if mode & stat.S_IWOTH:
            yield f"every user of this machine can change {tree.file} and thereby the trading: chmod o-w {tree.file}"
        if mode & stat.S_IROTH:
            yield from _open_secrets(tree)


def _missed_variables(tree: SettingsTree) -> Iterator[str]:
    settings = tree.catalog().settings.values()
    suffixes = ("", FILE_SUFFIX.upper())
    known = {setting.variable + suffix: setting for setting in settings for suffix in suffixes}
    by_letters = {variable.replace("__", "_"): (variable, setting) for variable, setting in known.items()}
    for name in sorted(os.environ):
        meant = by_letters.get(name.upper().replace("__", "_"))
        if meant is not None and name.upper() not in known:
            variable, setting = meant
            yield f"{name} is not read: the variable of {setting.name} is {variable}, with two underscores"


def _open_secrets(tree: SettingsTree) -> Iterator[str]:
    for setting in tree.catalog().settings.values():
        if setting.is_secret and tree.origin(setting.name) == str(tree.file):
            yield (
                f"{setting.name} is in {tree.file}, which every user of this machine can read: chmod 600 the file, "
                f"or move the secret to its own file and name that with {setting.path[-1]}{FILE_SUFFIX}"
            )
