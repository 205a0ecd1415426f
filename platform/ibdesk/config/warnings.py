"""What is allowed in settings and is yet hardly meant."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from ibdesk.config.layer import FILE_SUFFIX
from ibdesk.config.tree import SettingsTree


def warnings(tree: SettingsTree) -> Iterator[str]:
    """Give a sentence for each variable that looks like a setting and is none, and for what everybody can read."""
    yield from _missed_variables(tree)
    if tree.file is not None and os.name == "posix":
        mode = tree.file.stat().st_mode
        if mode & stat.S_IWOTH:
            yield f"every user of this machine can change {tree.file}, and so what is traded: chmod o-w {tree.file}"
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
                f"{setting.name} stands in {tree.file}, which every user of this machine can read: chmod 600 the file, "
                f"or keep the secret in one of its own and name that with {setting.path[-1]}{FILE_SUFFIX}"
            )
