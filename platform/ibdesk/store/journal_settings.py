"""The settings of journals."""

from __future__ import annotations

from pydantic import Field

from ibdesk.config import Section


class JournalSettings(Section):
    """How long journals are kept."""

    keep_days: int = Field(
        365, ge=0, le=36_500, description="how long finished, packed journals are kept, in days; 0 keeps all"
    )
