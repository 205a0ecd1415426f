"""Settings of the comparison of books and account."""

from __future__ import annotations

from pydantic import Field

from ibdesk.config import Section


class BooksSettings(Section):
    """How the books are compared with the account while the link is up."""

    compare_seconds: float = Field(
        30.0,
        ge=5,
        le=3_600,
        description="how often executions, orders, positions and cash of the account are compared with the books",
    )
    cash_grace_seconds: float = Field(
        190.0,
        gt=0,
        le=86_400,
        description="time after which unexplained cash counts as moved elsewhere; TWS reports cash every 3 minutes, "
        "seconds",
    )
