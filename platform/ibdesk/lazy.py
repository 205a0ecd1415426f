"""Lazily imported package attributes (PEP 562)."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def at_first_use(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` of a package for the names that it imports below ``if TYPE_CHECKING:``.

    These imports in the package's own `file` are the only declaration, so that editors, type checkers and Python
    agree. A name must differ from the name of its module: importing the module would bind the package's attribute to
    it.
    """
    homes = _homes(file)

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(homes[name]), name)

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes})

    return load, names


def _homes(file: str) -> dict[str, str]:
    """Return the module of each name that a file imports for type checkers."""
    return {
        alias.name: statement.module
        for block in ast.parse(Path(file).read_bytes()).body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for statement in block.body
        if isinstance(statement, ast.ImportFrom) and statement.module
        for alias in statement.names
    }
