"""The example strategy shipped with ibdesk."""

from __future__ import annotations

from pathlib import Path

_NAME = "ema_cross.py"


def example_strategy() -> Path:
    """Return the example in this folder, else in the checkout, else in the installed package."""
    package = Path(__file__).parents[1]
    folders = (Path("strategies"), package.parents[1] / "strategies", package / "examples")
    return next((folder / _NAME for folder in folders if (folder / _NAME).is_file()), folders[0] / _NAME)
