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
        "0 lets it take for ever",
    )
    lag_seconds: float = Field(
        1.0,
        gt=0,
        le=3_600,
        description="an alert says so at once when the engine's loop has not come round for so long, seconds",
    )
    hang_seconds: float = Field(
        15.0,
        ge=0,
        le=3_600,
        description="how long the engine's loop may not come round before `ibdesk up` ends the engine and starts it "
        "again, seconds; 0 never ends it",
    )
