"""The options that stand before the command."""

from __future__ import annotations

import dataclasses
from pathlib import Path


@dataclasses.dataclass
class Common:
    """The options typed before the command, filled in while the command line is parsed."""

    debug: bool = False
    config: Path | None = None
    """The settings file; None means the file in IBDESK_CONFIG, or ibdesk.toml."""
