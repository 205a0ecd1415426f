"""Settings for delays of the engine and their consequences."""

from __future__ import annotations

from pydantic import Field

from ibdesk.config import Section


class EngineSettings(Section):
    """Limits for delays of the engine, and what happens beyond them."""

    call_seconds: float = Field(
        5.0,
        ge=0,
        le=3_600,
        description="how long a call of a strategy may take before it is interrupted and its run fails, seconds; "
        "0 means no limit",
    )
    lag_seconds: float = Field(
        1.0,
        gt=0,
        le=3_600,
        description="time without a turn of the engine's loop after which an alert is published, seconds",
    )
    hang_seconds: float = Field(
        15.0,
        ge=0,
        le=3_600,
        description="time without a turn of the engine's loop after which `ibdesk up` restarts the engine, seconds; "
        "0 means never",
    )
