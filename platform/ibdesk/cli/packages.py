"""Packages that an extra of ibdesk brings, and that somebody may not have."""

from __future__ import annotations

import importlib.util


def check_packages(*names: str) -> None:
    """Refuse to begin when a package is missing that is needed later, or by another process.

    Raises:
        ModuleNotFoundError: If one is.
    """
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
