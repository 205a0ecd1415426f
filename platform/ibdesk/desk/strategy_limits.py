"""What a strategy file may take while it is loaded."""

from __future__ import annotations

import msgspec


class TrialLimits(msgspec.Struct, frozen=True):
    """What a strategy file may take while it is loaded."""

    seconds: float = 10.0
    memory_bytes: int = 2**30
