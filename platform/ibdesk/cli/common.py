"""What holds for every command."""

from __future__ import annotations

import dataclasses
from pathlib import Path


@dataclasses.dataclass
class Common:
    """What was typed before the command; filled in while the command line is read."""

    debug: bool = False
    # config: the settings file; None takes that of IBDESK_CONFIG, or ibdesk.toml.
    config: Path | None = None
