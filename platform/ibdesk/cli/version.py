"""`ibdesk version`: the versions to name in a bug report."""

from __future__ import annotations

import importlib.metadata
import platform

from ibdesk.cli.screen import line, step

_PACKAGES = ("ib_async", "polars", "pydantic", "msgspec", "fastapi", "panel")


def print_versions() -> None:
    """Print the versions of ibdesk, Python and the libraries that matter most."""
    step(f"ibdesk {importlib.metadata.version('ibdesk')}")
    line("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    for package in _PACKAGES:
        try:
            line(package, importlib.metadata.version(package))
        except importlib.metadata.PackageNotFoundError:
            line(package, "not installed")
