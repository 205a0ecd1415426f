"""What holds for every command."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass
class Common:
    """What was typed before the command; filled in while the command line is read."""

    debug: bool = False
