"""Packages that an extra of ibdesk installs and that may be missing."""

from __future__ import annotations

import importlib.util


def check_packages(*names: str) -> None:
    """Check for packages that are needed later or by another process.

    Raises:
        ModuleNotFoundError: If a package is missing.
    """
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
