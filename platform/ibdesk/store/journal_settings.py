"""How long journals are kept."""

from __future__ import annotations

from pydantic import Field

from ibdesk.config import Section


class JournalSettings(Section):
    """How long journals are kept."""

    keep_days: int = Field(
        365, ge=0, le=36_500, description="how long finished journals are kept, packed, in days; 0 keeps all for ever"
    )
