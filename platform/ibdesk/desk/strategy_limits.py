"""Limits of loading a strategy file."""

from __future__ import annotations

import msgspec


class TrialLimits(msgspec.Struct, frozen=True):
    """The time and memory that a strategy file may take while it is loaded."""

    seconds: float = 10.0
    memory_bytes: int = 2**30
